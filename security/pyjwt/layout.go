package pyjwt

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/oapi-guard/oapi-guard/internal/jose"
	"github.com/oapi-guard/oapi-guard/internal/payload"
	"github.com/oapi-guard/oapi-guard/security"
)

// Option changes the layout of a Python library, as options of that library do.
type Option func(*python)

// WithIssuerClaim is for tokens with an issuer (JWT_ENCODE_ISSUER, default_iss): iss is written, and
// a token without it is refused.
func WithIssuerClaim() Option { return func(l *python) { l.hasIssuer = true } }

// WithAudienceOptional accepts tokens without aud although the verifier has security.WithAudience,
// while tokens of the time before are still in use. A token with another audience is refused.
func WithAudienceOptional() Option { return func(l *python) { l.audienceOptional = true } }

// WithRolesAsList writes the roles as a list, so that a token can have several. Both forms are read.
func WithRolesAsList() Option { return func(l *python) { l.rolesAsList = true } }

// WithIdentityClaim sets the claim with the subject (JWT_IDENTITY_CLAIM), "sub" by default. An
// integer is read as its decimal text. The claim of the role, or of the type, is an error of
// security.NewVerifier.
func WithIdentityClaim(name string) Option { return func(l *python) { l.identityClaim = name } }

// python is what the layouts of both libraries share: one role as a string, no kid, and iss and aud
// only where the application sets them.
type python struct {
	// roleClaim is the claim with the role, or "".
	roleClaim                                string
	identityClaim                            string
	hasIssuer, audienceOptional, rolesAsList bool
}

func newPython(roleClaim string, options []Option) python {
	l := python{roleClaim: roleClaim, identityClaim: "sub"}
	for _, option := range options {
		if option != nil {
			option(&l)
		}
	}
	return l
}

// Demands implements payload.Layout.
func (l python) Demands() payload.Demands {
	return payload.Demands{IssuerOptional: !l.hasIssuer, KeyIDUnknown: true}
}

// Audience implements payload.Layout. Where the application sets none, none is written, and a token
// that has one must name the issuer.
func (l python) Audience(configured []string, issuer string, _ payload.Type) payload.Audience {
	if configured == nil {
		return payload.Audience{Values: []string{issuer}}
	}
	return payload.Audience{Values: configured, Written: true, Required: !l.audienceOptional}
}

// decode reads a payload. The function special reads the members that differ between the libraries.
func (l python) decode(text []byte, r payload.Reading, special payload.MemberFunc) (*payload.Claims, error) {
	c, err := payload.Decode(text, r, func(d *payload.Decoder, name []byte, value jsontext.Value) (known bool, err error) {
		switch {
		case string(name) == l.identityClaim:
			d.Subject, err = d.Name(value)
		case string(name) == "sub": // another claim identifies the subject
		case l.roleClaim != "" && string(name) == l.roleClaim:
			d.Roles = d.RolesAt(value)
		default:
			return special(d, name, value)
		}
		return true, err
	})
	if err != nil {
		return nil, err
	}
	// A token of a Python service has no session. The id of a refresh token stands for the session
	// that it is refreshed into, so that a second use ends what the first one issued.
	c.Family = c.ID
	return c, nil
}

// encode writes a payload. typeClaim is the claim with the type, or "".
func (l python) encode(c *payload.Claims, names payload.Names, private []byte, claims []string, typeClaim, typ string) ([]byte, error) {
	switch {
	case len(c.Roles) > 0 && l.roleClaim == "":
		return nil, errors.New("pyjwt: a token without the name of a role claim has no roles")
	case len(c.Roles) > 1 && !l.rolesAsList:
		return nil, errors.New("pyjwt: a token of this layout has one role; see WithRolesAsList")
	}
	if !l.hasIssuer {
		c.Issuer = ""
	}
	subject := c.Subject
	if l.identityClaim != "sub" {
		c.Subject = ""
	}
	return payload.Encode(c, names, private, claims, func(w *payload.Writer) {
		switch {
		case l.rolesAsList:
			w.List(l.roleClaim, c.Roles)
		case len(c.Roles) == 1:
			w.Text(l.roleClaim, c.Roles[0])
		}
		if l.identityClaim != "sub" {
			w.Text(l.identityClaim, subject)
		}
		if typeClaim != "" {
			w.Text(typeClaim, typ)
		}
	})
}

// claimNames are the claims that the layout reads besides the registered ones.
func (l python) claimNames() []string {
	var names []string
	if l.roleClaim != "" {
		names = append(names, l.roleClaim)
	}
	if l.identityClaim != "sub" {
		names = append(names, l.identityClaim)
	}
	return names
}

// NewID implements payload.Encoder: a UUID, as the libraries write.
func (python) NewID() string { return uuid.NewString() }

// GenerationID implements payload.Encoder.
func (python) GenerationID(session string, generation uint32) string {
	return payload.GenerationUUID(session, generation)
}

// Flask is the layout of Flask-JWT-Extended 4.x. The type is the claim type. fresh is a boolean, or
// the time until which the token is fresh. The role is one string in the claim of the given name;
// pass "" if tokens have no role. aud is written and demanded if the verifier has
// security.WithAudience, iss with [WithIssuerClaim]; without them both are verified where a token
// has them. Tokens that are issued here also have sid, auth_time and session_start, which the
// Python library ignores.
func Flask(roleClaim string, options ...Option) security.Layout {
	return flask{newPython(roleClaim, options)}
}

type flask struct{ python }

// Name implements payload.Layout.
func (flask) Name() string { return "Flask-JWT-Extended" }

// ClaimNames implements payload.Layout.
func (l flask) ClaimNames() []string { return append(l.claimNames(), "type") }

// Accepts implements payload.Layout.
func (flask) Accepts(_ jose.Header, c *payload.Claims, want payload.Type) bool {
	return c.Type == want.Name
}

// Decode implements payload.Layout.
func (l flask) Decode(text []byte, r payload.Reading) (*payload.Claims, error) {
	return l.decode(text, r, func(d *payload.Decoder, name []byte, value jsontext.Value) (known bool, err error) {
		switch string(name) {
		case "type":
			d.Type, err = d.String(value)
		case "fresh":
			if value.Kind() == '0' {
				d.FreshUntil, err = d.Date(value)
			} else {
				d.Fresh, err = d.Bool(value)
			}
		default:
			return false, nil
		}
		return true, err
	})
}

// Header implements payload.Encoder.
func (flask) Header(algorithm, _ string, _ payload.Type) []byte {
	return []byte(`{"alg":"` + algorithm + `","typ":"JWT"}`)
}

// Encode implements payload.Encoder.
func (l flask) Encode(c *payload.Claims, names payload.Names, typ payload.Type, private []byte) ([]byte, error) {
	return l.encode(c, names, private, l.ClaimNames(), "type", typ.Name)
}

// Sanic is the layout of Sanic-JWT-Extended 1.0. The type is the header class. The role is one
// string in the claim of the given name, its acl_claim, which is "role" by default there. A token id
// is a UUID: the library refuses any other, and so does security.WithID. The rest is as in [Flask],
// with fresh as a boolean.
func Sanic(aclClaim string, options ...Option) security.Layout {
	return sanic{newPython(aclClaim, options)}
}

type sanic struct{ python }

// Name implements payload.Layout.
func (sanic) Name() string { return "Sanic-JWT-Extended" }

// ClaimNames implements payload.Layout.
func (l sanic) ClaimNames() []string { return l.claimNames() }

// Accepts implements payload.Layout.
func (sanic) Accepts(header jose.Header, _ *payload.Claims, want payload.Type) bool {
	return header.Class == want.Name
}

// Decode implements payload.Layout.
func (l sanic) Decode(text []byte, r payload.Reading) (*payload.Claims, error) {
	return l.decode(text, r, func(*payload.Decoder, []byte, jsontext.Value) (bool, error) { return false, nil })
}

// Header implements payload.Encoder.
func (sanic) Header(algorithm, _ string, typ payload.Type) []byte {
	return []byte(`{"typ":"JWT","alg":"` + algorithm + `","class":"` + typ.Name + `"}`)
}

// Encode implements payload.Encoder.
func (l sanic) Encode(c *payload.Claims, names payload.Names, _ payload.Type, private []byte) ([]byte, error) {
	if _, err := uuid.Parse(c.ID); err != nil {
		return nil, errors.New("pyjwt: the id of a token for Sanic-JWT-Extended is a UUID")
	}
	return l.encode(c, names, private, l.ClaimNames(), "", "")
}

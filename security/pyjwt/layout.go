package pyjwt

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oapi-guard/oapi-guard/internal/jose"
	"github.com/oapi-guard/oapi-guard/internal/payload"
	"github.com/oapi-guard/oapi-guard/security"
)

// python is what the layouts of both libraries share: times in whole seconds, one role as a string,
// no iss and no aud of their own.
type python struct {
	// roleClaim is the claim with the role, or "".
	roleClaim string
}

// Optional implements payload.Layout.
func (python) Optional() payload.Optional { return payload.Optional{Issuer: true, Audience: true} }

// decode reads a payload. The function special reads the members that differ between the libraries.
func (l python) decode(text []byte, names payload.Names, wantPrivate bool, special func(d *payload.Decoder, name []byte, value jsontext.Value) (bool, error)) (*payload.Claims, error) {
	c, err := payload.Decode(text, names, wantPrivate, func(d *payload.Decoder, name []byte, value jsontext.Value) (bool, error) {
		if l.roleClaim != "" && string(name) == l.roleClaim {
			d.Roles = d.RolesAt(value)
			return true, nil
		}
		return special(d, name, value)
	})
	if err != nil {
		return nil, err
	}
	if c.Session == "" {
		// A token of a Python service has no session. Its id stands for the session that it is
		// refreshed into, so that a second use ends what the first one issued.
		c.Family = c.ID
	}
	return c, nil
}

// encode writes a payload. typeClaim is the claim with the type, or "".
func (l python) encode(c *payload.Claims, names payload.Names, private []byte, claims []string, typeClaim, typ string) ([]byte, error) {
	if len(c.Roles) > 1 || len(c.Roles) > 0 && l.roleClaim == "" {
		return nil, errors.New("pyjwt: a token of this layout has at most one role, and none without the name of its claim")
	}
	c.Issuer, c.Audience = "", nil
	if !c.WholeSeconds() {
		return nil, errors.New("pyjwt: a token of this layout lives for whole seconds")
	}
	return payload.Encode(c, names, private, claims, func(w *payload.Writer) {
		if len(c.Roles) == 1 {
			w.Text(l.roleClaim, c.Roles[0])
		}
		if typeClaim != "" {
			w.Text(typeClaim, typ)
		}
	})
}

func (l python) roleNames() []string {
	if l.roleClaim == "" {
		return nil
	}
	return []string{l.roleClaim}
}

// Flask is the layout of Flask-JWT-Extended 4.x. The type is the claim type. fresh is a boolean, or
// the time until which the token is fresh. Times are whole seconds. A token has neither iss nor
// aud; both are verified where a token has them. The role is one string in the claim of the given
// name; pass "" if tokens have no role. Tokens that are issued here also have sid and auth_time,
// which the Python library ignores.
func Flask(roleClaim string) security.Layout { return flask{python{roleClaim}} }

type flask struct{ python }

// Name implements payload.Layout.
func (flask) Name() string { return "Flask-JWT-Extended" }

// ClaimNames implements payload.Layout.
func (l flask) ClaimNames() []string { return append(l.roleNames(), "type") }

// Accepts implements payload.Layout.
func (flask) Accepts(_ jose.Header, c *payload.Claims, want payload.Type) bool {
	return c.Type == want.Name
}

// Decode implements payload.Layout.
func (l flask) Decode(text []byte, names payload.Names, wantPrivate bool) (*payload.Claims, error) {
	return l.decode(text, names, wantPrivate, func(d *payload.Decoder, name []byte, value jsontext.Value) (known bool, err error) {
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
// string in the claim of the given name, its acl_claim, which is "role" by default there. The rest
// is as in [Flask], with fresh as a boolean.
func Sanic(aclClaim string) security.Layout { return sanic{python{aclClaim}} }

type sanic struct{ python }

// Name implements payload.Layout.
func (sanic) Name() string { return "Sanic-JWT-Extended" }

// ClaimNames implements payload.Layout.
func (l sanic) ClaimNames() []string { return l.roleNames() }

// Accepts implements payload.Layout.
func (sanic) Accepts(header jose.Header, _ *payload.Claims, want payload.Type) bool {
	return header.Class == want.Name
}

// Decode implements payload.Layout.
func (l sanic) Decode(text []byte, names payload.Names, wantPrivate bool) (*payload.Claims, error) {
	return l.decode(text, names, wantPrivate, func(*payload.Decoder, []byte, jsontext.Value) (bool, error) { return false, nil })
}

// Header implements payload.Encoder.
func (sanic) Header(algorithm, _ string, typ payload.Type) []byte {
	return []byte(`{"typ":"JWT","alg":"` + algorithm + `","class":"` + typ.Name + `"}`)
}

// Encode implements payload.Encoder.
func (l sanic) Encode(c *payload.Claims, names payload.Names, _ payload.Type, private []byte) ([]byte, error) {
	return l.encode(c, names, private, l.ClaimNames(), "", "")
}

//go:build ignore

package security

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Profile is the layout of a verifier's tokens on the wire: where a token says its type, and what its claims are called. Make one
// with [RFC9068], [FlaskJWTExtended], [SanicJWTExtended] or [IdentityProvider]. It is immutable.
type Profile struct {
	name string
	// typeIn says where the type is: the header typ, the header class, a claim, or nowhere.
	typeIn typePlace
	// typeClaim is the name of that claim.
	typeClaim string
	// typeValues are the values that say that a token is of the wanted type, whichever that is; nil where each type has its own.
	typeValues []string
	// roles is the path to the claim with the roles.
	roles []string
	// oneRole says that the roles claim holds one role as a string.
	oneRole bool
	// freshUntil says that fresh may be a time.
	freshUntil bool
	// wholeSeconds says that times are written without a fraction.
	wholeSeconds bool
	// anyone says that iss and aud may be absent, and are not written.
	anyone bool
	// foreign says that an Issuer cannot write it.
	foreign bool
	// noID says that jti may be absent.
	noID bool
}

// layout is a profile with what an application chose of its own tokens.
type layout struct {
	*Profile
	// namespace begins the names of public claims, prefix and an underscore those of private ones; "" where there is none.
	namespace, prefix string
}

// WithPublicNamespace sets the namespace of public claims (RFC 7519, section 4.2), a URL that ends with a slash: a claim is written flat,
// under the namespace and its path, and read back as a tree; see [WithPublicClaims].
func WithPublicNamespace(namespace string) VerifierOption {
	return func(v *Verifier) error {
		if u, err := url.Parse(namespace); err != nil || u.Host == "" || !strings.HasSuffix(namespace, "/") {
			return errors.New("security: the namespace of public claims is like https://claims.example.com/")
		}
		v.layout.namespace = namespace
		return nil
	}
}

// WithPrivatePrefix sets the prefix of private claims: with "app", the claim name is written app_name. Claims without it are not read.
func WithPrivatePrefix(prefix string) VerifierOption {
	return func(v *Verifier) error {
		if prefix == "" || isReserved(prefix) {
			return errors.New("security: the prefix of private claims is a word, and no reserved claim")
		}
		v.layout.prefix = prefix + "_"
		return nil
	}
}

type typePlace uint8

const (
	typeInHeader typePlace = iota
	typeInClass
	typeInClaim
	typeNowhere
)

var rfc9068 = &Profile{name: "RFC 9068", roles: []string{"roles"}}

// RFC9068 is the default layout: the header typ is "at+jwt" for access tokens (RFC 9068, section 2.1), "rt+jwt" for refresh tokens and
// "x-NAME+jwt" for others, which are private to this package.
func RFC9068() *Profile { return rfc9068 }

// FlaskJWTExtended is the layout of Flask-JWT-Extended 4.x, so that a Go service can take over from a Python one token by token: the type
// is the claim type, fresh is a boolean or the time until which the token is fresh, times are whole seconds, and neither issuer nor
// audience stand in a token, though they are verified where they do. The role is in the claim of the given name, as one string; "" is
// for applications that keep none in their tokens. Tokens that are issued here have sid and auth_time besides, which the Python library
// leaves alone.
func FlaskJWTExtended(roleClaim string) *Profile {
	return python("Flask-JWT-Extended", roleClaim, &Profile{typeIn: typeInClaim, typeClaim: "type", freshUntil: true})
}

// SanicJWTExtended is the layout of Sanic-JWT-Extended 1.0: the type is the header class, and the role is in the claim of the given name
// (its acl_claim, "role" by default). Otherwise it is like [FlaskJWTExtended].
func SanicJWTExtended(aclClaim string) *Profile {
	return python("Sanic-JWT-Extended", aclClaim, &Profile{typeIn: typeInClass})
}

func python(name, roleClaim string, p *Profile) *Profile {
	p.name, p.oneRole, p.wholeSeconds, p.anyone = name, true, true, true
	if roleClaim != "" {
		p.roles = []string{roleClaim}
	}
	return p
}

// ProfileOption says how an identity provider lays its tokens out.
type ProfileOption func(*Profile) error

// WithTypeHeader says that the header typ has one of the values, compared without case and without "application/".
func WithTypeHeader(values ...string) ProfileOption {
	return func(p *Profile) error {
		for _, value := range values {
			p.typeValues = append(p.typeValues, tokenTypeOf(value))
		}
		return p.readsType(typeInHeader, "")
	}
}

// WithTypeClaim says that a claim, such as token_use or typ, has one of the values.
func WithTypeClaim(claim string, values ...string) ProfileOption {
	return func(p *Profile) error {
		p.typeValues = append(p.typeValues, values...)
		return p.readsType(typeInClaim, claim)
	}
}

// WithUnsafeAnyType says that the tokens do not tell what they are for. Whatever else the provider signs for the same audience, such as
// an ID token, is then taken for an access token too.
func WithUnsafeAnyType() ProfileOption {
	return func(p *Profile) error {
		p.typeValues = append(p.typeValues, "")
		return p.readsType(typeNowhere, "")
	}
}

func (p *Profile) readsType(place typePlace, claim string) error {
	if p.name == "" {
		p.name, p.typeIn, p.typeClaim = "identity provider", place, claim
	} else {
		return errors.New("security: a profile reads the type in one place")
	}
	if len(p.typeValues) == 0 || place == typeInClaim && claim == "" || place != typeNowhere && slices.Contains(p.typeValues, "") {
		return errors.New("security: a profile needs the values that say the type")
	}
	return nil
}

// WithRolesAt says where the roles are: a path with dots, such as realm_access.roles; roles is the default.
func WithRolesAt(path string) ProfileOption {
	return func(p *Profile) error {
		p.roles = strings.Split(path, ".")
		if slices.Contains(p.roles, "") {
			return errors.New("security: a path of roles is like realm_access.roles")
		}
		return nil
	}
}

// WithoutTokenIDs accepts tokens without a jti. They are not individually revocable: revoking one is an error, revoking its
// subject with [Validator.RevokeSubjectOf] is not.
func WithoutTokenIDs() ProfileOption {
	return func(p *Profile) error { p.noID = true; return nil }
}

// IdentityProvider is the layout of tokens that somebody else issues. One of [WithTypeHeader], [WithTypeClaim] and [WithUnsafeAnyType] is
// mandatory. Scopes are read from scope or scp, which must not differ where both are there.
func IdentityProvider(options ...ProfileOption) (*Profile, error) {
	p := &Profile{roles: []string{"roles"}, foreign: true}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("security: a nil option")
		}
		if err := option(p); err != nil {
			return nil, err
		}
	}
	if p.name == "" {
		return nil, errors.New("security: a profile has to say where the type is: WithTypeHeader, WithTypeClaim or WithUnsafeAnyType")
	}
	return p, nil
}

// WithProfile sets the layout of the verifier's tokens, and of what an [Issuer] over it writes; [RFC9068] by default. A profile that
// cannot tell types apart, see [WithUnsafeAnyType], needs WithAudience beside it.
func WithProfile(p *Profile) VerifierOption {
	return func(v *Verifier) error {
		if p == nil || p.name == "" {
			return errors.New("security: WithProfile needs a profile")
		}
		v.layout.Profile = p
		return nil
	}
}

// header returns the JOSE header of a token of the type.
func (p *Profile) header(key *Key, typ TokenType) string {
	switch p.typeIn {
	case typeInClass:
		return base64url.EncodeToString([]byte(`{"typ":"JWT","alg":"` + string(key.algorithm) + `","class":"` + typ.Name() + `"}`))
	case typeInClaim:
		return base64url.EncodeToString([]byte(`{"alg":"` + string(key.algorithm) + `","typ":"JWT"}`))
	default:
		return key.header(typ.headerType())
	}
}

// accepts reports whether a token is of the wanted type.
func (p *Profile) accepts(signed signedAs, c *claims, want TokenType) bool {
	var says string
	own := want.Name()
	switch p.typeIn {
	case typeInHeader:
		says, own = signed.typ, want.headerType()
	case typeInClass:
		says = signed.class
	case typeInClaim:
		says = c.typ
	case typeNowhere:
		return true
	}
	if p.typeValues != nil {
		return slices.Contains(p.typeValues, says)
	}
	return says == own
}

// prepare changes the claims of a token to issue into what the layout can say.
func (p *Profile) prepare(c *claims, typ TokenType) error {
	if p.typeIn == typeInClaim {
		c.typ = typ.Name()
	}
	if p.anyone {
		c.issuer, c.audience = "", nil
	}
	if p.wholeSeconds {
		// Rounded down all of them: a token never lives longer than it should, and a session never begins after a cut-off that it
		// should be before.
		for _, at := range []*instant{&c.expires, &c.issued, &c.notBefore, &c.authTime} {
			*at -= *at % 1000
		}
		if c.expires != none && c.expires <= c.issued {
			return errors.New("security: a token of the layout of " + p.name + " lives for whole seconds")
		}
	}
	if p.oneRole && len(c.roles) > 1 || p.roles == nil && len(c.roles) > 0 {
		return errors.New("security: a token of the layout of " + p.name + " cannot hold these roles")
	}
	return nil
}

// readRoles reads the roles from the value of the first claim of the path. Malformed ones are none.
func (p *Profile) readRoles(d *claimsDecoder, value jsontext.Value, end int) []string {
	for _, name := range p.roles[1:] {
		if value = member(value, name); value == nil {
			return nil
		}
		end = -1
	}
	roles, err := d.strings(value, end)
	if err != nil || slices.ContainsFunc(roles, emptyOrNUL) {
		return nil
	}
	return roles
}

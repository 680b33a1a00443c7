package providers

import (
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oapi-guard/oapi-guard/internal/jose"
	"github.com/oapi-guard/oapi-guard/internal/payload"
	"github.com/oapi-guard/oapi-guard/security"
)

// otherType is the type of a token that its claims show to be of another type. No claim can have
// this value, because NUL is refused.
const otherType = "\x00"

// eventsClaim is in logout tokens and other security event tokens (RFC 8417, section 2.2), which a
// provider signs with the same keys for the same audience.
const eventsClaim = "events"

const (
	errClaimValue   = jose.Malformed("a claim with another value than accepted")
	errClaimMissing = jose.Malformed("no claim that must have a value")
)

// layout adds the claims of a [Config] to a layout of package security.
type layout struct {
	security.Layout
	config Config
}

func newLayout(config Config, options []security.LayoutOption) (security.Layout, error) {
	for _, names := range [][]string{config.TypeClaims, config.OtherTypeClaims} {
		if slices.Contains(names, "") {
			return nil, errors.New("providers: a claim that tells the type has no name")
		}
	}
	if slices.ContainsFunc(config.Claims, func(c Claim) bool { return c.Name == "" }) {
		return nil, errors.New("providers: a claim that is demanded has no name")
	}
	inner, err := security.IdentityProvider(slices.Concat(config.Layout, options)...)
	if err != nil {
		return nil, err
	}
	return &layout{inner, config}, nil
}

// Audience implements payload.Layout.
func (l *layout) Audience(configured []string, issuer string, typ payload.Type) payload.Audience {
	audience := l.Layout.Audience(configured, issuer, typ)
	if l.config.AudienceOptional {
		audience.Required = false
	}
	return audience
}

// ClaimNames implements payload.Layout. The verifier refuses names that have a meaning already.
func (l *layout) ClaimNames() []string {
	names := l.Layout.ClaimNames()
	for _, name := range []string{l.config.IDClaim, l.config.SessionClaim, l.config.RoleNames} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Accepts implements payload.Layout.
func (l *layout) Accepts(header jose.Header, c *payload.Claims, want payload.Type) bool {
	return c.Type != otherType && l.Layout.Accepts(header, c, want)
}

// Decode implements payload.Layout.
func (l *layout) Decode(text []byte, r payload.Reading) (*payload.Claims, error) {
	claims, err := l.Layout.Decode(text, r)
	if err != nil {
		return nil, err
	}
	m := members{config: &l.config, claims: claims}
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, errClaimValue
	}
	if m.otherType || len(l.config.TypeClaims) > 0 && !m.wantedType {
		claims.Type = otherType
	}
	if !m.satisfied() {
		return nil, errClaimMissing
	}
	claims.Roles = withoutRepetition(claims.Roles)
	return claims, nil
}

// members reads the claims of a [Config] from a payload.
type members struct {
	config                *Config
	claims                *payload.Claims
	wantedType, otherType bool
	found                 []string
}

// UnmarshalJSONFrom implements the reading for Decode. A member that is null is absent.
func (m *members) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return jose.EachMember(dec, func(key []byte, value jsontext.Value) error {
		name := string(key)
		if value.Kind() == 'n' {
			return nil
		}
		m.wantedType = m.wantedType || slices.Contains(m.config.TypeClaims, name)
		m.otherType = m.otherType || name == eventsClaim || slices.Contains(m.config.OtherTypeClaims, name)
		for _, claim := range m.config.Claims {
			if claim.Name == name {
				m.found = append(m.found, name)
				if !claim.accepts(value) {
					return errClaimValue
				}
			}
		}
		var err error
		switch name {
		case m.config.IDClaim:
			m.claims.ID, err = jose.String(value)
		case m.config.SessionClaim:
			m.claims.Session, err = jose.String(value)
		case m.config.RoleNames:
			m.claims.Roles = append(m.claims.Roles, namesOf(value)...)
		}
		return err
	})
}

// satisfied reports whether no claim is missing. What was found has an accepted value.
func (m *members) satisfied() bool {
	return !slices.ContainsFunc(m.config.Claims, func(c Claim) bool {
		return !c.Optional && !slices.Contains(m.found, c.Name)
	})
}

func (c Claim) accepts(value jsontext.Value) bool {
	switch value.Kind() {
	case '"':
		text, err := jose.String(value)
		return err == nil && slices.Contains(c.Values, text)
	case 't', 'f', '0':
		return slices.Contains(c.Values, string(value))
	}
	return false
}

// namesOf returns the names of the members of an object. A value of another type has none, as roles
// that are malformed are none.
func namesOf(value jsontext.Value) []string {
	var object objectNames
	if value.Kind() != '{' || json.Unmarshal(value, &object) != nil {
		return nil
	}
	return object
}

type objectNames []string

// UnmarshalJSONFrom implements the reading for namesOf.
func (o *objectNames) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return jose.EachMember(dec, func(name []byte, _ jsontext.Value) error {
		if len(name) > 0 {
			*o = append(*o, string(name))
		}
		return nil
	})
}

// withoutRepetition removes roles that are at two places of a token, in place.
func withoutRepetition(roles []string) []string {
	unique := roles[:0]
	for _, role := range roles {
		if !slices.Contains(unique, role) {
			unique = append(unique, role)
		}
	}
	return unique
}

package securitytest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oapi-guard/oapi-guard/security"
)

// Defect is what is wrong with a token. It is a [TokenOption] of [Fixture.Text].
type Defect string

// The defects of tokens. Each is the only fault of its token: the signature of all but one is
// valid.
const (
	// Expired is a token that expired a minute ago, leeway included.
	Expired Defect = "expired"
	// NotYetValid is a token that becomes valid in a minute, leeway included.
	NotYetValid Defect = "not yet valid"
	// OtherIssuer is a token with the name of another issuer.
	OtherIssuer Defect = "other issuer"
	// OtherAudience is a token for another audience.
	OtherAudience Defect = "other audience"
	// WrongType is a token of another type: a refresh token in place of an access token.
	WrongType Defect = "wrong type"
	// Revoked is a token that the blacklist contains.
	Revoked Defect = "revoked"
	// BadSignature is a token whose signature has one changed bit.
	BadSignature Defect = "bad signature"

	noDefect Defect = ""
)

// defects are all defects, in the order of the matrix.
var defects = []Defect{BadSignature, Expired, NotYetValid, OtherIssuer, OtherAudience, WrongType, Revoked}

func (d Defect) change(p *tokenPlan) { p.defects = append(p.defects, d) }

// errNoDefect means that the verifier does not mind the defect.
var errNoDefect = errors.New("the verifier accepts the token nevertheless")

// reasons are the errors that the defects cause. A token of another type has another audience too.
var reasons = map[Defect][]error{
	Expired:       {security.ErrTokenExpired},
	NotYetValid:   {security.ErrTokenNotYetValid},
	OtherIssuer:   {security.ErrInvalidToken},
	OtherAudience: {security.ErrInvalidToken},
	WrongType:     {security.ErrWrongTokenType, security.ErrInvalidToken},
	Revoked:       {security.ErrTokenRevoked},
	BadSignature:  {security.ErrInvalidToken},
}

// check returns an error if the verifier did not decide as the defect demands.
func (d Defect) check(typ security.TokenType, err error) error {
	if d == noDefect {
		if err != nil {
			return fmt.Errorf("a token of the type %s is not accepted: %w", typ.Name(), err)
		}
		return nil
	}
	expected := reasons[d]
	switch {
	case expected == nil:
		return fmt.Errorf("there is no defect %q", d)
	case err == nil:
		return fmt.Errorf("a token of the type %s that is %q: %w; its layout does not check this", typ.Name(), d, errNoDefect)
	}
	for _, reason := range expected {
		if errors.Is(err, reason) {
			return nil
		}
	}
	return fmt.Errorf("a token of the type %s that is %q is refused for another reason: %w", typ.Name(), d, err)
}

// otherType returns a type that is not the given one.
func otherType(typ security.TokenType, name string) security.TokenType {
	switch {
	case name != "":
	case typ.Name() == "access":
		name = "refresh"
	default:
		name = "access"
	}
	return security.NewTokenType[security.NoClaims](name).OfVerifier(typ.Verifier())
}

// spoil gives a token the defects that no issuer can.
func (f *Fixture) spoil(typ security.TokenType, text string, defect Defect) (string, error) {
	switch defect {
	case OtherIssuer:
		return f.withClaim(typ, text, "iss", "https://other-issuer.example")
	case OtherAudience:
		return f.withClaim(typ, text, "aud", "https://other-audience.example")
	case BadSignature:
		return changeBit(text)
	case Revoked:
		token, err := f.verify(typ, text)
		if err != nil {
			return "", defect.check(typ, err)
		}
		return text, f.Validator.Revoke(f.t.Context(), token)
	}
	return text, nil
}

// withClaim changes a claim and signs again.
func (f *Fixture) withClaim(typ security.TokenType, text, name string, value any) (string, error) {
	return f.signAgain(typ, text, func(members map[string]any) error {
		members[name] = value
		return nil
	})
}

// withMissingClaims adds the claims that the token does not have, and signs again.
func (f *Fixture) withMissingClaims(typ security.TokenType, text string, claims any) (string, error) {
	return f.signAgain(typ, text, func(members map[string]any) error {
		encoded, err := json.Marshal(claims)
		if err != nil {
			return err
		}
		var added map[string]any
		if err := json.Unmarshal(encoded, &added); err != nil {
			return errors.New("private claims are a JSON object")
		}
		for name, value := range added {
			if _, ok := members[name]; !ok {
				members[name] = value
			}
		}
		return nil
	})
}

// signAgain changes the payload of a token and signs it with the same key.
func (f *Fixture) signAgain(typ security.TokenType, text string, change func(members map[string]any) error) (string, error) {
	header, rest, _ := strings.Cut(text, ".")
	encoded, _, _ := strings.Cut(rest, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return "", err
	}
	var members map[string]any
	if err := json.Unmarshal(decoded, &members); err != nil {
		return "", err
	}
	if err := change(members); err != nil {
		return "", err
	}
	content, err := json.Marshal(members, json.Deterministic(true))
	if err != nil {
		return "", err
	}
	key, err := f.sources[typ.Verifier()].SigningKey(f.t.Context())
	if err != nil {
		return "", err
	}
	signed := header + "." + base64.RawURLEncoding.EncodeToString(content)
	signature, err := key.Sign(signed)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

// changeBit changes one bit of the signature.
func changeBit(text string) (string, error) {
	end := strings.LastIndexByte(text, '.')
	signature, err := base64.RawURLEncoding.DecodeString(text[end+1:])
	if err != nil || len(signature) == 0 {
		return "", errors.New("the token has no signature")
	}
	signature[len(signature)/2] ^= 1
	return text[:end+1] + base64.RawURLEncoding.EncodeToString(signature), nil
}

func newSessionID() string { return rand.Text() }

package securitytest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// TokenOption changes a token for a test: [Roles] and the other functions here, or a [Defect].
type TokenOption interface{ change(*tokenPlan) }

// tokenPlan is a token to issue.
type tokenPlan struct {
	roles, scopes []string
	claims        any
	fresh         bool
	age           time.Duration
	defects       []Defect
	options       []security.TokenOption
	// csrf is the claim csrf of a token of the matrix, or "".
	csrf string
	// wrongType is the type that is issued for WrongType, or "" for any.
	wrongType string
}

type tokenOption func(*tokenPlan)

func (o tokenOption) change(p *tokenPlan) { o(p) }

// Roles sets the roles of the token.
func Roles(roles ...string) TokenOption { return tokenOption(func(p *tokenPlan) { p.roles = roles }) }

// Scopes sets the scopes of the token.
func Scopes(scopes ...string) TokenOption {
	return tokenOption(func(p *tokenPlan) { p.scopes = scopes })
}

// Claims sets the private claims of the token.
func Claims(claims any) TokenOption { return tokenOption(func(p *tokenPlan) { p.claims = claims }) }

// Fresh makes the token fresh, as a log-in does. Without it a token is like that of a refresh.
func Fresh() TokenOption { return tokenOption(func(p *tokenPlan) { p.fresh = true }) }

// AuthenticatedAgo sets how long ago the subject proved its identity: a stale authentication, for
// operations that need a recent one. The default is now.
func AuthenticatedAgo(d time.Duration) TokenOption {
	return tokenOption(func(p *tokenPlan) { p.age = d })
}

// With adds any option of an issuer, such as security.WithSession.
func With(options ...security.TokenOption) TokenOption {
	return tokenOption(func(p *tokenPlan) { p.options = append(p.options, options...) })
}

// TypedToken is a token type of generated code, such as gen.AccessToken.
type TypedToken interface {
	security.AnyToken
	// TokenType returns the token type of the document. Generated code has it.
	TokenType() security.TokenType
}

// Token returns a typed token for the unit test of a handler. A new fixture issues and verifies it.
// A handler that gives the token to a validator or to a session manager needs a token of the same
// fixture: see [TokenFrom].
func Token[T TypedToken](t testing.TB, subject string, options ...TokenOption) T {
	t.Helper()
	var others []Option
	if name := typeOf[T](t).Verifier(); name != "" {
		others = append(others, WithVerifier(name, "https://"+name+".example"))
	}
	return TokenFrom[T](New(t, others...), subject, options...)
}

// TokenFrom is [Token] for a token of the fixture. No hook runs. Of the defects only [Revoked] fits
// a typed token.
func TokenFrom[T TypedToken](f *Fixture, subject string, options ...TokenOption) T {
	f.t.Helper()
	typed, err := tokenFrom[T](f, typeOf[T](f.t), subject, options)
	if err != nil {
		f.t.Fatalf("securitytest: %v", err)
	}
	return typed
}

// typeOf returns the token type of a generated type.
func typeOf[T TypedToken](t testing.TB) security.TokenType {
	t.Helper()
	if reflect.TypeFor[T]().Kind() != reflect.Struct {
		t.Fatalf("securitytest: %s is not a token type of generated code, such as gen.AccessToken", reflect.TypeFor[T]())
	}
	var none T
	return none.TokenType()
}

func tokenFrom[T TypedToken](f *Fixture, typ security.TokenType, subject string, options []TokenOption) (T, error) {
	var none T
	p := planOf(options)
	revoked := len(p.defects) > 0 && p.defects[0] == Revoked
	if len(p.defects) > 1 || len(p.defects) == 1 && !revoked {
		return none, fmt.Errorf("no verifier makes a token that is %q; take the text of one (Fixture.Text)", p.defects[0])
	}
	p.defects = nil
	text, err := f.mint(typ, subject, p)
	if err != nil {
		return none, err
	}
	token, err := f.verify(typ, text)
	if err != nil {
		return none, err
	}
	if revoked {
		if err := f.Validator.Revoke(f.t.Context(), token); err != nil {
			return none, err
		}
	}
	return embed[T](token)
}

// embed returns a value of the generated type around a verified token. The types match, because
// both come from the same token type.
func embed[T TypedToken](token security.AnyToken) (T, error) {
	var typed T
	v := reflect.ValueOf(&typed).Elem()
	if v.Kind() != reflect.Struct || v.NumField() != 1 || !v.Type().Field(0).Anonymous || v.Type().Field(0).Type != reflect.TypeOf(token) {
		return typed, fmt.Errorf("%T is not a token type of generated code", typed)
	}
	v.Field(0).Set(reflect.ValueOf(token))
	return typed, nil
}

// Text returns the text of a token for a request. gen.AccessToken{}.TokenType() is the type of a
// document's access tokens. With a [Defect] the verifier refuses the token, for that reason alone.
// Text fails the test if it does not, and if a token without a defect is not accepted.
func (f *Fixture) Text(typ security.TokenType, subject string, options ...TokenOption) string {
	f.t.Helper()
	text, err := f.mint(typ, subject, planOf(options))
	if err != nil {
		f.t.Fatalf("securitytest: %v", err)
	}
	return text
}

func planOf(options []TokenOption) tokenPlan {
	var p tokenPlan
	for _, option := range options {
		option.change(&p)
	}
	return p
}

// mint issues a token, gives it the defect, and checks that the verifier refuses it for that
// reason, or accepts a token without one.
func (f *Fixture) mint(typ security.TokenType, subject string, p tokenPlan) (string, error) {
	if len(p.defects) > 1 {
		return "", errors.New("a token has at most one defect, so that a test knows why it is refused")
	}
	issuer, err := f.issuerOf(typ)
	if err != nil {
		return "", err
	}
	defect := noDefect
	if len(p.defects) == 1 {
		defect = p.defects[0]
	}
	claims := p.claims
	if claims == nil {
		claims = f.claims[typ.Name()]
	}
	issued := typ
	if defect == WrongType {
		issued, claims = otherType(typ, p.wrongType), nil
		if issued.Name() == "refresh" {
			p.roles, p.scopes = nil, nil // no issuer gives them to a refresh token
		}
	}
	text, err := f.issue(issuer, issued, subject, claims, f.optionsOf(issuer, defect, p))
	if err != nil {
		return "", err
	}
	if text, err = f.spoil(typ, text, defect); err != nil {
		return "", err
	}
	_, err = f.verify(typ, text)
	return text, defect.check(typ, err)
}

// errNotIssued means that the issuer does not issue such a token.
var errNotIssued = errors.New("is not issued")

// issue issues a token. The claims that an identity provider issues may have names that an issuer
// reserves, such as azp, so they are added to the token. Those that the token has stay as they are.
func (f *Fixture) issue(issuer *security.Issuer, typ security.TokenType, subject string, claims any, options []security.TokenOption) (string, error) {
	issued, private := typ, claims
	isForeign := typ.Verifier() != "" && claims != nil
	if isForeign {
		issued, private = security.NewTokenType[security.NoClaims](typ.Name()), nil
	}
	token, err := issuer.Issue(f.t.Context(), issued, subject, private, options...)
	if err != nil {
		hint := ""
		if claims == nil && strings.Contains(err.Error(), "private claims") {
			hint = " (set them with securitytest.Claims or securitytest.WithClaims)"
		}
		return "", fmt.Errorf("a token of the type %s %w: %w%s", typ.Name(), errNotIssued, err, hint)
	}
	if !isForeign {
		return token.Text(), nil
	}
	return f.withMissingClaims(typ, token.Text(), claims)
}

// optionsOf returns the options of the issuer for the plan.
func (f *Fixture) optionsOf(issuer *security.Issuer, defect Defect, p tokenPlan) []security.TokenOption {
	now, leeway := f.Clock.Now(), issuer.Verifier().Leeway()
	options := slices.Clone(p.options)
	if len(p.roles) > 0 {
		options = append(options, security.WithRoles(p.roles...))
	}
	if len(p.scopes) > 0 {
		options = append(options, security.WithScopes(p.scopes...))
	}
	if p.fresh {
		options = append(options, security.WithFresh())
	}
	start := now.Add(-p.age)
	switch defect {
	case Expired:
		issued := now.Add(-leeway - 2*time.Minute)
		if start.After(issued) {
			start, p.age = issued, now.Sub(issued)
		}
		options = append(options, security.WithIssuedAt(issued), security.WithLifetime(time.Minute))
	case NotYetValid:
		options = append(options, security.WithIssuedAt(now.Add(leeway+time.Minute)))
	}
	if p.csrf != "" {
		return append(options, security.WithSessionState(security.SessionState{ID: newSessionID(), Start: start, CSRF: p.csrf, Fresh: p.fresh}))
	}
	if p.age != 0 {
		options = append(options, security.WithSessionStart(start))
	}
	return options
}

// verify verifies the text and asks the blacklist. No hook runs.
func (f *Fixture) verify(typ security.TokenType, text string) (security.AnyToken, error) {
	token, err := f.Validator.Verifier(typ.Verifier()).Verify(f.t.Context(), typ, text)
	if err != nil {
		return nil, err
	}
	return token, f.Validator.CheckRevoked(f.t.Context(), token)
}

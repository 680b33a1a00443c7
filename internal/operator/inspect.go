package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// Levels of a [Finding].
const (
	LevelOK      = "ok"
	LevelWarning = "warning"
	LevelError   = "error"
)

// Finding is something that was checked.
type Finding struct {
	// Area is what it is about, such as "store".
	Area  string `json:"area"`
	Level string `json:"level"`
	Text  string `json:"text"`
	// Fix says what to do, or is "".
	Fix string `json:"fix,omitempty"`
}

// Verdict is what a verifier says about a token.
type Verdict struct {
	// Keys is the file with the keys of the verifier.
	Keys    string `json:"keys"`
	Accepts bool   `json:"accepts"`
	// Layout is the layout of the verifier: "RFC9068" or "PlainJWT".
	Layout string `json:"layout,omitempty"`
	// Reason says why it refuses.
	Reason string `json:"reason,omitempty"`
}

// Inspection is what is known about a token.
type Inspection struct {
	Header map[string]any `json:"header"`
	Claims map[string]any `json:"claims"`
	// Type is the type of token that the header names, or "".
	Type string `json:"type,omitempty"`
	// Times has the claims exp, nbf, iat and auth_time as text.
	Times    map[string]time.Time `json:"times,omitempty"`
	Findings []Finding            `json:"findings"`
	// Verdicts has an entry for each key file that was given.
	Verdicts []Verdict `json:"verdicts,omitempty"`
}

// NamedKeys are the keys of a verifier.
type NamedKeys struct {
	Name string
	Set  *keys.Set
}

// Expectation is what a verifier of the token expects. A field that is empty is taken from the token.
type Expectation struct {
	Issuer   string
	Audience []string
	Keys     []NamedKeys
	Now      func() time.Time
}

// Inspect says what is wrong with a token, and which of the verifiers would take it.
func Inspect(ctx context.Context, text string, expected Expectation) (*Inspection, error) {
	d, err := Decode(text)
	if err != nil {
		return nil, err
	}
	i := &Inspection{Header: d.Header, Claims: d.Claims, Type: d.tokenType(), Times: map[string]time.Time{}, Findings: []Finding{}}
	for _, name := range []string{"exp", "nbf", "iat", "auth_time"} {
		if at, ok := d.time(name); ok {
			i.Times[name] = at
		}
	}
	i.checkHeader(d)
	i.checkTimes(expected.Now())
	i.checkClaims(d, expected)
	for _, named := range expected.Keys {
		verdict := verdictOf(ctx, d, named, expected)
		i.Verdicts = append(i.Verdicts, verdict)
	}
	if len(expected.Keys) == 0 {
		i.add(LevelWarning, "the signature was not checked", "pass the keys of the verifier with --keys")
	}
	return i, nil
}

func (i *Inspection) add(level, text, fix string) {
	i.Findings = append(i.Findings, Finding{Area: "token", Level: level, Text: text, Fix: fix})
}

func (i *Inspection) checkHeader(d *Decoded) {
	switch algorithm := d.header("alg"); {
	case d.strictHeader != nil:
		i.add(LevelError, "no verifier accepts the header", "alg, kid and typ are strings, no member is there twice, and crit, b64, zip, cty and enc are absent")
	case strings.EqualFold(algorithm, "none"):
		i.add(LevelError, "the token has no signature (alg none)", "a token is signed by its issuer")
	}
	if d.header("kid") == "" {
		i.add(LevelWarning, "the header has no kid, so a verifier tries all its keys", "")
	}
	switch typ := d.header("typ"); {
	case i.Type != "":
	case strings.EqualFold(typ, "JWT"):
		i.add(LevelWarning, "the typ is JWT, which does not tell an access token from other tokens", "a verifier needs security.PlainJWT(), or the layout of the identity provider")
	default:
		i.add(LevelWarning, "the typ is not at+jwt (RFC 9068, section 2.1)", "a verifier needs the layout of the identity provider")
	}
}

func (i *Inspection) checkTimes(now time.Time) {
	const leeway = security.DefaultLeeway
	expires, hasExpires := i.Times["exp"]
	begins, hasBegins := i.Times["nbf"]
	issued, hasIssued := i.Times["iat"]
	switch {
	case !hasExpires:
		i.add(LevelError, "the token never expires: it has no exp", "a verifier needs security.WithNeverExpiring()")
	case now.After(expires.Add(leeway)):
		i.add(LevelError, fmt.Sprintf("the token expired %s ago", about(now.Sub(expires))), "refresh it, or log in again")
	}
	if hasBegins && begins.After(now.Add(leeway)) {
		i.add(LevelError, fmt.Sprintf("the token is valid in %s", about(begins.Sub(now))), "compare the clocks of the issuer and of this machine")
	}
	if hasIssued && issued.After(now.Add(leeway)) {
		i.add(LevelError, fmt.Sprintf("the token was issued %s in the future", about(issued.Sub(now))), "compare the clocks of the issuer and of this machine")
	}
	if hasIssued && hasExpires && expires.Sub(issued) > security.DefaultMaxLifetime {
		i.add(LevelWarning, fmt.Sprintf("the token lives for %s, and verifiers accept %s by default", about(expires.Sub(issued)), about(security.DefaultMaxLifetime)),
			"a verifier needs security.WithMaxLifetime")
	}
}

// about returns a duration for people.
func about(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}

func (i *Inspection) checkClaims(d *Decoded, expected Expectation) {
	switch issuer := d.string("iss"); {
	case issuer == "":
		i.add(LevelError, "the token has no iss", "a verifier needs to know whose token it is")
	case expected.Issuer != "" && issuer != expected.Issuer:
		i.add(LevelError, "the token is of the issuer "+printable(issuer), "the names are compared letter by letter, a slash at the end included")
	}
	audience := d.audience()
	switch {
	case len(audience) == 0:
		i.add(LevelError, "the token has no aud", "a verifier has to know that the token is for it")
	case len(expected.Audience) > 0 && !slices.ContainsFunc(audience, func(name string) bool { return slices.Contains(expected.Audience, name) }):
		i.add(LevelError, "the token is for "+printable(strings.Join(audience, ", ")), "a verifier needs security.WithAudience, or the issuer another aud")
	}
	if d.string("sub") == "" {
		i.add(LevelWarning, "the token has no sub, so nobody is logged in with it", "")
	}
	if d.string("jti") == "" {
		i.add(LevelWarning, "the token has no jti, so it cannot be revoked alone", "")
	}
	if d.string("sid") == "" {
		i.add(LevelWarning, "the token has no sid, so a log-out cannot end it with its session", "")
	}
}

// verdictOf verifies the token as a service with the keys does.
func verdictOf(ctx context.Context, d *Decoded, named NamedKeys, expected Expectation) Verdict {
	verdict := Verdict{Keys: named.Name}
	issuer := expected.Issuer
	if issuer == "" {
		issuer = d.string("iss")
	}
	typ := d.tokenType()
	if typ == "" {
		typ = "access"
	}
	audience := expected.Audience
	if len(audience) == 0 && typ == "access" {
		audience = d.audience()
	}
	for _, layout := range []struct {
		name   string
		layout security.Layout
	}{{"RFC9068", security.RFC9068()}, {"PlainJWT", security.PlainJWT()}} {
		options := []security.VerifierOption{security.WithLayout(layout.layout), security.WithClock(expected.Now)}
		if len(audience) > 0 {
			options = append(options, security.WithAudience(audience...))
		}
		verifier, err := security.NewVerifier(issuer, named.Set, options...)
		if err == nil {
			_, err = verifier.Verify(ctx, security.NewTokenType[map[string]any](typ), d.Text)
		}
		if err == nil {
			return Verdict{Keys: named.Name, Accepts: true, Layout: layout.name}
		}
		if verdict.Reason == "" { // that of the default layout
			verdict.Reason = strings.TrimPrefix(err.Error(), "security: ")
		}
	}
	return verdict
}

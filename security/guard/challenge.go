package guard

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// quoted returns a text as a quoted-string (RFC 9110, section 5.6.4).
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// challengeOf returns the challenge of a scheme without an error (RFC 9110, section 11.6.1), or ""
// if it is suppressed. A 401 must have a challenge, so kinds without an HTTP auth scheme have words
// of this package, which tell what the operation accepts.
func (p *Policy) challengeOf(s *Scheme) string {
	realm := ` realm=` + p.realm
	src := s.source()
	switch {
	case s.Kind == KindCertificate:
		return "ClientCertificate" + realm
	case s.Kind == KindBasic && p.noBasicChallenge:
		return ""
	case s.Kind == KindBasic:
		return "Basic" + realm + `, charset="UTF-8"`
	case src.name == authorization && s.Prefix != "":
		return s.Prefix + realm
	case s.Kind == KindJWT || src.prefix == "bearer":
		return "Bearer" + realm
	}
	in := map[Location]string{InHeader: "header", InQuery: "query", InCookie: "cookie"}[s.In]
	return "ApiKey" + realm + `, in="` + in + `", name=` + quoted(s.Parameter)
}

// hasErrorCodes reports whether the scheme's challenge has the error codes of RFC 6750.
func (s *Scheme) hasErrorCodes() bool { return s.Kind == KindJWT || s.source().prefix == "bearer" }

// challengesFor returns the values of WWW-Authenticate for an error (RFC 6750, section 3; RFC 9470,
// section 3), each distinct challenge once. The error code is only on the scheme whose credential
// failed, and scopes are named only if one of them is missing.
func (g *Guard) challengesFor(scheme *Scheme, said summary, err error) []string {
	if said.status != http.StatusUnauthorized && said.code == "" {
		return nil
	}
	if scheme == nil && said.code != "" {
		scheme = g.firstBearer()
	}
	failed, withError := "", ""
	if scheme != nil && scheme.hasErrorCodes() && said.code != "" {
		failed = g.policy.challengeOf(scheme)
		withError = failed + g.errorParameters(said, err)
	}
	if said.status != http.StatusUnauthorized {
		if withError == "" {
			return nil
		}
		return []string{withError}
	}
	challenges := g.challenges
	if len(challenges) == 0 {
		challenges = []string{"Bearer realm=" + g.policy.realm}
	}
	result := make([]string, 0, len(challenges))
	for _, challenge := range challenges {
		if challenge == failed {
			challenge = withError
		}
		result = append(result, challenge)
	}
	return result
}

// firstBearer returns a scheme for an error that no single credential caused, or nil.
func (g *Guard) firstBearer() *Scheme {
	if len(g.alternatives) == 0 {
		return &Scheme{}
	}
	for _, a := range g.alternatives {
		for _, s := range a {
			if s.hasErrorCodes() {
				return s.Scheme
			}
		}
	}
	return nil
}

// errorParameters returns the parameters of a challenge that describe an error.
func (g *Guard) errorParameters(said summary, err error) string {
	text := `, error="` + said.code + `", error_description="` + said.detail + `"`
	if errors.Is(err, security.ErrFreshTokenRequired) && g.operation != nil && g.operation.Rules.MaxAge > 0 {
		text += `, max_age="` + strconv.FormatInt(int64(g.operation.Rules.MaxAge/time.Second), 10) + `"`
	}
	var scopes missingScopes
	if errors.As(err, &scopes) && len(scopes) > 0 {
		text += `, scope="` + strings.Join(scopes, " ") + `"`
	}
	return text
}

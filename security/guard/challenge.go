//go:build ignore

package security

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// quoted returns a text as a quoted-string (RFC 9110, section 5.6.4).
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// challengeOf returns the challenge of a scheme without an error (RFC 9110, section 11.6.1), or "" where it is suppressed. Kinds that HTTP
// has no auth scheme for have words of this package: a 401 has to have a challenge, and it tells what the operation takes.
func (v *Validator) challengeOf(s *Scheme) string {
	realm := ` realm=` + v.realm
	src := s.source()
	switch {
	case s.Kind == KindCertificate:
		return "ClientCertificate" + realm
	case s.Kind == KindBasic && v.noBasicChallenge:
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

// carriesErrors reports whether RFC 6750 gives the scheme's challenge its error codes.
func (s *Scheme) carriesErrors() bool { return s.Kind == KindJWT || s.source().prefix == "bearer" }

// challengesFor returns the values of WWW-Authenticate for an error (RFC 6750, section 3; RFC 9470, section 3), each distinct challenge once.
// The error code stands only on the scheme whose credential failed, and scopes only where one of them is missing.
func (g *Guard) challengesFor(scheme *Scheme, e *Error, failure error) []string {
	if e.status != http.StatusUnauthorized && e.code == "" {
		return nil
	}
	if scheme == nil && e.code != "" {
		scheme = g.anyBearer()
	}
	failed, withError := "", ""
	if scheme != nil && scheme.carriesErrors() && e.code != "" {
		failed = g.validator.challengeOf(scheme)
		withError = failed + g.errorParameters(e, failure)
	}
	if e.status != http.StatusUnauthorized {
		if withError == "" {
			return nil
		}
		return []string{withError}
	}
	challenges := g.challenges
	if len(challenges) == 0 {
		challenges = []string{"Bearer realm=" + g.validator.realm}
	}
	own := make([]string, 0, len(challenges))
	for _, challenge := range challenges {
		if challenge == failed {
			challenge = withError
		}
		own = append(own, challenge)
	}
	return own
}

// anyBearer returns a scheme for an error that no single credential is to blame for, or nil.
func (g *Guard) anyBearer() *Scheme {
	if len(g.alternatives) == 0 {
		return &Scheme{}
	}
	for _, a := range g.alternatives {
		for _, p := range a {
			if p.scheme.carriesErrors() {
				return p.scheme
			}
		}
	}
	return nil
}

// errorParameters returns what a challenge says of an error.
func (g *Guard) errorParameters(e *Error, failure error) string {
	text := `, error="` + e.code + `", error_description="` + e.detail + `"`
	if e == ErrFreshTokenRequired && g.operation != nil && g.operation.Rules.MaxAge > 0 {
		text += `, max_age="` + strconv.FormatInt(int64(g.operation.Rules.MaxAge/time.Second), 10) + `"`
	}
	var r *refusal
	if errors.As(failure, &r) && len(r.scopes) > 0 {
		text += `, scope="` + strings.Join(r.scopes, " ") + `"`
	}
	return text
}

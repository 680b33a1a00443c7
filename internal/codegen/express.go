package codegen

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kinds are the kinds of credentials that are not JWTs, as package security and the methods of an
// Authenticator name them.
var kinds = map[kind]struct{ constant, resolve, parameter string }{
	kindBasic:       {"guard.KindBasic", "guard.AuthenticateBasic", "credentials guard.BasicCredentials"},
	kindKey:         {"guard.KindKey", "guard.AuthenticateKey", "key string"},
	kindCertificate: {"guard.KindCertificate", "guard.AuthenticateCertificate", "certificate *x509.Certificate"},
}

func requirementExpression(r *requirement) string {
	if r.public() {
		return ""
	}
	var alternatives []string
	for _, a := range r.alternatives {
		var schemes []string
		for _, s := range a {
			schemes = append(schemes, "guardedSchemes."+s.goName+listCall("With", s.scopes)+listCall("WithRoles", s.roles))
		}
		alternatives = append(alternatives, "{"+strings.Join(schemes, ", ")+"}")
	}
	return "guard.Requirement{" + strings.Join(alternatives, ", ") + "}"
}

// listCall returns a call of a method with strings, "" where there are none.
func listCall(method string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	return "." + method + "(" + strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", list), "[]string{"), "}") + ")"
}

// schemeFields returns the fields that say what the credential is, where it stands and whose it is,
// as Go.
func schemeFields(s *scheme) string {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			b.WriteString(", " + name + ": " + value)
		}
	}
	if s.kind == kindJWT {
		field("Token", "guardedTokenTypes."+s.goType)
	} else {
		field("Kind", kinds[s.kind].constant)
	}
	field("In", map[string]string{"query": "guard.InQuery", "cookie": "guard.InCookie"}[s.in])
	for _, f := range [][2]string{{"Parameter", s.parameter}, {"Prefix", s.prefix}} {
		if f[1] != "" {
			field(f[0], strconv.Quote(f[1]))
		}
	}
	if s.csrfForm {
		field("CSRFForm", "true")
	}
	return b.String()
}

func rulesExpression(r rules) string {
	var fields []string
	if r.fresh {
		fields = append(fields, "Fresh: true")
	}
	if r.maxAge > 0 {
		fields = append(fields, "MaxAge: "+durationExpression(r.maxAge))
	}
	for _, list := range []struct {
		field string
		roles []string
	}{{"AllowRoles", r.allow}, {"DenyRoles", r.deny}} {
		if list.roles != nil {
			fields = append(fields, fmt.Sprintf("%s: %#v", list.field, list.roles))
		}
	}
	if r.immediate {
		fields = append(fields, "ImmediateRevocation: true")
	}
	if r.watch {
		fields = append(fields, "Watch: true")
	}
	if fields == nil {
		return ""
	}
	return "guard.Rules{" + strings.Join(fields, ", ") + "}"
}

func durationExpression(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{time.Hour, "time.Hour"}, {time.Minute, "time.Minute"}} {
		if d%unit.length == 0 {
			return fmt.Sprintf("%d * %s", d/unit.length, unit.name)
		}
	}
	return fmt.Sprintf("%d * time.Second", d/time.Second)
}

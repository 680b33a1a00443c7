package interop

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// row is one token, and whether a verifier that expects an access token may accept it.
type row struct {
	name string
	// short is the name in the table.
	short    string
	issuer   func(issuing) *security.Issuer
	refresh  bool
	audience string
	// typ is the header typ, at+jwt by default.
	typ      string
	accepted bool
	// claim is the claim that tells. A verifier that ignores it is not asked.
	claim string
}

// defaultType is the header typ of access tokens.
const defaultType = "at+jwt"

// layouts are the layouts with which the rows are tried, by the header typ of access tokens.
var layouts = map[string]security.Layout{defaultType: security.RFC9068(), "JWT": security.PlainJWT()}

var rows = []row{
	{name: "access token", short: "access", issuer: func(i issuing) *security.Issuer { return i.api }, audience: audience, accepted: true},
	{name: "access token, the issuer is the audience", short: "access, default aud", issuer: func(i issuing) *security.Issuer { return i.itself }, audience: issuer, accepted: true},
	{name: "refresh token", short: "refresh", issuer: func(i issuing) *security.Issuer { return i.api }, refresh: true, audience: audience, claim: "aud"},
	{name: "refresh token, the issuer is the audience", short: "refresh, default aud", issuer: func(i issuing) *security.Issuer { return i.itself }, refresh: true, audience: issuer, claim: "aud"},
	{name: "other audience", short: "other aud", issuer: func(i issuing) *security.Issuer { return i.otherAudience }, audience: audience, claim: "aud"},
	{name: "other issuer", short: "other iss", issuer: func(i issuing) *security.Issuer { return i.otherIssuer }, audience: audience, claim: "iss"},
	{name: "expired", short: "expired", issuer: func(i issuing) *security.Issuer { return i.hourAgo }, audience: audience, claim: "exp"},
	{name: "other key with the same id", short: "other key", issuer: func(i issuing) *security.Issuer { return i.otherKey }, audience: audience},
	{name: "access token, typ JWT", short: "access, typ JWT", issuer: func(i issuing) *security.Issuer { return i.api }, typ: "JWT", audience: audience, accepted: true},
	{name: "refresh token, typ JWT", short: "refresh, typ JWT", issuer: func(i issuing) *security.Issuer { return i.api }, refresh: true, typ: "JWT", audience: audience, claim: "aud"},
}

// request issues the token of the row. The verifier is asked at once: a token has to be valid in the
// moment of its issue.
func (r row) request(t *testing.T, typ string, i issuing) request {
	t.Helper()
	pair := must(r.issuer(i).IssueTokenPair(t.Context(), subject, nil, nil,
		security.WithClientID("client-1"), security.WithScopes("read"), security.WithRoles("admin")))(t)
	token := pair.Access
	if r.refresh {
		token = pair.Refresh
	}
	return request{
		Token: token.Text(), Algorithm: i.key.Algorithm(), Issuer: issuer, Audience: r.audience, Type: typ,
		JWKSURL: i.jwksURL, JWK: i.jwk, PEM: i.pem, Secret: i.secret, public: i.public,
	}
}

// decide asks the verifier about the row, and returns what is wrong with its decision, or "". It asks
// again about a token of the first milliseconds of a second: the clock of time(2), which verifiers in C
// and Perl read, may be some milliseconds behind, so that they see the second before.
func (r row) decide(t *testing.T, ask func(request) decision, typ string, i issuing) string {
	t.Helper()
	for {
		now := time.Now()
		problem := r.check(ask(r.request(t, typ, i)))
		if problem == "" || now.Sub(now.Truncate(time.Second)) > 20*time.Millisecond {
			return problem
		}
	}
}

// check returns what is wrong with the decision, or "".
func (r row) check(d decision) string {
	switch {
	case d.Accepted != r.accepted && d.Accepted:
		return "accepted"
	case d.Accepted != r.accepted:
		return "refused: " + d.Error[:min(len(d.Error), 200)]
	case d.Accepted && d.Subject != subject:
		return fmt.Sprintf("accepted with the subject %q", d.Subject)
	}
	return ""
}

// TestVerifiers issues tokens and has the verifiers of other projects verify them. It prints the
// table.
func TestVerifiers(t *testing.T) {
	all := map[string]issuing{}
	for typ, layout := range layouts {
		for _, algorithm := range algorithms {
			all[typ+string(algorithm)] = newIssuing(t, algorithm, layout)
		}
	}
	lines := []string{header(), strings.Repeat("|---", len(rows)+3) + "|"}
	for _, v := range verifiers {
		t.Run(strings.ReplaceAll(v.name, "/", " "), func(t *testing.T) {
			ask, version, err := v.start(t)
			if err != nil {
				lines = append(lines, fmt.Sprintf("| %s | not run: %v |", v.name, err))
				skip(t, err)
			}
			cells := []string{v.name, version}
			for _, r := range rows {
				cells = append(cells, r.run(t, v, ask, all))
			}
			lines = append(lines, "| "+strings.Join(append(cells, names(v)), " | ")+" |")
		})
	}
	t.Logf("\n%s", strings.Join(lines, "\n"))
}

// run asks the verifier about the row in each algorithm. It returns the cell of the table.
func (r row) run(t *testing.T, v verifier, ask func(request) decision, all map[string]issuing) string {
	t.Helper()
	// A verifier that demands a typ is asked about that typ.
	typ := cmp.Or(r.typ, v.typ, defaultType)
	if slices.Contains(v.ignores, r.claim) || r.typ != "" && v.typ != "" {
		return "-"
	}
	var wrong []string
	for _, algorithm := range v.algorithms {
		problem := r.decide(t, ask, typ, all[typ+string(algorithm)])
		if problem == "" {
			continue
		}
		wrong = append(wrong, string(algorithm))
		t.Errorf("%s, %s: %s", r.name, algorithm, problem)
	}
	switch {
	case len(wrong) == 0 && r.accepted:
		return "yes"
	case len(wrong) == 0:
		return "no"
	case len(wrong) == len(v.algorithms):
		return "WRONG"
	default:
		return "WRONG: " + strings.Join(wrong, " ")
	}
}

func header() string {
	cells := []string{"verifier", "version"}
	for _, r := range rows {
		cells = append(cells, r.short)
	}
	return "| " + strings.Join(append(cells, "algorithms"), " | ") + " |"
}

// names lists the algorithms by family: "RS" is RS256, RS384 and RS512.
func names(v verifier) string {
	if len(v.algorithms) == len(algorithms) {
		return "all"
	}
	families := map[string][]string{}
	var order []string
	for _, algorithm := range v.algorithms {
		family := string(algorithm[:2])
		if families[family] == nil {
			order = append(order, family)
		}
		families[family] = append(families[family], string(algorithm))
	}
	var list []string
	for _, family := range order {
		if len(families[family]) == 3 {
			list = append(list, family)
		} else {
			list = append(list, families[family]...)
		}
	}
	return strings.Join(list, " ")
}

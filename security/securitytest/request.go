package securitytest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

// csrfClaim is the claim csrf of all tokens of a matrix, so that two cookies of one request have
// the same.
const csrfClaim = "securitytest-csrf"

// put puts the credentials of a try on the request.
func (m *matrix) put(r *http.Request, t *try) error {
	if t.unknownScheme {
		r.Header.Set("Authorization", "Unknown credential")
	}
	if t.crossSite {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://other-site.example")
	}
	for i := range t.present {
		p := &t.present[i]
		if p.supplied != nil && p.supplied.Set != nil {
			p.supplied.Set(r)
			continue
		}
		text, err := m.textOf(p)
		if err != nil {
			return err
		}
		p.put(r, text)
		if p.token != nil && p.scheme.In == guard.InCookie && !t.noCSRF {
			r.Header.Set(m.csrfHeader, csrfClaim)
		}
		if p.scheme.CSRFForm {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	return nil
}

// put puts the text at the place of the scheme.
func (p *presented) put(r *http.Request, text string) {
	times := 1
	if p.twice {
		times = 2
	}
	at := placeOf(p.scheme)
	for range times {
		switch at.in {
		case guard.InQuery:
			query := at.name + "=" + url.QueryEscape(text)
			if r.URL.RawQuery != "" {
				query = r.URL.RawQuery + "&" + query
			}
			r.URL.RawQuery = query
			r.RequestURI = r.URL.RequestURI()
		case guard.InCookie:
			cookie := at.name + "=" + text
			if before := r.Header.Get("Cookie"); before != "" {
				cookie = before + "; " + cookie
			}
			r.Header.Set("Cookie", cookie)
		default:
			if at.prefix != "" {
				text = at.prefix + " " + text
			}
			r.Header.Add(at.name, text)
		}
	}
}

// textOf returns the text of a credential. Tokens are issued once for a matrix.
func (m *matrix) textOf(p *presented) (string, error) {
	switch {
	case p.supplied != nil && p.scheme.Kind == guard.KindBasic:
		return base64.StdEncoding.EncodeToString([]byte(p.supplied.Value)), nil
	case p.supplied != nil:
		return p.supplied.Value, nil
	case p.token == nil && p.scheme.Kind == guard.KindBasic:
		return base64.StdEncoding.EncodeToString([]byte("securitytest:unknown")), nil
	case p.token == nil:
		return "securitytest-unknown", nil
	}
	typ := p.scheme.Token
	key := fmt.Sprintf("%s %s %+v", typ.Verifier(), typ.Name(), *p.token)
	if minted, ok := m.texts[key]; ok {
		return minted.text, minted.err
	}
	plan := tokenPlan{roles: p.token.roles, scopes: p.token.scopes, fresh: p.token.fresh, age: p.token.age, csrf: csrfClaim, wrongType: p.token.wrongType}
	if p.token.defect != noDefect {
		plan.defects = []Defect{p.token.defect}
	}
	var minted mintedText
	minted.text, minted.err = m.mint(typ, m.subject, plan)
	m.texts[key] = minted
	return minted.text, minted.err
}

package guard

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// fuzzedSources has a source of each kind, with and without a word in front of the credential.
var fuzzedSources = []source{
	(&Scheme{}).source(),
	(&Scheme{Parameter: "X-Token"}).source(),
	(&Scheme{In: InQuery, Parameter: "token"}).source(),
	(&Scheme{In: InCookie, Parameter: "token"}).source(),
	(&Scheme{Kind: KindKey, Parameter: "X-Key"}).source(),
	(&Scheme{Kind: KindBasic}).source(),
	(&Scheme{Kind: KindKey, Prefix: "Digest"}).source(),
}

// FuzzLocate locates a credential in lines. They are values of the header, pairs of the query or
// Cookie headers.
func FuzzLocate(f *testing.F) {
	for place, seeds := range [][]string{
		{"Bearer a.b.c", "bearer  a.b.c ", "Bearer", "", "Basic YTpi", "Bearer a b", "Bearer a\tb", "Bearer a\nBearer a", "Basic x\nBearer a", "Bearer,a", "\tBearer a"},
		{"a.b.c", " a.b.c ", "", "a b", "a\na", "Bearer a"},
		{"token=a.b.c", "token=", "token", "Token=a", "token=a\ntoken=b", "t%6fken=a\ntoken=b", "token=a+b", "token=%zz", "token=a;token=b", "x=token=a", ""},
		{"token=a.b.c", `token="a"`, "token=", "token", "x=1; token=a", "token=a; token=b", "token=a\ntoken=b", "Token=a", "token =a", "token=a b", ";;", ""},
		{"key", " a key ", "", "a\tb", "a\na"},
		{"Basic YTpi", "basic  YTpi ", "Basic", "Bearer a", "Basic a b", "Basic a\nBearer a"},
		{`Digest username="a", realm="b"`, "digest", "Digest  a", "Digest a\nDigest a"},
	} {
		for _, seed := range seeds {
			f.Add(uint8(place), seed)
		}
	}
	// The result is no credential, a credential that is not empty and has no spaces unless it may,
	// or a malformed request. Two credentials are always a malformed request.
	f.Fuzz(func(t *testing.T, place uint8, text string) {
		src := fuzzedSources[int(place)%len(fuzzedSources)]
		lines := strings.Split(text, "\n")
		r, places := requestWith(src, lines)
		var got locatedCredential
		err := src.locate(httpRequest{r}, &got)
		switch {
		case err != nil && (!errors.Is(err, security.ErrMalformedRequest) || got.present || got.text != "" || got.others != nil):
			t.Errorf("%+v and the error %v", got, err)
		case err != nil:
		case got.present == (got.text == ""):
			t.Errorf("present is %t, the token %q", got.present, got.text)
		case !src.spaces && strings.Contains(got.text, " ") || strings.Contains(got.text, "\t"):
			t.Errorf("a credential with spaces: %q", got.text)
		case got.present && src.in == InHeader && !strings.HasSuffix(strings.TrimRight(lines[0], " "), got.text):
			t.Errorf("the token %q is not the end of %q", got.text, lines[0])
		case got.present && src.prefix != "" && !strings.EqualFold(strings.Fields(lines[0])[0], src.prefix):
			t.Errorf("the word in front of the token is not %s: %q", src.prefix, lines[0])
		}
		switch {
		case places > 1 && err == nil && src.in != InCookie: // of a cookie, verify decides
			t.Errorf("%d credentials and no error", places)
		case places == 0 && (err != nil || got.present):
			t.Errorf("no credential, but %+v, %v", got, err)
		}
	})
}

// requestWith returns a request with the lines at the source, and how many credentials they are,
// counted without the code under test. It returns -1 where that is unclear, above all where
// net/http drops what is malformed.
func requestWith(src source, lines []string) (*http.Request, int) {
	r := &http.Request{Method: http.MethodGet, Header: http.Header{}, URL: &url.URL{Path: "/"}}
	places := 0
	switch src.in {
	case InQuery:
		r.URL.RawQuery = strings.Join(lines, "&")
		for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
			name, value, _ := strings.Cut(pair, "=")
			name, err := url.QueryUnescape(name)
			_, err2 := url.QueryUnescape(value)
			if err != nil || err2 != nil || strings.Contains(pair, ";") {
				return r, -1
			}
			if name == src.name && pair != "" {
				places++
			}
		}
	case InCookie:
		r.Header["Cookie"] = lines
		for _, line := range lines {
			cookies, err := http.ParseCookie(line)
			if err != nil {
				return r, -1
			}
			for _, cookie := range cookies {
				if cookie.Name == src.name {
					places++
				}
			}
		}
	default:
		r.Header[src.name] = lines
		if len(lines) == 1 {
			return r, -1 // another word in front of it would make it no credential
		}
		places = len(lines)
	}
	return r, places
}

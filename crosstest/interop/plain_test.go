//go:build interopnext

package interop

import "github.com/oapi-guard/oapi-guard/security"

// The rows for access tokens with the header typ JWT, for verifiers that know no other.
func init() {
	rows = append(rows,
		row{name: "access token, typ JWT", short: "typ JWT", issuer: func(i issuing) *security.Issuer { return i.plain }, typ: "JWT", audience: audience, accepted: true},
		row{name: "refresh token, typ JWT", short: "typ JWT, refresh", issuer: func(i issuing) *security.Issuer { return i.plain }, refresh: true, typ: "JWT", audience: audience, claim: "aud"},
	)
	plainJWT = []security.Option{security.WithLayout(security.PlainJWT())}
}

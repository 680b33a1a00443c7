//go:build interopnext

package interop

import "github.com/oapi-guard/oapi-guard/security"

// The rows for access tokens with the header typ JWT, for verifiers that know no other.
func init() {
	api := func(i issuing) *security.Issuer { return i.api }
	layouts["JWT"] = security.PlainJWT()
	rows = append(rows,
		row{name: "access token, typ JWT", short: "access, typ JWT", issuer: api, typ: "JWT", audience: audience, accepted: true},
		row{name: "refresh token, typ JWT", short: "refresh, typ JWT", issuer: api, refresh: true, typ: "JWT", audience: audience, claim: "aud"},
	)
}

package security

import (
	"context"
	"errors"
	"strings"

	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// WithTenants accepts the tokens of the tenants of one provider. The issuer of the verifier is then
// a template with one placeholder, such as https://login.microsoftonline.com/{tenantid}/v2.0, and
// the claim, such as tid, has the tenant of a token. allow decides whether the application serves the
// tenant; an error means that it is unavailable, and is answered 503. The claim iss must be the
// template with the tenant filled in. A tenant has letters and digits of ASCII and -._~ only. A key
// whose JWK names an issuer serves that issuer alone.
//
// Revocations of tokens, sessions and subjects are for the issuer of the token, those of all sessions
// for the template.
func WithTenants(claim string, allow func(ctx context.Context, tenant string) (bool, error)) VerifierOption {
	return func(v *Verifier) error {
		if claim == "" || allow == nil {
			return errors.New("security: WithTenants needs the name of a claim and a function")
		}
		open, end := strings.IndexByte(v.issuer, '{'), strings.IndexByte(v.issuer, '}')
		if open < 0 || end < open || strings.Count(v.issuer, "{") != 1 || strings.Count(v.issuer, "}") != 1 {
			return errors.New("security: WithTenants needs an issuer with one placeholder, such as {tenantid}")
		}
		v.tenants = &tenants{claim: claim, placeholder: v.issuer[open : end+1], allow: allow}
		return nil
	}
}

// TenantList is a function for [WithTenants] that serves the given tenants.
func TenantList(tenants ...string) func(context.Context, string) (bool, error) {
	served := make(map[string]bool, len(tenants))
	for _, tenant := range tenants {
		served[tenant] = true
	}
	return func(_ context.Context, tenant string) (bool, error) { return served[tenant], nil }
}

type tenants struct {
	claim, placeholder string
	allow              func(ctx context.Context, tenant string) (bool, error)
}

// fill puts the tenant into a template.
func (t *tenants) fill(template, tenant string) string {
	return strings.Replace(template, t.placeholder, tenant, 1)
}

// validTenant reports whether a tenant is one plain part of a URL: unreserved characters (RFC 3986,
// section 2.3), and not a step of a path. No tenant makes another host, port or path of the template,
// and none has two forms.
func validTenant(tenant string) bool {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	return tenant != "" && tenant != "." && tenant != ".." && strings.Trim(tenant, unreserved) == ""
}

// issuerOf returns the issuer that a token must have.
func (t *tenants) issuerOf(ctx context.Context, template string, c *payload.Claims) (string, error) {
	if !validTenant(c.Tenant) {
		return "", withReason(ErrInvalidToken, "no tenant")
	}
	ok, err := t.allow(ctx, c.Tenant)
	switch {
	case err != nil:
		return "", unavailable("the check of the tenant failed", err)
	case !ok:
		return "", withReason(ErrInvalidToken, "a tenant that is not served")
	}
	return t.fill(template, c.Tenant), nil
}

package security_test

import (
	"context"
	"errors"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// tenantOf is the key of the tenant in a context.
type tenantOf struct{}

// tenantKeys is a source of an application: each tenant has a key, whose id is the tenant.
type tenantKeys map[string]*keys.Set

func (k tenantKeys) VerificationKeys(_ context.Context, header keys.Header) (*keys.Set, error) {
	set, ok := k[header.KeyID]
	if !ok {
		return nil, keys.ErrUnknownKey
	}
	return set, nil
}

func (k tenantKeys) SigningKey(ctx context.Context) (*keys.Key, error) {
	tenant, _ := ctx.Value(tenantOf{}).(string)
	set, ok := k[tenant]
	if !ok {
		return nil, keys.ErrUnavailable
	}
	return set.SigningKey(ctx)
}

// TestKeyOfEachTenant signs with the key of the tenant of the call. The key of one tenant is not
// accepted for another, and a tenant that is removed is refused, its cached tokens too.
func TestKeyOfEachTenant(t *testing.T) {
	source := tenantKeys{}
	for tenant, secret := range map[string]string{"a": "a secret of the tenant a, 32 bytes", "b": "a secret of the tenant b, 32 bytes"} {
		source[tenant] = sectest.Must(keys.NewSet(sectest.Must(keys.NewHMAC(keys.HS256, []byte(secret), keys.WithID(tenant)))(t)))(t)
	}
	app := apptest.NewWith(t, source)
	issue := func(tenant string) (string, error) {
		token, err := app.Issuer.IssueAccessToken(context.WithValue(t.Context(), tenantOf{}, tenant), "alice", nil)
		return token.Text(), err
	}
	texts := map[string]string{"a": sectest.Must(issue("a"))(t), "b": sectest.Must(issue("b"))(t)}
	for tenant, text := range texts {
		if header, _ := wire(t, text); header["kid"] != tenant {
			t.Errorf("tenant %s: kid %v", tenant, header["kid"])
		}
		if err := app.Refuses(t, text, apptest.AccessToken); err != nil {
			t.Errorf("tenant %s: %v", tenant, err)
		}
	}
	if text, err := issue("c"); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("a tenant without a key: %q, %v", text, err)
	}
	if err := app.Refuses(t, sectest.CompactHS256(`{"alg":"HS256","kid":"a","typ":"at+jwt"}`, sectest.PayloadWith()), apptest.AccessToken); !errors.Is(err, security.ErrInvalidToken) {
		t.Errorf("a token of another key for tenant a: %v", err)
	}
	delete(source, "a")
	if err := app.Refuses(t, texts["a"], apptest.AccessToken); !errors.Is(err, security.ErrInvalidToken) {
		t.Errorf("a tenant that was removed: %v", err)
	}
	if err := app.Refuses(t, texts["b"], apptest.AccessToken); err != nil {
		t.Errorf("the tenant that is left: %v", err)
	}
}

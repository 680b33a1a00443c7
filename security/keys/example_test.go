package keys_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// The keys of an identity provider come over HTTPS and are fetched again as they change.
func ExampleNewRemote() {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	published, err := keys.NewECDSA(private, keys.WithID("2026-11"))
	if err != nil {
		panic(err)
	}
	set, err := keys.NewSet(published)
	if err != nil {
		panic(err)
	}
	handler, err := keys.JWKSHandler(set, time.Hour)
	if err != nil {
		panic(err)
	}
	provider := httptest.NewTLSServer(handler) // stands for https://id.example.com
	defer provider.Close()

	remote, err := keys.NewRemote(context.Background(), provider.URL+"/jwks.json", keys.WithHTTPClient(provider.Client()))
	if err != nil {
		panic(err)
	}
	defer func() { _ = remote.Close() }()
	current, err := remote.Current(context.Background())
	fmt.Println(current, err)
	// Output: ES256 key 2026-11 <nil>
}

// A rotation replaces the keys while the application runs.
func ExampleRotation() {
	before, err := keys.NewHMAC(keys.HS256, []byte("an example only: 32 bytes or more"), keys.WithID("old"))
	if err != nil {
		panic(err)
	}
	after, err := keys.NewHMAC(keys.HS256, []byte("another example: 32 bytes or more"), keys.WithID("new"))
	if err != nil {
		panic(err)
	}
	set, err := keys.NewSet(before)
	if err != nil {
		panic(err)
	}
	rotation, err := keys.NewRotation(set)
	if err != nil {
		panic(err)
	}
	// Each step waits until every machine has taken the one before.
	for _, step := range [][]*keys.Key{{before, after}, {after, before}, {after}} {
		set, err := keys.NewSet(step...)
		if err != nil {
			panic(err)
		}
		if err := rotation.Replace(set); err != nil {
			panic(err)
		}
		signing, err := rotation.SigningKey(context.Background())
		fmt.Println("signs:", signing.ID(), err)
	}
	// Output:
	// signs: old <nil>
	// signs: new <nil>
	// signs: new <nil>
}

// tenantKeys is a key source of an application: a set for each tenant, named in the key id.
type tenantKeys map[string]*keys.Set

// VerificationKeys implements keys.Source.
func (k tenantKeys) VerificationKeys(_ context.Context, header keys.Header) (*keys.Set, error) {
	set, ok := k[header.KeyID]
	if !ok {
		return nil, keys.ErrUnknownKey
	}
	return set, nil
}

// A type of the application can be the source of the keys, here with a set for each tenant.
func ExampleSource() {
	key, err := keys.NewHMAC(keys.HS256, []byte("an example only: 32 bytes or more"), keys.WithID("acme"))
	if err != nil {
		panic(err)
	}
	set, err := keys.NewSet(key)
	if err != nil {
		panic(err)
	}
	var source keys.Source = tenantKeys{"acme": set}
	_, err = source.VerificationKeys(context.Background(), keys.Header{Algorithm: keys.HS256, KeyID: "other", HasKeyID: true})
	fmt.Println(errors.Is(err, keys.ErrUnknownKey))
	// Output: true
}

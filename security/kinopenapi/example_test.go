package kinopenapi_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/kinopenapi"
)

// newHandler returns the guarded handler of the reference API, which checks requests against the
// document.
func newHandler(server gen.GuardedServer, authenticator gen.Authenticator, verifier *security.Verifier, list blacklist.Blacklist) (http.Handler, error) {
	document, err := openapi3.NewLoader().LoadFromFile("../../api.yaml")
	if err != nil {
		return nil, err
	}
	requests, err := kinopenapi.NewSchemaValidator(document)
	if err != nil {
		return nil, err
	}
	validator, err := security.NewValidator(verifier, list)
	if err != nil {
		return nil, err
	}
	return gen.GuardedHandler(server, validator, authenticator, guard.WithSchemaValidator(requests))
}

// accounts implements of the reference API what the example calls.
type accounts struct {
	gen.GuardedServer
	gen.Authenticator
}

func (accounts) Login(context.Context, gen.LoginRequestObject) (gen.LoginResponseObject, error) {
	return gen.Login204Response{}, nil
}

func ExampleNewSchemaValidator() {
	key, err := keys.NewHMAC(keys.HS256, []byte("an example only: 32 bytes or more"))
	if err != nil {
		log.Fatal(err)
	}
	set, err := keys.NewSet(key)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := security.NewVerifier("https://issuer.example", set)
	if err != nil {
		log.Fatal(err)
	}
	handler, err := newHandler(accounts{}, accounts{}, verifier, blacklist.None{})
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(`{"username":""}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Println(w.Body)
	// Output:
	// 400 application/problem+json
	// {"title":"Bad Request","status":400,"detail":"The request is not what the description of this API says.","violations":[{"in":"body","name":"/username","rule":"minLength"},{"in":"body","name":"/password","rule":"required"}]}
}

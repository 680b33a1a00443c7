package crosstest

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	fiber2 "github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"

	chiapi "github.com/oapi-guard/oapi-guard/crosstest/api/chi"
	fiberapi "github.com/oapi-guard/oapi-guard/crosstest/api/fiber"
	fiberv3api "github.com/oapi-guard/oapi-guard/crosstest/api/fiber-v3"
	stdhttp "github.com/oapi-guard/oapi-guard/crosstest/api/std-http"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/securitytest"
)

// certificateHeader names the client, as a proxy would that ends the TLS connection.
const certificateHeader = "X-Test-Certificate"

func forwardedCertificate(_ context.Context, header func(string) []string) (*x509.Certificate, error) {
	if names := header(certificateHeader); len(names) == 1 {
		return &x509.Certificate{Subject: pkix.Name{CommonName: names[0]}}, nil
	}
	return nil, nil
}

// newMatrix returns a fixture and the options for its matrix. Its clock is ahead, because the
// authenticator of the service has the clock of the system, and a matrix may take longer than the
// leeway.
func newMatrix(t testing.TB) (*securitytest.Fixture, []securitytest.MatrixOption) {
	start := time.Now().Add(5 * time.Minute)
	f := securitytest.New(t, securitytest.WithStart(start))
	alice := securitytest.Credential{Name: "administrator", Value: "alice", Roles: []string{"ADMIN"}, AuthTime: start}
	bob := securitytest.Credential{Name: "user", Value: "bob"}
	var options []securitytest.MatrixOption
	for _, scheme := range []string{"digest", "opaque", "key", "keyQuery", "session"} {
		options = append(options, securitytest.WithCredentials(scheme, alice, bob))
	}
	alice.Value, bob.Value = "alice:password", "bob:password"
	options = append(options, securitytest.WithCredentials("basic", alice, bob))
	alice.Set = func(r *http.Request) { r.Header.Set(certificateHeader, "alice") }
	return f, append(options, securitytest.WithCredentials("mtls", alice), securitytest.WithPolicy(guard.WithForwardedCertificate(forwardedCertificate)))
}

// mount serves the router until the test ends.
func mount(t testing.TB, r Router, s service.Server, o Options) securitytest.Mount {
	return func(setup securitytest.Setup) (http.Handler, error) {
		url, stop, err := r.Start(s, setup.Policy, o)
		if err != nil {
			return nil, err
		}
		transport := &http.Transport{}
		t.Cleanup(func() {
			transport.CloseIdleConnections()
			stop()
		})
		return securitytest.ServerAt(url, &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}), nil
	}
}

// TestMatrixOnEveryRouter asks every operation with every credential on every router. All must
// answer as the document says, and no handler may run.
func TestMatrixOnEveryRouter(t *testing.T) {
	eachRouter(t, func(t *testing.T, r Router) {
		var handled atomic.Int32
		server := service.Server{Reached: func(context.Context, string) { handled.Add(1) }}
		f, options := newMatrix(t)
		began := time.Now()
		table := f.Matrix(t, stdhttp.GuardedOperations(), mount(t, r, server, Options{}), options...)
		t.Logf("%d operations, %d requests: %s", len(stdhttp.GuardedOperations()), len(table.Rows), time.Since(began))
		table.Golden(t, "testdata/matrix.txt")
		if handled.Load() > 0 {
			t.Errorf("%d handlers ran", handled.Load())
		}
	})
}

// TestMatrixNoticesAnOperationWithoutItsGuard mounts one operation of each router without its
// guard, in a run that is expected to fail.
func TestMatrixNoticesAnOperationWithoutItsGuard(t *testing.T) {
	eachRouter(t, func(t *testing.T, r Router) {
		for _, tt := range []struct{ id, method, path, want string }{
			{"deleteItem", "DELETE", "/items/1", "access (role ADMIN): 500, want reached"},
			{"getPublic", "GET", "/public", "no credential: 200, want reached"},
		} {
			broken := func(t testing.TB) securitytest.Mount {
				return func(setup securitytest.Setup) (http.Handler, error) {
					guarded, err := mount(t, r, service.Server{}, Options{})(setup)
					if err != nil {
						return nil, err
					}
					unguarded, err := mount(t, r, service.Server{}, Options{Unguarded: true})(setup)
					return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
						if request.Method == tt.method && request.URL.Path == tt.path {
							unguarded.ServeHTTP(w, request)
							return
						}
						guarded.ServeHTTP(w, request)
					}), err
				}
			}
			failures := &capturedT{TB: t}
			f, options := newMatrix(t)
			f.Matrix(failures, stdhttp.GuardedOperations(), broken(t), options...)
			if len(failures.texts) != 1 || !strings.Contains(failures.texts[0], "("+tt.id+"):") || !strings.Contains(failures.texts[0], tt.want) {
				t.Errorf("without the guard of %s the matrix says:\n%s", tt.id, strings.Join(failures.texts, "\n"))
			}
			if tt.id == "deleteItem" && r.Name == "chi" {
				t.Logf("the failure of a run without the guard of %s:\n%s", tt.id, strings.Join(failures.texts, "\n"))
			}
		}
	})
}

// TestMatrixNoticesARouteThatReplacesAGuardedOne registers the route of one operation again on the
// router of the application, which chi allows.
func TestMatrixNoticesARouteThatReplacesAGuardedOne(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		replace    func(*chi.Mux, chiapi.ServerInterfaceWrapper)
	}{
		{"nothing", "", func(*chi.Mux, chiapi.ServerInterfaceWrapper) {}},
		{"the handler of oapi-codegen", "no credential: 500, want 401", func(m *chi.Mux, w chiapi.ServerInterfaceWrapper) {
			m.Delete("/items/{id}", w.DeleteItem)
		}},
		{"a handler that deletes", "no credential: 204, want 401", func(m *chi.Mux, _ chiapi.ServerInterfaceWrapper) {
			m.Delete("/items/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		}},
	} {
		failures := &capturedT{TB: t}
		f, options := newMatrix(t)
		f.Matrix(failures, chiapi.GuardedOperations(), func(s securitytest.Setup) (http.Handler, error) {
			router := chi.NewRouter()
			strict := chiapi.NewGuardedStrictHandler(chiapi.UnimplementedGuardedServer{}, s.Policy, nil, chiapi.StrictHTTPServerOptions{})
			handler, err := chiapi.GuardedHandlerWithOptions(strict, s.Policy, service.Authenticator{}, chiapi.ChiServerOptions{BaseRouter: router})
			tt.replace(router, chiapi.ServerInterfaceWrapper{Handler: strict, ErrorHandlerFunc: s.Policy.WriteRequestError})
			return handler, err
		}, options...)
		got := strings.Join(failures.texts, "\n")
		if wanted := min(len(tt.want), 1); len(failures.texts) != wanted || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}

// TestMatrixThroughTheTestMethodOfFiber asks fiber applications without a listener.
func TestMatrixThroughTheTestMethodOfFiber(t *testing.T) {
	for _, tt := range []struct {
		name  string
		mount securitytest.Mount
	}{
		{"fiber", func(s securitytest.Setup) (http.Handler, error) {
			app := fiber2.New()
			strict := fiberapi.NewGuardedStrictHandler(fiberapi.UnimplementedGuardedServer{}, nil)
			err := fiberapi.RegisterGuardedHandlersWithOptions(app, strict, s.Policy, service.Authenticator{}, fiberapi.FiberServerOptions{BaseURL: "/v1"})
			return securitytest.Exchange(func(r *http.Request) (*http.Response, error) { return app.Test(r, -1) }), err
		}},
		{"fiber-v3", func(s securitytest.Setup) (http.Handler, error) {
			app := fiber3.New()
			strict := fiberv3api.NewGuardedStrictHandler(fiberv3api.UnimplementedGuardedServer{}, nil)
			err := fiberv3api.RegisterGuardedHandlersWithOptions(app, strict, s.Policy, service.Authenticator{}, fiberv3api.FiberServerOptions{BaseURL: "/v1"})
			return securitytest.Exchange(func(r *http.Request) (*http.Response, error) { return app.Test(r, fiber3.TestConfig{}) }), err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, options := newMatrix(t)
			f.Matrix(t, fiberapi.GuardedOperations(), tt.mount, append(options, securitytest.WithBaseURL("/v1"))...).Golden(t, "testdata/matrix.txt")
		})
	}
}

// capturedT records the failures of a run.
type capturedT struct {
	testing.TB
	texts []string
}

func (c *capturedT) Helper() {}

func (c *capturedT) Errorf(format string, arguments ...any) {
	c.texts = append(c.texts, fmt.Sprintf(format, arguments...))
}

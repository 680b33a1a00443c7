package crosstest

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/kataras/iris/v12"
	echo5 "github.com/labstack/echo/v5"

	echo5api "github.com/oapi-guard/oapi-guard/crosstest/api/echo5"
	ginapi "github.com/oapi-guard/oapi-guard/crosstest/api/gin"
	irisapi "github.com/oapi-guard/oapi-guard/crosstest/api/iris"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// TestNoPolicy checks that nothing is registered without a policy.
func TestNoPolicy(t *testing.T) {
	eachRouter(t, func(t *testing.T, r Router) {
		_, _, err := r.Start(service.Server{}, nil, Options{})
		if err == nil || !strings.Contains(err.Error(), "policy") {
			t.Errorf("error %v", err)
		}
	})
}

// TestUnknownOperations checks that nothing is registered where the validator of requests does not
// know the operations.
func TestUnknownOperations(t *testing.T) {
	f := newFixture(t, guard.WithSchemaValidator(ignorant{}))
	eachRouter(t, func(t *testing.T, r Router) {
		_, _, err := r.Start(service.Server{}, f.policy, Options{})
		if err == nil || !strings.Contains(err.Error(), "getPublic") {
			t.Errorf("error %v", err)
		}
	})
}

type ignorant struct{}

func (ignorant) Knows(*guard.Operation) bool { return false }

func (ignorant) ValidateRequest(*http.Request, *guard.Operation, guard.PathParams) error {
	return nil
}

// TestClashes checks that a route of the application which clashes with one of the document is an
// error on routers that panic, and that iris's error of building is returned.
func TestClashes(t *testing.T) {
	f := newFixture(t)
	for name, register := range map[string]func() error{
		"gin": func() error {
			router := gin.New()
			router.GET("/me", func(*gin.Context) {})
			return ginapi.RegisterGuardedHandlers(router, ginapi.Server{}, f.validator, service.Authenticator{})
		},
		"gin, names of parameters": func() error {
			router := gin.New()
			router.GET("/items/:other/x", func(*gin.Context) {})
			return ginapi.RegisterGuardedHandlers(router, ginapi.Server{}, f.validator, service.Authenticator{})
		},
		"echo5": func() error {
			router := echo5.NewWithConfig(echo5.Config{Router: echo5.NewRouter(echo5.RouterConfig{})})
			router.GET("/me", func(*echo5.Context) error { return nil })
			return echo5api.RegisterGuardedHandlers(router, echo5api.Server{}, f.validator, service.Authenticator{})
		},
		"iris": func() error {
			router := iris.New()
			router.OnBuild = func() error { return errors.New("not today") }
			return irisapi.RegisterGuardedHandlers(router, irisapi.Server{}, f.validator, service.Authenticator{})
		},
	} {
		if err := register(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

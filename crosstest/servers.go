package crosstest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"

	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// Router is a router that oapi-codegen generates a server for, with the package under api that was
// generated for it.
type Router struct {
	Name string
	// handler returns the API as a net/http handler, where the router is built on net/http.
	handler func(s service.Server, p *guard.Policy, o Options) (http.Handler, error)
	// serve serves the API on a listener until stop is called, where it is not.
	serve func(l net.Listener, s service.Server, p *guard.Policy, o Options) (stop func(), err error)
}

// Routers are all of them.
var Routers = []Router{
	{Name: "std-http", handler: stdHTTP},
	{Name: "chi", handler: chiRouter},
	{Name: "gorilla", handler: gorillaRouter},
	{Name: "echo", handler: echoRouter},
	{Name: "echo5", handler: echo5Router},
	{Name: "gin", handler: ginRouter},
	{Name: "iris", handler: irisRouter},
	{Name: "fiber", serve: serveFiber},
	{Name: "fiber-v3", serve: serveFiberV3},
}

// Options are what an application may set up around its handlers. The functions are called by
// middleware with its context.
type Options struct {
	BaseURL string
	// Before is called by middleware of the router, in front of the guards.
	Before func(context.Context)
	// Behind is called by middleware of the operations, behind the guards, where the router's
	// options have a place for it: see HasBehind.
	Behind func(context.Context)
	// Strict is called by a StrictMiddlewareFunc.
	Strict func(context.Context)
	// OnError is told of the errors that reach the application's own error handler, where the
	// router has one: see HasErrorHandler.
	OnError func(error)
	// Unguarded registers the handlers with oapi-codegen's own function, so that nothing guards
	// them.
	Unguarded bool
	// TLS makes the server speak TLS, where it is not nil.
	TLS *tls.Config
}

// HasBehind reports whether the options of the router's generated code have a place for middleware
// behind the guards.
func (r Router) HasBehind() bool { return r.Name != "iris" }

// HasErrorHandler reports whether the router hands errors of handlers to an error handler of the
// application.
func (r Router) HasErrorHandler() bool {
	return strings.HasPrefix(r.Name, "echo") || strings.HasPrefix(r.Name, "fiber")
}

// Start serves the API on a port of its own. The caller calls stop when it is done.
func (r Router) Start(s service.Server, p *guard.Policy, o Options) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	scheme := "http://"
	if o.TLS != nil {
		l, scheme = tls.NewListener(l, o.TLS), "https://"
	}
	serve := r.serve
	if serve == nil {
		serve = r.serveHTTP
	}
	if stop, err = serve(l, s, p, o); err != nil {
		l.Close()
		return "", nil, err
	}
	return scheme + l.Addr().String(), stop, nil
}

// serveHTTP serves what is a net/http handler.
func (r Router) serveHTTP(l net.Listener, s service.Server, p *guard.Policy, o Options) (func(), error) {
	h, err := r.handler(s, p, o)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: h}
	go server.Serve(l)
	return func() { server.Close() }, nil
}

// call calls a function of the options.
func call[T any](f func(T), value T) {
	if f != nil {
		f(value)
	}
}

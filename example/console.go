package main

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security/console"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// The developer console has a listener of its own, on a loopback address. A proxy that publishes the
// API does not publish the console. The listener serves the API too, because the page sends its
// requests to its origin.

// defaultConsole is the address of the console unless CONSOLE_ADDR is set.
const defaultConsole = "127.0.0.1:8090"

// newConsole makes the page for the operations of the document.
func newConsole() (*console.Page, error) {
	type body map[string]any
	return console.New(publicOperations(),
		console.WithTitle("Reference API"),
		console.WithLogIn("login"),
		console.WithRefresh("refresh"),
		console.WithLogOut("logout"),
		console.WithRevoke("revokeCurrentToken"),
		console.WithSessions("listSessions", "endSession"),
		console.WithDemoUser("alice", "USER", body{"username": "alice", "password": "wonderland", "device": "Console"}),
		console.WithDemoUser("admin", "ADMIN", body{"username": "admin", "password": "rabbit-hole", "device": "Console"}),
		console.WithCredential("apiKey", demoKey),
		console.WithExample("login", "", body{"username": "alice", "password": "wonderland"}),
		console.WithExample("changeEmail", "", body{"email": "alice@example.org"}),
		console.WithExample("changePassword", "", body{"current_password": "wonderland", "new_password": "looking-glass"}),
		console.WithExample("publishReport", "", body{"title": "A report"}),
	)
}

// publicOperations are the operations without those of the operator, which have another listener.
func publicOperations() []guard.Operation {
	return slices.DeleteFunc(gen.GuardedOperations(), func(o guard.Operation) bool { return strings.HasPrefix(o.Path, operatorPath) })
}

// withConsole serves the page, and the API beside it.
func withConsole(page *console.Page, api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(page.Path(), page)
	mux.Handle("/", api)
	return mux
}

// listenConsole listens on the address of the console, which must be loopback. It returns nil if there
// is to be no console: if the address is "off", or if it is "" and the demo users may be anywhere.
func listenConsole(addr string, anywhere bool) (net.Listener, error) {
	if addr == "off" || addr == "" && anywhere {
		return nil, nil
	}
	if addr != "" {
		return listen(addr, false)
	}
	listener, err := listen(defaultConsole, false)
	if err != nil { // another example runs
		return listen("127.0.0.1:0", false)
	}
	return listener, nil
}

// Package console serves a page for the developer of an API: log in as a demo user, read the tokens,
// call the operations and read why a request was refused, refresh in two tabs at once, end a session
// and see its streams end. The page works with the table of operations of any generated code.
//
// It is for development. Nothing serves it unless the application mounts it:
//
//	page, err := console.New(gen.GuardedOperations(), console.WithLogIn("login"))
//	...
//	mux.Handle(console.DefaultPath, page)
//
// The page sends its requests to the same origin, so the listener that serves it also serves the API.
// A listener of its own, on a loopback address, is the safest: a proxy that publishes the API does not
// publish the page.
//
// # What it refuses
//
// The page answers 403 to
//   - a connection from an address that is not loopback, unless [WithRemoteClients] allows it;
//   - a Host that is neither localhost nor a loopback address, unless [WithHosts] names it. So a
//     page of another site cannot reach it through a name that it points to 127.0.0.1 (DNS
//     rebinding);
//   - a request with a header that proxies add, such as Forwarded or X-Forwarded-For, because the
//     address of its client is not that of the connection.
//
// # What the browser enforces
//
// Everything is in the binary: the page loads nothing from elsewhere. Its Content-Security-Policy
// allows scripts, styles and requests of the same origin only, nothing inline, no frames, and no
// assignment of text to HTML (Trusted Types). The page sends no cookies and accepts none. Tokens stay
// in the memory of the page and end with it.
//
// The page shows what [WithDemoUser] and [WithCredential] give it to everyone who can open it. Give
// it only what is public.
package console

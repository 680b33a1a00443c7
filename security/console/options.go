package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

// Option changes the page. It returns an error if it does not fit the operations.
type Option func(*builder) error

// builder is the page while the options are applied.
type builder struct {
	config  config
	path    string
	hosts   []string
	remotes []netip.Prefix
}

// WithTitle sets the name of the API in the heading.
func WithTitle(title string) Option {
	return func(b *builder) error {
		if strings.TrimSpace(title) == "" {
			return errors.New("WithTitle: an empty title")
		}
		b.config.Title = title
		return nil
	}
}

// WithPath sets the path under which the page is served, DefaultPath by default. It begins and ends
// with a slash.
func WithPath(text string) Option {
	return func(b *builder) error {
		if !strings.HasSuffix(text, "/") || !isPath(strings.TrimSuffix(text, "/")+"/.") {
			return fmt.Errorf("WithPath: %q is not a path that begins and ends with a slash", text)
		}
		b.path = text
		return nil
	}
}

// WithBasePath sets the path under which the API is served, such as "/v1": the BaseURL of generated
// code. The default is the root.
func WithBasePath(text string) Option {
	return func(b *builder) error {
		if !isPath(text + "/.") {
			return fmt.Errorf("WithBasePath: %q is not a path such as /v1", text)
		}
		b.config.BasePath = text
		return nil
	}
}

// isPath reports whether a path that ends in "/." is absolute and clean without that end.
func isPath(text string) bool {
	trimmed := strings.TrimSuffix(text, "/.")
	return strings.HasPrefix(text, "/") && !strings.ContainsAny(text, "?#\\") && (trimmed == "" || path.Clean(trimmed) == trimmed)
}

// WithLogIn names the operation that issues tokens. The page keeps the tokens of its answer: the
// members access_token and refresh_token of a JSON object (RFC 6749, section 5.1), or a token as
// plain text.
func WithLogIn(operation string) Option {
	return func(b *builder) error { return b.name("WithLogIn", &b.config.LogIn, operation) }
}

// WithRefresh names the operation that takes a refresh token and issues new tokens.
func WithRefresh(operation string) Option {
	return func(b *builder) error { return b.nameSecured("WithRefresh", &b.config.Refresh, operation) }
}

// WithLogOut names the operation that ends the session of its token.
func WithLogOut(operation string) Option {
	return func(b *builder) error { return b.nameSecured("WithLogOut", &b.config.LogOut, operation) }
}

// WithRevoke names the operation that revokes the token of its request and nothing else.
func WithRevoke(operation string) Option {
	return func(b *builder) error { return b.nameSecured("WithRevoke", &b.config.Revoke, operation) }
}

// WithSessions names the operations that list the caller's sessions and end one of them. The answer
// of list is a JSON array of objects with an id, or an object with such an array in one of its
// members. end has one parameter in its path: the id. If end is empty, sessions are only listed.
func WithSessions(list, end string) Option {
	return func(b *builder) error {
		if err := b.nameSecured("WithSessions", &b.config.ListSessions, list); err != nil || end == "" {
			return err
		}
		if err := b.nameSecured("WithSessions", &b.config.EndSession, end); err != nil {
			return err
		}
		if i := b.index(end); len(b.config.Operations[i].Parameters) != 1 {
			return fmt.Errorf("WithSessions: the path of %s does not have one parameter", end)
		}
		return nil
	}
}

// WithDemoUser adds a button that logs in with the body, which is sent as JSON. about is shown beside
// the name, such as a role. The body is visible to everyone who can open the page. WithLogIn has to
// be there too.
func WithDemoUser(name, about string, body any) Option {
	return func(b *builder) error {
		if strings.TrimSpace(name) == "" {
			return errors.New("WithDemoUser: an empty name")
		}
		if slices.ContainsFunc(b.config.Users, func(u user) bool { return u.Name == name }) {
			return fmt.Errorf("WithDemoUser: %s is there twice", name)
		}
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("WithDemoUser: the body of %s: %w", name, err)
		}
		b.config.Users = append(b.config.Users, user{name, about, text})
		return nil
	}
}

// WithCredential fills in the credential of a scheme that is not a JWT, such as an API key; for http
// basic the name, a colon and the password. It is visible to everyone who can open the page.
func WithCredential(scheme, value string) Option {
	return func(b *builder) error {
		if value == "" {
			return fmt.Errorf("WithCredential: no value for %s", scheme)
		}
		for _, o := range b.config.Operations {
			for _, a := range o.Alternatives {
				for _, s := range a {
					if s.Name == scheme && (s.Kind == kindBasic || s.Kind == kindKey) {
						b.config.Credentials[scheme] = value
						return nil
					}
				}
			}
		}
		return fmt.Errorf("WithCredential: no operation takes a key or a password of the scheme %s", scheme)
	}
}

// WithExample fills in the query, without its question mark, and the body of an operation. The body
// is shown as JSON; nil is none.
func WithExample(operation, query string, body any) Option {
	return func(b *builder) error {
		i := b.index(operation)
		if i < 0 {
			return unknown("WithExample", operation)
		}
		if _, err := url.ParseQuery(query); err != nil || strings.HasPrefix(query, "?") {
			return fmt.Errorf("WithExample: %q is not the query of a URL", query)
		}
		filled := example{Query: query}
		if body != nil {
			text, err := json.MarshalIndent(body, "", "  ")
			if err != nil {
				return fmt.Errorf("WithExample: the body of %s: %w", operation, err)
			}
			filled.Body = string(text)
		}
		b.config.Operations[i].Example = &filled
		return nil
	}
}

// WithRemoteClients serves the page to clients in these networks too, such as that of a container.
func WithRemoteClients(networks ...netip.Prefix) Option {
	return func(b *builder) error {
		if len(networks) == 0 {
			return errors.New("WithRemoteClients: no networks")
		}
		for _, network := range networks {
			if !network.IsValid() {
				return errors.New("WithRemoteClients: a network that is not valid")
			}
		}
		b.remotes = append(b.remotes, networks...)
		return nil
	}
}

// WithHosts serves the page under these host names or addresses too, without a port:
// "dev.example.com".
func WithHosts(names ...string) Option {
	return func(b *builder) error {
		if len(names) == 0 {
			return errors.New("WithHosts: no names")
		}
		for _, name := range names {
			_, err := netip.ParseAddr(name)
			if name == "" || err != nil && strings.ContainsAny(name, "/:*@[] ") {
				return fmt.Errorf("WithHosts: %q is not a host name without a port", name)
			}
			b.hosts = append(b.hosts, strings.ToLower(name))
		}
		return nil
	}
}

// index returns the place of the operation with the id, or -1.
func (b *builder) index(id string) int {
	return slices.IndexFunc(b.config.Operations, func(o operation) bool { return o.ID == id })
}

func unknown(option, id string) error {
	return fmt.Errorf("%s: the table has no operation %s", option, id)
}

// name sets a field of the configuration to the id of an operation.
func (b *builder) name(option string, field *string, id string) error {
	if b.index(id) < 0 {
		return unknown(option, id)
	}
	*field = id
	return nil
}

// nameSecured is name for operations that the page calls with a token.
func (b *builder) nameSecured(option string, field *string, id string) error {
	if i := b.index(id); i >= 0 && !b.config.Operations[i].takesToken() {
		return fmt.Errorf("%s: %s takes no token outside a cookie, so the page cannot call it", option, id)
	}
	return b.name(option, field, id)
}

// validate checks what the options mean together.
func (b *builder) validate() error {
	if len(b.config.Users) > 0 && b.config.LogIn == "" {
		return errors.New("WithDemoUser needs WithLogIn")
	}
	return nil
}

// checkOperations refuses a table that the page cannot show.
func checkOperations(operations []guard.Operation) error {
	if len(operations) == 0 {
		return errors.New("no operations: pass GuardedOperations() of generated code")
	}
	for _, o := range operations {
		if o.Method == "" || !strings.HasPrefix(o.Path, "/") {
			return fmt.Errorf("operation %q has no method or no path", o.ID)
		}
		for _, alternative := range o.Requirement {
			if slices.Contains(alternative, nil) {
				return fmt.Errorf("operation %q has a nil scheme", o.ID)
			}
		}
	}
	return nil
}

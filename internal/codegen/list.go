package codegen

import (
	"errors"
	"slices"
	"strings"
)

// ListedOperation is an operation at one of its paths, and what it requires. Its fields are those of
// the JSON that the command prints.
type ListedOperation struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	// ID is the operationId, or METHOD and path where there is none.
	ID string `json:"id"`
	// Public says that it takes no credentials, and Optional that it takes them and anonymous callers.
	Public   bool `json:"public"`
	Optional bool `json:"optional"`
	// Security has the alternatives, each with the schemes that hold together. That of anonymous callers
	// is empty.
	Security [][]ListedScheme `json:"security"`
	// Fresh, MaxAge (in seconds), AllowRoles, DenyRoles, ImmediateRevocation and Watch are its rules.
	Fresh      bool     `json:"fresh,omitempty"`
	MaxAge     int      `json:"maxAge,omitempty"`
	AllowRoles []string `json:"allowRoles,omitempty"`
	DenyRoles  []string `json:"denyRoles,omitempty"`

	ImmediateRevocation bool `json:"immediateRevocation,omitempty"`
	Watch               bool `json:"watch,omitempty"`
	// Text is the security in a few words.
	Text string `json:"text"`
}

// ListedScheme is a scheme of a requirement.
type ListedScheme struct {
	Name string `json:"scheme"`
	// Token is the type of token, "" for credentials that are not JWTs. Verifier is its verifier, "" for
	// the application's own.
	Token    string   `json:"token,omitempty"`
	Verifier string   `json:"verifier,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
	Roles    []string `json:"roles,omitempty"`
}

// String returns a line: method, path, operationId and security.
func (o ListedOperation) String() string {
	line := o.Method + " " + o.Path
	if o.ID != line {
		line += " " + o.ID
	}
	return line + ": " + o.Text
}

// List returns the operations of a document, sorted by path and method, and warnings. It generates
// nothing.
func List(c *Config) ([]ListedOperation, []string, error) {
	if c.Package == "" {
		listed := *c
		listed.Package = "api"
		c = &listed
	}
	c, settings, err := c.complete()
	if err != nil {
		return nil, nil, err
	}
	libraryLock.Lock()
	defer libraryLock.Unlock()
	r, err := read(c, settings, nil)
	var failure libraryFailure
	if errors.As(err, &failure) && !filters(settings) {
		// What oapi-codegen cannot generate has nothing to do with security.
		r.readSecurity()
		err = nil
	}
	if err != nil {
		return nil, nil, err
	}
	if err := r.err(); err != nil {
		return nil, nil, err
	}
	var listed []ListedOperation
	for _, o := range r.operations {
		for _, route := range slices.Concat([]route{o.route}, o.aliases) {
			listed = append(listed, o.listed(route))
		}
	}
	slices.SortFunc(listed, func(a, b ListedOperation) int {
		return strings.Compare(a.Path+"\x00"+a.Method, b.Path+"\x00"+b.Method)
	})
	return listed, r.warnings, nil
}

// listed returns the operation at one of its routes.
func (o *operation) listed(at route) ListedOperation {
	l := ListedOperation{
		Method: at.method, Path: at.path, ID: o.id, Public: o.requirement.public(), Optional: o.requirement.optional(),
		Security: [][]ListedScheme{},
		Fresh:    o.rules.fresh, MaxAge: int(o.rules.maxAge.Seconds()), AllowRoles: o.rules.allow, DenyRoles: o.rules.deny,
		ImmediateRevocation: o.rules.immediate, Watch: o.rules.watch,
		Text: securityText(o),
	}
	for _, a := range o.requirement.alternatives {
		schemes := []ListedScheme{}
		for _, s := range a {
			schemes = append(schemes, ListedScheme{s.name, s.token, s.verifier, s.scopes, s.roles})
		}
		l.Security = append(l.Security, schemes)
	}
	return l
}

package codegen

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// Listing is what a document says about security.
type Listing struct {
	// Title is the title of the document.
	Title string
	// Operations are the operations at each of their paths, sorted by path and method.
	Operations []ListedOperation
	// Schemes are the security schemes that operations require, sorted by name.
	Schemes []SchemeDefinition
	// Default is what an operation requires that has no security and no rules. It has no method, no
	// path and no id.
	Default ListedOperation
	// Warnings are remarks about the document.
	Warnings []string
}

// SchemeDefinition is a security scheme with the answers that x-guard and the configuration give. Its
// fields are those of the JSON that the command prints.
type SchemeDefinition struct {
	Name string `json:"name"`
	// Type is the type in words of the document, such as "http bearer".
	Type string `json:"type"`
	// Credential is "token" for a JWT, "password" for http basic, "certificate" for mutualTLS, and "key"
	// for any other credential.
	Credential string `json:"credential"`
	// Token is the type of token, "" for credentials that are not JWTs. Verifier is its verifier, "" for
	// the application's own.
	Token    string `json:"token,omitempty"`
	Verifier string `json:"verifier,omitempty"`
	// In and Parameter say where a request carries the credential: "header" and the name of the header,
	// for example. Prefix is the word in front of it.
	In        string `json:"in"`
	Parameter string `json:"parameter,omitempty"`
	Prefix    string `json:"prefix,omitempty"`
	// CSRF is where a request with a token in a cookie repeats its CSRF token: "header" or "form".
	CSRF string `json:"csrf,omitempty"`
	// Claims is the schema of the private claims, with its references resolved and without texts for
	// readers. It is nil where the document describes none.
	Claims json.RawMessage `json:"claims,omitempty"`
	// Provider is the openIdConnectUrl.
	Provider string `json:"provider,omitempty"`
}

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

	callers string
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

// Callers returns who may call the operation in a few words, without its rules.
func (o ListedOperation) Callers() string { return o.callers }

// RolesText, FreshText and RevocationText return a rule of the operation in a few words, "" for none.
func (o ListedOperation) RolesText() string {
	switch {
	case o.AllowRoles != nil:
		return strings.Join(o.AllowRoles, " or ")
	case o.DenyRoles != nil:
		return "not " + strings.Join(o.DenyRoles, ", ")
	}
	return ""
}

// FreshText is described at RolesText.
func (o ListedOperation) FreshText() string {
	switch {
	case o.Fresh:
		return "fresh"
	case o.MaxAge > 0:
		return "at most " + AgeText(o.MaxAge) + " ago"
	}
	return ""
}

// RevocationText is described at RolesText.
func (o ListedOperation) RevocationText() string {
	var texts []string
	if o.ImmediateRevocation {
		texts = append(texts, "immediate")
	}
	if o.Watch {
		texts = append(texts, "watched")
	}
	return strings.Join(texts, ", ")
}

// AgeText returns seconds as a duration without its zero parts, such as 15m.
func AgeText(seconds int) string {
	text := (time.Duration(seconds) * time.Second).String()
	if rest := strings.TrimSuffix(text, "m0s"); rest != text {
		text = rest + "m"
	}
	if rest := strings.TrimSuffix(text, "h0m"); rest != text {
		text = rest + "h"
	}
	return text
}

// List returns what a document says about security. It generates nothing.
func List(c *Config) (*Listing, error) {
	adapted := *c
	c = &adapted
	if c.Package == "" && c.oapiCodegen.PackageName == "" {
		c.Package = "api"
	}
	c.GuardOnly, c.Existing = false, nil // the security is that of the document
	c, settings, err := c.complete()
	if err != nil {
		return nil, err
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
		return nil, err
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return r.listing()
}

// listing returns what was read.
func (r *reader) listing() (*Listing, error) {
	l := &Listing{Operations: []ListedOperation{}, Schemes: []SchemeDefinition{}, Warnings: r.warnings}
	if r.doc.Info != nil {
		l.Title = r.doc.Info.Title
	}
	for _, o := range r.operations {
		for _, route := range slices.Concat([]route{o.route}, o.aliases) {
			l.Operations = append(l.Operations, o.listed(route))
		}
	}
	slices.SortFunc(l.Operations, func(a, b ListedOperation) int {
		return strings.Compare(a.Path+"\x00"+a.Method, b.Path+"\x00"+b.Method)
	})
	l.Default = r.listedDefault()
	for _, name := range slices.Sorted(maps.Keys(r.used)) {
		definition, err := r.definition(r.schemes[name])
		if err != nil {
			return nil, err
		}
		l.Schemes = append(l.Schemes, definition)
	}
	return l, nil
}

// listedDefault returns what an operation requires that has no security and no rules. Faults of a
// security that no operation inherits are not reported: they change no operation.
func (r *reader) listedDefault() ListedOperation {
	faults := len(r.list)
	if r.inherited == nil {
		r.inherited = r.readRequirement(r.doc.Security, place{source: r.spec}.at("security"), "the document")
	}
	o := &operation{requirement: r.inherited}
	if !o.requirement.public() {
		o.rules = readRules(r.defaults, &r.problems)
	}
	r.list = r.list[:faults]
	return o.listed(route{})
}

// definition returns a scheme as the listing has it.
func (r *reader) definition(s *scheme) (SchemeDefinition, error) {
	d := SchemeDefinition{
		Name: s.name, Type: s.text, Credential: map[kind]string{kindJWT: "token", kindBasic: "password", kindKey: "key", kindCertificate: "certificate"}[s.kind],
		Token: s.token, Verifier: s.verifier, Prefix: s.prefix,
	}
	d.In, d.Parameter = s.location()
	switch {
	case s.kind == kindBasic:
		d.Prefix = "Basic"
	case d.Prefix == "" && (s.in == "" && s.kind == kindKey || s.kind == kindJWT && d.In == "header" && d.Parameter == "Authorization"):
		d.Prefix = "Bearer"
	}
	if s.kind == kindJWT && s.in == "cookie" {
		d.CSRF = "header"
		if s.csrfForm {
			d.CSRF = "form"
		}
	}
	if ref := r.doc.Components.SecuritySchemes[s.name]; ref != nil && ref.Value != nil {
		d.Provider = ref.Value.OpenIdConnectUrl
	}
	for _, t := range r.types {
		if s.kind == kindJWT && t.name == s.token && t.claims != "" {
			var err error
			if d.Claims, err = comparableSchema(r.document.components.Schemas, t.claims); err != nil {
				return d, err
			}
		}
	}
	return d, nil
}

// listed returns the operation at one of its routes.
func (o *operation) listed(at route) ListedOperation {
	l := ListedOperation{
		Method: at.method, Path: at.path, ID: o.id, Public: o.requirement.public(), Optional: o.requirement.optional(),
		Security: [][]ListedScheme{},
		Fresh:    o.rules.fresh, MaxAge: int(o.rules.maxAge.Seconds()), AllowRoles: o.rules.allow, DenyRoles: o.rules.deny,
		ImmediateRevocation: o.rules.immediate, Watch: o.rules.watch,
		Text: securityText(o), callers: callersText(o),
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

package console

import (
	"encoding/json"
	"net/textproto"
	"regexp"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

// config is what the page reads: the operations and the choices of the application.
type config struct {
	Title        string            `json:"title"`
	BasePath     string            `json:"basePath"`
	Operations   []operation       `json:"operations"`
	LogIn        string            `json:"logIn,omitempty"`
	Refresh      string            `json:"refresh,omitempty"`
	LogOut       string            `json:"logOut,omitempty"`
	Revoke       string            `json:"revoke,omitempty"`
	ListSessions string            `json:"listSessions,omitempty"`
	EndSession   string            `json:"endSession,omitempty"`
	Users        []user            `json:"users"`
	Credentials  map[string]string `json:"credentials"`
}

// user is a demo user.
type user struct {
	Name  string          `json:"name"`
	About string          `json:"about"`
	Body  json.RawMessage `json:"body"`
}

// operation is an operation of the document, in a form for the page.
type operation struct {
	ID           string     `json:"id"`
	Method       string     `json:"method"`
	Path         string     `json:"path"`
	Parameters   []string   `json:"parameters"`
	Alternatives [][]scheme `json:"alternatives"`
	Rules        rules      `json:"rules"`
	Example      *example   `json:"example,omitempty"`
}

type rules struct {
	Fresh               bool     `json:"fresh,omitempty"`
	MaxAge              int64    `json:"maxAge,omitempty"` // in seconds
	AllowRoles          []string `json:"allowRoles,omitempty"`
	DenyRoles           []string `json:"denyRoles,omitempty"`
	ImmediateRevocation bool     `json:"immediateRevocation,omitempty"`
	Watch               bool     `json:"watch,omitempty"`
}

type example struct {
	Query string `json:"query"`
	Body  string `json:"body"`
}

// scheme is the place of a credential in a request.
type scheme struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// In is header, query, cookie or connection; Parameter is the name there.
	In        string `json:"in"`
	Parameter string `json:"parameter,omitempty"`
	// Prefix is the word before the credential.
	Prefix string `json:"prefix,omitempty"`
	// Token is the token type of a JWT.
	Token  string   `json:"token,omitempty"`
	Scopes []string `json:"scopes,omitempty"`
	Roles  []string `json:"roles,omitempty"`
}

const (
	kindToken       = "token"
	kindBasic       = "basic"
	kindKey         = "key"
	kindCertificate = "certificate"
)

var pathParameter = regexp.MustCompile(`\{([^{}]+)\}`)

func operationsOf(table []guard.Operation) []operation {
	all := make([]operation, 0, len(table))
	for _, from := range table {
		o := operation{
			ID: from.ID, Method: from.Method, Path: from.Path, Parameters: []string{}, Alternatives: [][]scheme{},
			Rules: rules{
				Fresh: from.Rules.Fresh, MaxAge: int64(from.Rules.MaxAge / time.Second),
				AllowRoles: from.Rules.AllowRoles, DenyRoles: from.Rules.DenyRoles,
				ImmediateRevocation: from.Rules.ImmediateRevocation, Watch: from.Rules.Watch,
			},
		}
		for _, match := range pathParameter.FindAllStringSubmatch(from.Path, -1) {
			o.Parameters = append(o.Parameters, match[1])
		}
		for _, alternative := range from.Requirement {
			schemes := []scheme{}
			for _, s := range alternative {
				schemes = append(schemes, schemeOf(s))
			}
			o.Alternatives = append(o.Alternatives, schemes)
		}
		all = append(all, o)
	}
	return all
}

// schemeOf resolves the defaults of guard.Scheme.
func schemeOf(from *guard.Scheme) scheme {
	s := scheme{Name: from.Name, Parameter: from.Parameter, Prefix: from.Prefix, Scopes: from.Scopes, Roles: from.Roles}
	switch from.Kind {
	case guard.KindBasic:
		s.Kind = kindBasic
	case guard.KindKey:
		s.Kind = kindKey
	case guard.KindCertificate:
		s.Kind, s.In = kindCertificate, "connection"
		return s
	default:
		s.Kind = kindToken
		if from.Token != nil {
			s.Token = from.Token.Name()
		}
	}
	switch from.In {
	case guard.InQuery:
		s.In = "query"
		return s
	case guard.InCookie:
		s.In = "cookie"
		return s
	}
	s.In = "header"
	if s.Parameter == "" {
		s.Parameter = "Authorization"
	}
	authorization := textproto.CanonicalMIMEHeaderKey(s.Parameter) == "Authorization"
	switch {
	case s.Prefix != "" || !authorization:
	case s.Kind == kindBasic:
		s.Prefix = "Basic"
	case s.Kind == kindToken || from.Parameter == "":
		s.Prefix = "Bearer"
	}
	return s
}

// takesToken reports whether an alternative needs only a token, which the page can send.
func (o *operation) takesToken() bool {
	for _, alternative := range o.Alternatives {
		if len(alternative) == 1 && alternative[0].Kind == kindToken && alternative[0].In != "cookie" {
			return true
		}
	}
	return false
}

// encode returns the configuration as JSON. Go escapes <, > and &, so no reader takes it for HTML.
func (c *config) encode() ([]byte, error) {
	if strings.TrimSpace(c.Title) == "" {
		c.Title = "API"
	}
	return json.Marshal(c)
}

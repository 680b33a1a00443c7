package oapiguard

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// TestGuardedOperations reads api.yaml without the generator and compares what it says of each
// operation's security with what the generated code does: the reference API has no rules of the
// document.
func TestGuardedOperations(t *testing.T) {
	data, err := os.ReadFile("api.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Security []map[string][]string
		Paths    map[string]map[string]struct {
			OperationID string `yaml:"operationId"`
			Security    *[]map[string][]string
			Guard       struct {
				Fresh any
				Roles struct{ Allow, Deny []string }
			} `yaml:"x-guard"`
		}
		Components struct {
			SecuritySchemes map[string]struct {
				Type, Scheme string
				BearerFormat string                 `yaml:"bearerFormat"`
				Guard        struct{ Token string } `yaml:"x-guard"`
			} `yaml:"securitySchemes"`
		}
	}
	if err := yaml.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	var want []string
	for path, methods := range document.Paths {
		for method, o := range methods {
			requirement := document.Security
			if o.Security != nil {
				requirement = *o.Security
			}
			var alternatives []string
			for _, alternative := range requirement {
				var names []string
				for _, name := range slices.Sorted(maps.Keys(alternative)) {
					scheme := document.Components.SecuritySchemes[name]
					token := scheme.Guard.Token
					if token == "" && (scheme.Scheme == "bearer" && scheme.BearerFormat != "opaque" || scheme.Type == "oauth2") {
						token = "access"
					}
					names = append(names, fmt.Sprintf("%s=%s%q", name, token, alternative[name]))
				}
				alternatives = append(alternatives, strings.Join(names, "+"))
			}
			want = append(want, line(o.OperationID, strings.ToUpper(method), path, alternatives, fmt.Sprint(o.Guard.Fresh), o.Guard.Roles.Allow, o.Guard.Roles.Deny))
		}
	}
	var got []string
	for _, o := range gen.GuardedOperations() {
		var alternatives []string
		for _, alternative := range o.Requirement {
			alternatives = append(alternatives, schemes(alternative))
		}
		fresh := "<nil>"
		if o.Rules.Fresh {
			fresh = "true"
		} else if o.Rules.MaxAge > 0 {
			fresh = strings.TrimSuffix(o.Rules.MaxAge.String(), "0s")
		}
		got = append(got, line(o.ID, o.Method, o.Path, alternatives, fresh, o.Rules.AllowRoles, o.Rules.DenyRoles))
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(want, got) {
		t.Errorf("api.yaml says\n%s\nthe generated code\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

func schemes(alternative guard.Alternative) string {
	var names []string
	for _, s := range alternative {
		token := ""
		if s.Kind == guard.KindJWT {
			token = s.Token.Name()
		}
		names = append(names, fmt.Sprintf("%s=%s%q", s.Name, token, s.Scopes))
	}
	return strings.Join(names, "+")
}

func line(id, method, path string, alternatives []string, fresh string, allow, deny []string) string {
	return fmt.Sprintf("%s %s %s %q fresh=%s allow=%q deny=%q", id, method, path, alternatives, fresh, allow, deny)
}

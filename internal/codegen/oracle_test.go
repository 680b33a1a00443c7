package codegen

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/codegen/oracle"
)

// tableOf returns what the generator reads of a document, in the form of the oracle.
func tableOf(r *reader) oracle.Table {
	table := oracle.Table{}
	for _, o := range r.operations {
		for _, at := range slices.Concat([]route{o.route}, o.aliases) {
			table[at.String()] = lineOf(o)
		}
	}
	return table
}

func lineOf(o *operation) string {
	if o.requirement.public() {
		return "public"
	}
	var alternatives []string
	for _, a := range o.requirement.alternatives {
		var schemes []string
		for _, s := range a {
			schemes = append(schemes, describe(s))
		}
		alternatives = append(alternatives, "("+strings.Join(schemes, " and ")+")")
	}
	line := strings.Join(alternatives, " or ")
	switch {
	case o.rules.fresh:
		line += "; fresh true"
	case o.rules.maxAge > 0:
		line += "; fresh " + o.rules.maxAge.String()
	}
	if o.rules.immediate {
		line += "; revocation immediate"
	}
	switch {
	case o.rules.allow != nil:
		line += fmt.Sprintf("; roles map[allow:%v]", o.rules.allow)
	case o.rules.deny != nil:
		line += fmt.Sprintf("; roles map[deny:%v]", o.rules.deny)
	}
	if o.rules.watch {
		line += "; watch true"
	}
	return line
}

func describe(s requiredScheme) string {
	credential, place, prefix := "", "", s.prefix
	switch {
	case s.kind == kindCertificate:
		credential = "certificate"
	case s.in != "":
		credential, place = "key", s.in+" "+s.parameter
	case strings.HasPrefix(s.text, "http ") && s.text != "http bearer":
		credential, place, prefix = strings.TrimPrefix(s.text, "http "), "authorization", ""
	default:
		credential, place = "opaque", "bearer"
	}
	if s.kind == kindJWT {
		credential = "JWT " + s.token + " of " + s.verifier
	}
	text := strings.TrimSpace(fmt.Sprintf("%s: %s in %s %s", s.name, credential, place, prefix))
	if list := slices.Concat(s.scopes, s.roles); len(list) > 0 {
		text += fmt.Sprintf(" %q", list)
	}
	return text
}

// readOnly reads a document without generating.
func readOnly(config *Config) (*reader, error) {
	c, settings, err := config.complete()
	if err != nil {
		return nil, err
	}
	libraryLock.Lock()
	defer libraryLock.Unlock()
	r, err := read(c, settings, nil)
	if err != nil {
		return nil, err
	}
	return r, r.err()
}

// TestOracle compares what the generator reads of the cases, and the tables that it generates, with
// what an independent reader reads. Cases whose configuration changes more than x-guard are not among
// them.
func TestOracle(t *testing.T) {
	compared := 0
	for _, name := range packages(t) {
		config, err := readCase(t, name)
		if err != nil {
			t.Fatal(err)
		}
		if config.oapiCodegen.OutputOptions.Overlay.Path != "" || name == "included" || name == "unused-schemes" || name == "lists-31" || config.RawFallback {
			continue
		}
		r, err := readOnly(config)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want, err := oracle.Read(filepath.FromSlash(config.Spec), textOf(config))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, difference := range oracle.Differences(tableOf(r), want) {
			t.Errorf("%s: read: %s", name, difference)
		}
		code, err := os.ReadFile(filepath.Join("testdata", name, GuardFile))
		if err != nil {
			t.Fatal(err)
		}
		got, err := oracle.Generated(code)
		if err != nil {
			t.Fatal(err)
		}
		for _, difference := range oracle.Differences(got, want) {
			t.Errorf("%s: generated: %s", name, difference)
		}
		compared += len(want)
	}
	if compared < 80 {
		t.Errorf("%d operations compared, there were more", compared)
	}
}

// textOf returns the text of a configuration, or nothing.
func textOf(config *Config) []byte {
	if config.source == nil {
		return nil
	}
	return config.source.data
}

package codegen

import (
	"errors"
	"maps"
	"slices"
)

// TokenScheme is a security scheme whose credential is a token, or may be one.
type TokenScheme struct {
	// Name is the name in the document, and Type its type in words of the document.
	Name, Type string
	// Known says that the document or the configuration says which type of token it carries.
	Known bool
	// RefreshHint is why it looks as if it carried refresh tokens, or "".
	RefreshHint string
}

// TokenSchemes returns the schemes that operations require and whose credentials are tokens, and those
// that look as if they carried refresh tokens, sorted by name. Faults of the document that stop no
// reading are not reported.
func TokenSchemes(c *Config) ([]TokenScheme, error) {
	adapted := *c
	adapted.GuardOnly, adapted.Existing, adapted.Package = false, nil, "api"
	adapted.oapiCodegen.PackageName = ""
	_, settings, err := adapted.complete()
	if err != nil {
		return nil, err
	}
	libraryLock.Lock()
	defer libraryLock.Unlock()
	r, err := read(&adapted, settings, nil)
	var failure libraryFailure
	switch {
	case errors.As(err, &failure):
		r.readSecurity()
	case err != nil:
		return nil, err
	}
	var found []TokenScheme
	for _, name := range slices.Sorted(maps.Keys(r.used)) {
		s := r.schemes[name]
		hint := r.looksLikeRefresh(s)
		if s.kind != kindJWT && (s.kind != kindKey || s.in == "" || !refreshName.MatchString(name)) {
			continue
		}
		found = append(found, TokenScheme{name, s.text, s.tokenKnown, hint})
	}
	return found, nil
}

// ServerModules returns the import path of the router of each server that has one, by the name of the
// server.
func ServerModules() map[string]string {
	modules := map[string]string{}
	for _, rt := range routers {
		if path := rt.module(); path != "" {
			modules[rt.name] = path
		}
	}
	return modules
}

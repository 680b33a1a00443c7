//go:build unix

package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	modulePath    = "github.com/oapi-guard/oapi-guard"
	moduleVersion = "v0.1.0"
)

// moduleProxy is a module proxy (https://go.dev/ref/mod#goproxy-protocol). It serves one release of
// this module, with the files of the working tree. Other modules come from the module cache, into
// which the go command downloads what it lacks: the fewer modules a reader requires, the older are
// the versions that "go mod tidy" selects, so no build of this module has downloaded all of them.
type moduleProxy struct {
	release map[string][]byte // by path
	cache   string            // GOMODCACHE/cache/download
	sums    string            // a folder with a copy of go.mod and go.sum, which have most checksums
}

// startModuleProxy returns the address of a proxy that ends with the test.
func startModuleProxy(t *testing.T, repo string) string {
	t.Helper()
	files, err := releaseFiles(repo)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &moduleProxy{
		release: files, cache: filepath.Join(output(t, repo, "go", "env", "GOMODCACHE"), "cache", "download"), sums: t.TempDir(),
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(repo, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(proxy.sums, name), content, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// fileOfVersion is the path of a file of a version of a module.
var fileOfVersion = regexp.MustCompile(`^/(.+)/@v/(v[^/]+)\.(info|mod|zip)$`)

func (p *moduleProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The go command also asks for modules in folders around the package that it looks for.
	if strings.HasPrefix(r.URL.Path, "/"+path.Dir(modulePath)+"/") {
		content, found := p.release[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(content)
		return
	}
	file := filepath.Join(p.cache, filepath.FromSlash(path.Clean(r.URL.Path)))
	if match := fileOfVersion.FindStringSubmatch(r.URL.Path); match != nil {
		if _, err := os.Stat(file); err != nil {
			command := []string{"list", "-m"} // needs .info and .mod
			if match[3] == "zip" {
				command = []string{"mod", "download"}
			}
			download := exec.CommandContext(r.Context(), "go", append(command, unescaped(match[1])+"@"+unescaped(match[2]))...)
			download.Dir, download.Env = p.sums, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
			if out, err := download.CombinedOutput(); err != nil {
				http.Error(w, fmt.Sprintf("%v\n%s", err, out), http.StatusBadGateway)
				return
			}
		}
	}
	http.ServeFile(w, r, file)
}

// unescaped returns a module path or a version as it is written, without ! in front of what is a
// capital letter (https://go.dev/ref/mod#goproxy-protocol).
func unescaped(name string) string {
	return regexp.MustCompile("![a-z]").ReplaceAllStringFunc(name, func(s string) string { return strings.ToUpper(s[1:]) })
}

// releaseFiles returns the files of the release by their paths: those of the working tree that git
// tracks or would add.
func releaseFiles(repo string) (map[string][]byte, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = repo
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	archive, err := moduleZip(repo, strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"))
	if err != nil {
		return nil, err
	}
	mod, err := os.ReadFile(filepath.Join(repo, "go.mod"))
	if err != nil {
		return nil, err
	}
	dir := "/" + modulePath + "/@v/"
	return map[string][]byte{
		dir + "list":                  []byte(moduleVersion + "\n"),
		dir + moduleVersion + ".info": []byte(`{"Version":"` + moduleVersion + `","Time":"2026-01-01T00:00:00Z"}`),
		dir + moduleVersion + ".mod":  mod,
		dir + moduleVersion + ".zip":  archive,
	}, nil
}

// moduleZip returns the zip of a module (https://go.dev/ref/mod#zip-files). Nested modules are not
// in it.
func moduleZip(repo string, files []string) ([]byte, error) {
	var nested []string
	for _, file := range files {
		if path.Base(file) == "go.mod" && file != "go.mod" {
			nested = append(nested, path.Dir(file)+"/")
		}
	}
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	for _, file := range files {
		if slices.ContainsFunc(nested, func(dir string) bool { return strings.HasPrefix(file, dir) }) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(repo, filepath.FromSlash(file)))
		if os.IsNotExist(err) {
			continue // deleted, and git does not know it yet
		}
		if err != nil {
			return nil, err
		}
		w, err := archive.Create(modulePath + "@" + moduleVersion + "/" + file)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return b.Bytes(), err
}

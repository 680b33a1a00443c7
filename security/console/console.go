package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

// DefaultPath is the path under which the page is served unless WithPath sets another one.
const DefaultPath = "/console/"

//go:embed assets
var assets embed.FS

// Page is the page and its files. It is an http.Handler, safe for concurrent use.
type Page struct {
	path    string
	clients clients
	files   map[string][]byte
}

var _ http.Handler = (*Page)(nil)

// New returns the page for the operations: GuardedOperations() of generated code. It returns an error
// if an option names an operation or a scheme that the table does not have.
func New(operations []guard.Operation, options ...Option) (*Page, error) {
	if err := checkOperations(operations); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	b := &builder{path: DefaultPath, config: config{
		Operations: operationsOf(operations), Users: []user{}, Credentials: map[string]string{},
	}}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("console: a nil option")
		}
		if err := option(b); err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
	}
	if err := b.validate(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	files, err := readAssets()
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if files["config.json"], err = b.config.encode(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return &Page{b.path, clients{b.remotes, b.hosts}, files}, nil
}

func readAssets() (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(assets, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[strings.TrimPrefix(name, "assets/")], err = assets.ReadFile(name)
		return err
	})
	return files, err
}

// Path returns the path under which the page has to be mounted.
func (p *Page) Path() string { return p.path }

// policy is the Content-Security-Policy: only files of this origin, and no text becomes HTML.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// ServeHTTP serves the page and its files. It refuses clients as the package doc says.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", policy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	if reason := p.clients.refuse(r); reason != "" {
		http.Error(w, "The console refuses this request: "+reason, http.StatusForbidden)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "The console has no such method.", http.StatusMethodNotAllowed)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, p.path)
	if name == "" {
		name = "index.html"
	}
	file, found := p.files[name]
	if !ok || !found {
		http.Error(w, "The console has no such file.", http.StatusNotFound)
		return
	}
	header.Set("Content-Type", contentTypes[path.Ext(name)])
	header.Set("Content-Length", strconv.Itoa(len(file)))
	if r.Method == http.MethodGet {
		_, _ = io.Copy(w, bytes.NewReader(file)) // the client may be gone
	}
}

// contentTypes are those of the files. Package mime asks the machine, which may differ.
var contentTypes = map[string]string{
	".html": mime.FormatMediaType("text/html", utf8), ".css": mime.FormatMediaType("text/css", utf8),
	".js": mime.FormatMediaType("text/javascript", utf8), ".svg": "image/svg+xml", ".json": "application/json",
}

var utf8 = map[string]string{"charset": "utf-8"}

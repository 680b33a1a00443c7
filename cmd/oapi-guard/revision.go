package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// baseline returns what an older version of the document says: a document, a configuration, or a git
// revision. config is the configuration of the newer version.
func (f *configFlags) baseline(ctx context.Context, config *codegen.Config, against string) (*codegen.Listing, error) {
	old := *config
	old.IgnoreUnmatched = true
	var err error
	switch info, statErr := os.Stat(against); {
	case against == "" || strings.HasPrefix(against, "-"):
		return nil, usageError{fmt.Errorf("--against takes a file or a git revision, not %q", against)}
	case statErr == nil && info.IsDir():
		return nil, usageError{fmt.Errorf("--against takes a file or a git revision, and %s is a folder", against)}
	case statErr == nil:
		var data []byte
		if data, err = os.ReadFile(against); err != nil {
			return nil, err
		}
		if isDocument(data) {
			old.Spec = against
			return listOld(&old, nil)
		}
		read, err := codegen.ReadConfig(against, data)
		if err != nil {
			return nil, err
		}
		read.IgnoreUnmatched = true
		return listOld(read, nil)
	case strings.Contains(against, "://"):
		old.Spec = against
		return listOld(&old, nil)
	}
	return f.atRevision(ctx, old, against)
}

// listOld lists the older version. texts replaces names in errors.
func listOld(config *codegen.Config, texts *strings.Replacer) (*codegen.Listing, error) {
	l, err := codegen.List(config)
	if err == nil {
		return l, nil
	}
	text := err.Error()
	if texts != nil {
		text = texts.Replace(text)
	}
	return nil, fmt.Errorf("the older version cannot be read, so that nothing is compared:\n%s", text)
}

// isDocument reports whether a file is an OpenAPI document and no configuration.
func isDocument(data []byte) bool {
	var top map[string]yaml.Node
	if yaml.Unmarshal(data, &top) != nil {
		return true // its error names the line
	}
	_, openapi := top["openapi"]
	_, swagger := top["swagger"]
	return openapi || swagger
}

// revision is a commit of a git repository.
type revision struct {
	name, commit string
	// top is the folder of the repository, and files is a folder with the files of the commit.
	top, files string
	in         io.WriteCloser
	out        *bufio.Reader
	stop       func()
}

// atRevision lists the document of a git revision, or of REVISION:PATH.
func (f *configFlags) atRevision(ctx context.Context, config codegen.Config, against string) (*codegen.Listing, error) {
	name, document, hasPath := strings.Cut(against, ":")
	r, err := openRevision(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("--against %s: there is no such file, and as a git revision: %w", against, err)
	}
	defer r.close()
	spec := config.Spec
	old := &config
	switch local, data, err := r.fetch(f.configPath()); {
	case err == nil:
		if old, err = codegen.ReadConfig(local, data); err != nil {
			return nil, errors.New(r.names().Replace(err.Error()))
		}
		old.IgnoreUnmatched = true
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	switch {
	case hasPath:
		spec = r.path(document)
	case f.spec != "" || old == &config:
	default:
		spec = r.original(old.Spec)
	}
	if old.Spec, err = r.fetchAll(spec); err != nil {
		return nil, err
	}
	if old == &config {
		return listOld(old, r.names())
	}
	if overlay := old.OverlayPath(); overlay != "" {
		if _, err := r.fetchAll(r.original(overlay)); err != nil {
			return nil, err
		}
	}
	return listOld(old, r.names())
}

// openRevision finds a revision of the repository of the working directory.
func openRevision(ctx context.Context, name string) (*revision, error) {
	top, err := git(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	commit, err := git(ctx, "rev-parse", "--verify", name+"^{commit}")
	if err != nil {
		return nil, err
	}
	files, err := os.MkdirTemp("", "oapi-guard-")
	if err != nil {
		return nil, err
	}
	r := &revision{name: name, commit: commit, top: top, files: files}
	cat := exec.CommandContext(ctx, "git", "cat-file", "--batch")
	out, err := cat.StdoutPipe()
	if err == nil {
		r.in, err = cat.StdinPipe()
	}
	if err == nil {
		err = cat.Start()
	}
	if err != nil {
		_ = os.RemoveAll(files)
		return nil, err
	}
	r.out = bufio.NewReader(out)
	r.stop = func() {
		_ = r.in.Close()
		_ = cat.Wait()
	}
	return r, nil
}

func (r *revision) close() {
	r.stop()
	_ = os.RemoveAll(r.files)
}

// git runs git and returns what it prints.
func git(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", args...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			return "", errors.New(text)
		}
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(out), "\n"), "\r"), nil
}

// within returns the path of a file in the repository, with slashes, or false for a file elsewhere.
func (r *revision) within(path string) (string, bool) {
	if strings.Contains(path, "://") {
		return "", false
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	if resolved, err := filepath.EvalSymlinks(filepath.Dir(absolute)); err == nil {
		absolute = filepath.Join(resolved, filepath.Base(absolute))
	}
	relative, err := filepath.Rel(r.top, absolute)
	if err != nil || !filepath.IsLocal(relative) {
		return "", false
	}
	return filepath.ToSlash(relative), true
}

// path returns the path of a file that REVISION:PATH names: from the folder of the repository, or with
// ./ from the working directory.
func (r *revision) path(name string) string {
	if strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../") {
		return filepath.FromSlash(name)
	}
	return filepath.Join(r.top, filepath.FromSlash(name))
}

// local returns where a file of the repository is in the folder of the revision.
func (r *revision) local(inside string) string {
	return filepath.Join(r.files, filepath.FromSlash(inside))
}

// original returns the path in the repository of a file in the folder of the revision.
func (r *revision) original(path string) string {
	if path == "" || strings.Contains(path, "://") {
		return path
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	relative, err := filepath.Rel(r.files, absolute)
	if err != nil || !filepath.IsLocal(relative) {
		return path
	}
	return filepath.Join(r.top, relative)
}

// fetch writes a file of the revision into its folder and returns the path and the content.
func (r *revision) fetch(path string) (string, []byte, error) {
	inside, ok := r.within(path)
	if !ok {
		data, err := os.ReadFile(path)
		return path, data, err
	}
	data, err := r.read(inside)
	if err != nil {
		return "", nil, err
	}
	local := r.local(inside)
	if err := os.MkdirAll(filepath.Dir(local), 0o700); err != nil {
		return "", nil, err
	}
	return local, data, os.WriteFile(local, data, 0o600)
}

// fetchAll writes a document of the revision and the files that it refers to. It returns the path of
// the document. A document that is not in the repository stays where it is.
func (r *revision) fetchAll(path string) (string, error) {
	inside, ok := r.within(path)
	if !ok || path == "" {
		return path, nil
	}
	if _, err := r.read(inside); err != nil {
		return "", fmt.Errorf("%s:%s: %w; name the document that it has: --against %s:PATH", r.name, inside, err, r.name)
	}
	for _, name := range referencedFiles([]string{inside}, r.read) {
		if _, _, err := r.fetch(filepath.Join(r.top, filepath.FromSlash(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return r.local(inside), nil
}

// read returns the content of a file of the revision.
func (r *revision) read(inside string) ([]byte, error) {
	if strings.Contains(inside, "\n") || !filepath.IsLocal(filepath.FromSlash(inside)) {
		return nil, fs.ErrNotExist
	}
	if _, err := fmt.Fprintf(r.in, "%s:%s\n", r.commit, inside); err != nil {
		return nil, err
	}
	header, err := r.out.ReadString('\n')
	if err != nil {
		return nil, err
	}
	var object, kind string
	var size int64
	if n, _ := fmt.Sscanf(header, "%s %s %d", &object, &kind, &size); n < 3 {
		return nil, fs.ErrNotExist
	}
	data := make([]byte, size+1) // and a line break
	if _, err := io.ReadFull(r.out, data); err != nil {
		return nil, err
	}
	if kind != "blob" {
		return nil, fs.ErrNotExist
	}
	return data[:size], nil
}

// names lets errors name the revision in place of its folder.
func (r *revision) names() *strings.Replacer {
	pairs := []string{r.files + string(filepath.Separator), r.name + ":"}
	if wd, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(wd, r.files); err == nil {
			pairs = append(pairs, relative+string(filepath.Separator), r.name+":")
		}
	}
	return strings.NewReplacer(pairs...)
}

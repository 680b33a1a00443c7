package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// project is what init finds in the folder of a module.
type project struct {
	// documents are the OpenAPI documents.
	documents []string
	// runs are the runs of oapi-codegen that generate a server.
	runs []libraryRun
}

// libraryRun is a run of oapi-codegen, found by its configuration or by its go:generate line.
type libraryRun struct {
	// config is the configuration, or "" where flags say all.
	config string
	// directive is the Go file with the go:generate line, or "".
	directive string
	// spec is the document, or "" where it is not known.
	spec string
	// output is the folder of the generated package.
	output string
	server bool
}

// name returns the file by which the user knows the run.
func (r libraryRun) name() string {
	if r.config != "" {
		return r.config
	}
	return r.directive
}

// maxExamined bounds the size of a file that is examined.
const maxExamined = 16 << 20

var (
	openAPI   = regexp.MustCompile(`(?m)^[\s{]*["']?openapi["']?\s*:\s*["']?3`)
	directive = regexp.MustCompile(`(?m)^//go:generate\s+(.*\boapi-codegen\b.*)$`)
)

// discover examines the files of a module. It leaves out other modules, vendor, testdata and what
// begins with a dot or an underscore.
func discover(root string) (*project, error) {
	p := &project{}
	var configs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
				slices.Contains([]string{"vendor", "node_modules", "testdata"}, name) || exists(filepath.Join(path, "go.mod"))) {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxExamined {
			return err
		}
		switch filepath.Ext(name) {
		case ".go":
			return p.examineGo(path)
		case ".yaml", ".yml", ".json":
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if openAPI.Match(content) {
				p.documents = append(p.documents, path)
			} else if filepath.Ext(name) != ".json" && isLibraryConfig(content) {
				configs = append(configs, path)
			}
		}
		return nil
	})
	for _, config := range configs {
		if !slices.ContainsFunc(p.runs, func(r libraryRun) bool { return r.config == config }) {
			run := libraryRun{config: config}
			run.readConfig(filepath.Dir(config))
			p.runs = append(p.runs, run)
		}
	}
	p.runs = slices.DeleteFunc(p.runs, func(r libraryRun) bool { return !r.server || r.output == "" })
	return p, err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// examineGo finds the go:generate lines of a Go file that run oapi-codegen.
func (p *project) examineGo(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, match := range directive.FindAllSubmatch(bytes.ReplaceAll(content, []byte("\r"), nil), -1) {
		if run, ok := readDirective(path, strings.Fields(string(match[1]))); ok {
			p.runs = append(p.runs, run)
		}
	}
	return nil
}

// readDirective reads the words of a go:generate line. go generate runs it in the folder of its file.
func readDirective(file string, words []string) (libraryRun, bool) {
	run := libraryRun{directive: file}
	dir := filepath.Dir(file)
	at := slices.IndexFunc(words, func(word string) bool {
		word, _, _ = strings.Cut(word, "@")
		return filepath.Base(word) == "oapi-codegen"
	})
	if at < 0 {
		return run, false
	}
	output := ""
	for words = words[at+1:]; len(words) > 0; words = words[1:] {
		flag, value, hasValue := strings.Cut(strings.Trim(words[0], `"`), "=")
		name := strings.TrimLeft(flag, "-")
		if name == flag {
			run.spec = inFolder(dir, flag)
			continue
		}
		if !hasValue && len(words) > 1 && slices.Contains([]string{"config", "o", "package", "generate"}, name) {
			words = words[1:]
			value = strings.Trim(words[0], `"`)
		}
		switch name {
		case "config":
			run.config = inFolder(dir, value)
		case "o":
			output = value
		case "generate":
			run.server = strings.Contains(value, "server")
		}
	}
	if run.config != "" {
		run.readConfig(dir)
	}
	if output != "" {
		run.output = filepath.Dir(inFolder(dir, output))
	}
	return run, true
}

// inFolder returns a path of a go:generate line relative to the working directory.
func inFolder(dir, path string) string {
	if filepath.IsAbs(path) || strings.Contains(path, "://") {
		return path
	}
	return filepath.Join(dir, filepath.FromSlash(path))
}

// libraryConfig is what init reads of oapi-codegen's configuration.
type libraryConfig struct {
	Package  string
	Output   string
	Generate map[string]any
}

// isLibraryConfig reports whether a file is a configuration of oapi-codegen.
func isLibraryConfig(content []byte) bool {
	var c libraryConfig
	return yaml.Unmarshal(content, &c) == nil && c.Package != "" && c.Generate != nil
}

// readConfig reads what the configuration says. The output is relative to the folder where
// oapi-codegen runs.
func (r *libraryRun) readConfig(dir string) {
	content, err := os.ReadFile(r.config)
	var c libraryConfig
	if err != nil || yaml.Unmarshal(content, &c) != nil {
		return
	}
	for key, value := range c.Generate {
		r.server = r.server || strings.HasSuffix(key, "-server") && value == true
	}
	if c.Output == "" {
		return
	}
	r.output = filepath.Dir(inFolder(dir, c.Output))
	if r.directive == "" && !exists(inFolder(dir, c.Output)) && exists(filepath.FromSlash(c.Output)) {
		r.output = filepath.Dir(filepath.FromSlash(c.Output)) // a Makefile runs it from here
	}
}

package main

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// reference matches the file of a reference in YAML or JSON.
var reference = regexp.MustCompile(`["']?\$ref["']?\s*:\s*["']?([^"'#\s,}]+)`)

// referencedFiles returns the local files that a document refers to, and those that they refer to. The
// paths have slashes. read returns the content of a file; files that it cannot read are in the result.
func referencedFiles(start []string, read func(name string) ([]byte, error)) []string {
	found := slices.Clone(start)
	for i := 0; i < len(found); i++ {
		content, err := read(found[i])
		if err != nil {
			continue
		}
		for _, match := range reference.FindAllSubmatch(content, -1) {
			name := string(match[1])
			if strings.Contains(name, "://") || path.IsAbs(name) {
				continue
			}
			if name = path.Join(path.Dir(found[i]), name); !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	return found
}

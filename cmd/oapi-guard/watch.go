package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// watchInterval is how often generate --watch looks at the files.
const watchInterval = 500 * time.Millisecond

// watcher generates again when a file changes.
type watcher struct {
	// ticks says when to look at the files. Tests send them.
	ticks <-chan time.Time
	// files returns the files that the generated code depends on, and generate generates it.
	files    func() []string
	generate func() error
	out, err io.Writer
}

// run generates, and generates again after each change, until the context ends. An error is printed
// and ends nothing.
func (w watcher) run(ctx context.Context) {
	before := w.attempt()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.ticks:
			if states := fileStates(w.files()); !slices.Equal(states, before) {
				before = w.attempt()
			}
		}
	}
}

// attempt generates, and returns the states of the files from before it. A change in between is seen at
// the next tick.
func (w watcher) attempt() []fileState {
	states := fileStates(w.files())
	if err := w.generate(); err != nil {
		fmt.Fprintln(w.err, err)
	} else {
		fmt.Fprintln(w.out, "generated; waiting for changes")
	}
	return states
}

// fileState tells versions of a file apart.
type fileState struct {
	name     string
	size     int64
	modified time.Time
}

func fileStates(names []string) []fileState {
	var states []fileState
	for _, name := range names {
		state := fileState{name: name, size: -1}
		if info, err := os.Stat(name); err == nil {
			state.size, state.modified = info.Size(), info.ModTime()
		}
		states = append(states, state)
	}
	return states
}

// watch is generate --watch.
func (f *configFlags) watch(command *cobra.Command) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	watcher{
		ticks: ticker.C,
		files: func() []string {
			config, err := f.read(command)
			if err != nil {
				return []string{f.configPath()}
			}
			return watchedFiles(f.configPath(), config)
		},
		generate: func() error {
			config, err := f.read(command)
			if err != nil {
				return err
			}
			result, err := generate(config)
			if err != nil {
				return err
			}
			warn(command.ErrOrStderr(), result.Warnings)
			return codegen.WriteFiles(config.Output, result.Files)
		},
		out: command.OutOrStdout(), err: command.ErrOrStderr(),
	}.run(command.Context())
	return nil
}

// watchedFiles returns the configuration, the document with the files that it refers to, the overlay,
// and with guard-only the Go files of the package.
func watchedFiles(path string, c *codegen.Config) []string {
	start := []string{filepath.ToSlash(c.Spec)}
	if overlay := c.OverlayPath(); overlay != "" {
		start = append(start, filepath.ToSlash(overlay))
	}
	files := []string{path}
	for _, name := range referencedFiles(start, func(name string) ([]byte, error) { return os.ReadFile(filepath.FromSlash(name)) }) {
		files = append(files, filepath.FromSlash(name))
	}
	if c.GuardOnly {
		sources, _ := filepath.Glob(filepath.Join(c.Output, "*.go"))
		for _, name := range sources {
			if filepath.Base(name) != codegen.GuardFile {
				files = append(files, name)
			}
		}
	}
	return files
}

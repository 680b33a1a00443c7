package main

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// helper is the testing.TB of the packages that start servers. A failure is a panic with a failure,
// which ends the scenario.
type helper struct {
	testing.TB // nil: only the methods below are called
	cleanups   []func()
	ctx        context.Context
}

// failure ends a scenario: a server did not start, or the processes did not become ready.
type failure string

func (h *helper) Helper()                   {}
func (h *helper) Cleanup(f func())          { h.cleanups = append(h.cleanups, f) }
func (h *helper) Fatal(args ...any)         { panic(failure(fmt.Sprint(args...))) }
func (h *helper) Fatalf(f string, a ...any) { panic(failure(fmt.Sprintf(f, a...))) }
func (h *helper) Skip(args ...any)          { h.Fatal(args...) }
func (h *helper) Context() context.Context  { return h.ctx }
func (h *helper) Name() string              { return "chaos" }

func (h *helper) TempDir() string {
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// must ends the scenario on an error.
func (h *helper) must(err error) {
	if err != nil {
		h.Fatal(err)
	}
}

// finish runs the cleanups in the reverse order.
func (h *helper) finish() {
	for len(h.cleanups) > 0 {
		last := h.cleanups[len(h.cleanups)-1]
		h.cleanups = h.cleanups[:len(h.cleanups)-1]
		last()
	}
}

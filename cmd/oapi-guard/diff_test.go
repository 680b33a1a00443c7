package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLineEdits checks that the edits lead from one text to the other, and that there are not more
// changes than needed.
func TestLineEdits(t *testing.T) {
	for _, tt := range []struct {
		name, old, changed string
		changes            int
	}{
		{name: "nothing", old: "", changed: "", changes: 0},
		{name: "the same", old: "a b c", changed: "a b c", changes: 0},
		{name: "all is new", old: "", changed: "a b", changes: 2},
		{name: "all is gone", old: "a b", changed: "", changes: 2},
		{name: "a line in the middle", old: "a b c", changed: "a x c", changes: 2},
		{name: "a line more", old: "a b c", changed: "a b x c", changes: 1},
		{name: "a line less", old: "a b c d", changed: "a b d", changes: 1},
		{name: "lines moved", old: "a b c d e", changed: "c d e a b", changes: 4},
		{name: "two places", old: "a b c d e f g", changed: "a x c d e g", changes: 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			edits := lineEdits(strings.Fields(tt.old), strings.Fields(tt.changed))
			checkEdits(t, edits, tt.old, tt.changed)
			changes := 0
			for _, e := range edits {
				if e.sign != ' ' {
					changes++
				}
			}
			if changes != tt.changes {
				t.Errorf("%d changes, want %d: %v", changes, tt.changes, edits)
			}
		})
	}
}

// TestRandomEdits does the same for many texts.
func TestRandomEdits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var words []string
		for range random.IntN(12) {
			words = append(words, string(rune('a'+random.IntN(4))))
		}
		return strings.Join(words, " ")
	}
	for range 2000 {
		old, changed := text(), text()
		checkEdits(t, lineEdits(strings.Fields(old), strings.Fields(changed)), old, changed)
	}
}

func checkEdits(t *testing.T, edits []edit, old, changed string) {
	t.Helper()
	var before, after []string
	for _, e := range edits {
		if e.sign != '+' {
			before = append(before, e.line)
		}
		if e.sign != '-' {
			after = append(after, e.line)
		}
	}
	if got := strings.Join(before, " "); got != old {
		t.Errorf("%q becomes %q: the old text is %q in %v", old, changed, got, edits)
	}
	if got := strings.Join(after, " "); got != changed {
		t.Errorf("%q becomes %q: the new text is %q in %v", old, changed, got, edits)
	}
}

// TestUnifiedDiff applies a difference with patch, which has to make the new text of the old one.
func TestUnifiedDiff(t *testing.T) {
	patch, err := exec.LookPath("patch")
	if err != nil {
		t.Skip("no patch command")
	}
	var old []string
	for i := range 60 {
		old = append(old, strings.Repeat("x", i))
	}
	changed := append([]string{"first"}, old...)
	changed[20] = "changed"
	changed = append(changed[:40], changed[43:]...)
	before, after := strings.Join(old, "\n")+"\n", strings.Join(changed, "\n")+"\n"
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(patch, file)
	command.Stdin = strings.NewReader(unifiedDiff("file", []byte(before), []byte(after)))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != after {
		t.Errorf("%v, %q, want %q", err, got, after)
	}
	if diff := unifiedDiff("file", []byte(after), []byte(after)); diff != "" {
		t.Errorf("a difference of nothing: %q", diff)
	}
}

package main

import (
	"fmt"
	"strings"
)

// diffContext is how many unchanged lines a hunk has around its changes.
const diffContext = 3

// edit is a line of a difference: sign is ' ', '-' or '+'.
type edit struct {
	sign byte
	line string
}

// unifiedDiff returns the difference between two versions of a file as diff -u prints it, or "".
func unifiedDiff(path string, old, changed []byte) string {
	edits := lineEdits(lines(old), lines(changed))
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s (generated)\n", path, path)
	written := false
	for i, oldLine, newLine := 0, 1, 1; i < len(edits); {
		start, end := hunk(edits, i)
		if start < 0 {
			break
		}
		for ; i < start; i++ { // unchanged
			oldLine, newLine = oldLine+1, newLine+1
		}
		var body strings.Builder
		olds, news := 0, 0
		for ; i < end; i++ {
			fmt.Fprintf(&body, "%c%s\n", edits[i].sign, edits[i].line)
			if edits[i].sign != '+' {
				olds++
			}
			if edits[i].sign != '-' {
				news++
			}
		}
		fmt.Fprintf(&b, "@@ -%d,%d +%d,%d @@\n%s", oldLine, olds, newLine, news, body.String())
		oldLine, newLine, written = oldLine+olds, newLine+news, true
	}
	if !written {
		return ""
	}
	return b.String()
}

// hunk returns the next range of edits to print from an index on, or -1 where nothing changes any more.
func hunk(edits []edit, from int) (start, end int) {
	first := from
	for first < len(edits) && edits[first].sign == ' ' {
		first++
	}
	if first == len(edits) {
		return -1, -1
	}
	last := first
	for i := first; i < len(edits) && i-last <= 2*diffContext; i++ {
		if edits[i].sign != ' ' {
			last = i
		}
	}
	return max(from, first-diffContext), min(len(edits), last+1+diffContext)
}

func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// maxEdits bounds the search for the smallest difference. Larger ones are printed as one removal and
// one addition.
const maxEdits = 1000

// lineEdits returns the edits that turn one list of lines into another (Myers, "An O(ND) Difference
// Algorithm and Its Variations", 1986).
func lineEdits(a, b []string) []edit {
	var edits []edit
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		edits = append(edits, edit{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	var tail []edit
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append(tail, edit{' ', a[len(a)-1]})
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	edits = append(edits, middleEdits(a, b)...)
	for i := len(tail) - 1; i >= 0; i-- {
		edits = append(edits, tail[i])
	}
	return edits
}

// middleEdits is lineEdits for lists that differ at both ends.
func middleEdits(a, b []string) []edit {
	limit := min(len(a)+len(b), maxEdits)
	furthest := map[int]int{1: 0} // by diagonal, how far in a
	var trace []map[int]int
	for d := 0; d <= limit; d++ {
		reached := map[int]int{}
		for k := -d; k <= d; k += 2 {
			x := furthest[k-1] + 1
			if k == -d || k != d && furthest[k-1] < furthest[k+1] {
				x = furthest[k+1]
			}
			for y := x - k; x < len(a) && y < len(b) && a[x] == b[y]; y++ {
				x++
			}
			reached[k] = x
			if x >= len(a) && x-k >= len(b) {
				return backtrack(a, b, append(trace, reached))
			}
		}
		trace = append(trace, reached)
		furthest = reached
	}
	var edits []edit
	for _, line := range a {
		edits = append(edits, edit{'-', line})
	}
	for _, line := range b {
		edits = append(edits, edit{'+', line})
	}
	return edits
}

// backtrack returns the edits of the path that the trace of a search ends with.
func backtrack(a, b []string, trace []map[int]int) []edit {
	var reversed []edit
	x, y := len(a), len(b)
	for d := len(trace) - 1; d >= 0; d-- {
		k := x - y
		inserted := k == -d || d > 0 && k != d && trace[d-1][k-1] < trace[d-1][k+1]
		// The edit leads to where equal lines begin.
		beginX := 0
		switch {
		case d > 0 && inserted:
			beginX = trace[d-1][k+1]
		case d > 0:
			beginX = trace[d-1][k-1] + 1
		}
		for x > beginX {
			x, y = x-1, y-1
			reversed = append(reversed, edit{' ', a[x]})
		}
		switch {
		case d == 0:
		case inserted:
			y--
			reversed = append(reversed, edit{'+', b[y]})
		default:
			x--
			reversed = append(reversed, edit{'-', a[x]})
		}
	}
	edits := make([]edit, 0, len(reversed))
	for i := len(reversed) - 1; i >= 0; i-- {
		edits = append(edits, reversed[i])
	}
	return edits
}

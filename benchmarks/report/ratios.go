package main

import (
	"fmt"
	"strconv"
	"strings"
)

// ratio compares what two stacks add to the floor.
type ratio struct {
	title, benchmark string
	params           map[string]string
	unit             string
	first, second    string
}

var (
	oneToken      = map[string]string{"alg": "HS256", "tokens": "1", "callers": "1"}
	newTokens     = map[string]string{"alg": "HS256", "tokens": "100000", "callers": "1"}
	alone         = map[string]string{"tokens": "1", "callers": "1"}
	many          = map[string]string{"tokens": "1", "callers": "64"}
	loadWithRedis = map[string]string{"redis": "yes"}
)

// ratios are the lines of the first table.
var ratios = []ratio{
	{"Token seen before, 1 caller", "Serve", oneToken, timePerOp, guard, cached},
	{"Token seen before, 1 caller", "Serve", oneToken, timePerOp, guard, written},
	{"New token, 1 caller", "Serve", newTokens, timePerOp, guard, written},
	{"Shared revocation, 64 callers", "Redis", many, timePerOp, replica, memory},
	{"Shared revocation, 64 callers", "Redis", many, timePerOp, replica, cached},
	{"Shared revocation, 64 callers", "Redis", many, timePerOp, replica, written},
	{"Shared revocation, 1 caller", "Redis", alone, timePerOp, replica, memory},
	{"Shared revocation, 1 caller", "Redis", alone, timePerOp, replica, cached},
	{"Shared revocation, 1 caller", "Redis", alone, timePerOp, replica, written},
	{"Shared revocation, HTTP, processor time", "Load", loadWithRedis, cpuPerOp, replica, memory},
	{"Shared revocation, HTTP, processor time", "Load", loadWithRedis, cpuPerOp, replica, cached},
	{"Shared revocation, HTTP, processor time", "Load", loadWithRedis, cpuPerOp, replica, written},
}

// ratioTable returns the table of ratios, of those that were measured.
func (r *report) ratioTable() string {
	var rows []string
	for _, x := range ratios {
		g := r.group(x.benchmark, x.params)
		if g == nil || g.find(x.first) == nil || g.find(x.second) == nil {
			continue
		}
		first, second := g.added(g.find(x.first), x.unit), g.added(g.find(x.second), x.unit)
		rows = append(rows, fmt.Sprintf("| %s | %s %s ns | %s %s ns | %s |\n", x.title, x.first, number(first), x.second, number(second), quotient(first, second)))
	}
	if len(rows) == 0 {
		return ""
	}
	return "\n## In short\n\nWhat a request adds to the floor, and the first divided by the second. Where a revocation is shared, the hand-written stacks send\n" +
		"`EXISTS` to Redis for each request, oapi-guard-replica asks its copy, and the list of oapi-guard-memory is not shared.\n\n" +
		"| | the first | the second | ratio |\n|---|--:|--:|--:|\n" + strings.Join(rows, "")
}

// quotient returns "0.12 (1/8.3)". Nothing is compared with a figure that is smaller than the noise.
func quotient(first, second float64) string {
	switch {
	case first <= 0 || second <= 0:
		return ""
	case first < second/2:
		return fmt.Sprintf("%s (1/%s)", strconv.FormatFloat(first/second, 'g', 2, 64), strconv.FormatFloat(second/first, 'f', 1, 64))
	}
	return strconv.FormatFloat(first/second, 'f', 2, 64)
}

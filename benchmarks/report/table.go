package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// english writes numbers with commas.
var english = message.NewPrinter(language.English)

// table returns the report in Markdown.
func (r *report) table() string {
	var b strings.Builder
	b.WriteString("# Results\n\n")
	b.WriteString(r.machine() + "\n\n")
	fmt.Fprintf(&b, "Medians of %s; in brackets the fastest and the slowest. The floor is oapi-codegen's server on net/http without\n"+
		"authentication, and *added* the time above it: for the frameworks goa, go-swagger, huma and echo with what they themselves cost\n"+
		"more or less than that server. Written by `make bench`; [raw.txt](raw.txt) is the output of the benchmarks.\n", r.rounds())
	benchmark := ""
	for _, g := range r.groups {
		if g.benchmark != benchmark {
			benchmark = g.benchmark
			fmt.Fprintf(&b, "\n## %s\n", heading(benchmark))
		}
		fmt.Fprintf(&b, "\n### %s\n\n", g.title())
		b.WriteString("| stack | ns/op | | B/op | allocs/op | × floor | added ns | added, × oapi-guard's |\n")
		b.WriteString("|---|--:|---|--:|--:|--:|--:|--:|\n")
		for _, s := range g.stacks {
			b.WriteString(g.row(s))
		}
	}
	return b.String()
}

func (g *group) row(s *stack) string {
	added, times := "", ""
	if s.name != floor {
		added = number(g.added(s))
		if guards := g.added(g.find(guard)); guards > 0 {
			times = strconv.FormatFloat(g.added(s)/guards, 'f', 2, 64)
		}
	}
	return fmt.Sprintf("| %s | %s | (%s to %s) | %s | %s | %.2f | %s | %s |\n", cell(s.name),
		number(s.nanoseconds()), number(slices.Min(s.seconds)*1e9), number(slices.Max(s.seconds)*1e9),
		number(median(s.bytes)), number(median(s.allocated)), s.nanoseconds()/g.find(floor).nanoseconds(), added, times)
}

func number(value float64) string { return english.Sprintf("%.0f", value) }

// machine returns a line about where and when the run was.
func (r *report) machine() string {
	fact := func(key string) string {
		if value := r.facts[key]; value != "" {
			return cell(value)
		}
		return "unknown"
	}
	return fmt.Sprintf("%s, %s cores, %s/%s, %s, Redis %s, %s.", fact("cpu"), fact("cores"), fact("goos"), fact("goarch"), fact("go"), fact("redis"), fact("date"))
}

// rounds returns a line about the number of rounds.
func (r *report) rounds() string {
	least, most := len(r.groups[0].stacks[0].seconds), 0
	for _, g := range r.groups {
		n := len(g.stacks[0].seconds)
		least, most = min(least, n), max(most, n)
	}
	if least == most {
		return fmt.Sprintf("%d rounds", least)
	}
	return fmt.Sprintf("%d to %d rounds", least, most)
}

// cell escapes a text, so that it neither ends its cell nor starts markup.
func cell(text string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", "&", "&amp;", "\n", " ").Replace(text)
}

// heading returns what a benchmark measures.
func heading(benchmark string) string {
	switch benchmark {
	case "Serve":
		return "One request after the other, in the process"
	case "Parallel":
		return "A caller per core, in the process"
	case "Redis":
		return "With a look-up of revoked tokens in Redis, on the same machine"
	case "HTTP":
		return "Over loopback HTTP"
	case "Growth":
		return "APIs of many operations, each asked in turn"
	}
	return cell(benchmark)
}

// title returns the parameters.
func (g *group) title() string {
	var parts []string
	for _, p := range g.params {
		switch p.key {
		case "alg":
			parts = append(parts, p.value)
		case "redis": // is in the heading
		case "tokens":
			parts = append(parts, count(p.value, "token"))
		case "callers":
			parts = append(parts, count(p.value, "caller"))
		case "operations":
			parts = append(parts, count(p.value, "operation"))
		default:
			parts = append(parts, p.key+" "+p.value)
		}
	}
	return cell(strings.Join(parts, ", "))
}

// count returns "1 token", or "2,000 tokens".
func count(value, noun string) string {
	n, err := strconv.Atoi(value)
	switch {
	case err != nil:
		return value + " " + noun + "s"
	case n == 1:
		return "1 " + noun
	}
	return english.Sprintf("%d %ss", n, noun)
}

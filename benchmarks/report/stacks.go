package main

import (
	"fmt"
	"slices"
	"strings"
)

// stackNotes say what each stack does for a request, because not all do the same.
var stackNotes = []struct{ name, tokens, keeps, revoked string }{
	{floor, "not verified", "nothing", "none"},
	{guard, "verified once, then cached, at most 10,000", "the claims, and a digest of the signature", "this process; with Redis asked for each request: token, session, subject, issuer"},
	{replica, "verified once, then cached, at most 10,000", "the claims, and a digest of the signature", "all processes, at most 2 s late, from a copy in memory: token, session, subject, issuer"},
	{memory, "verified once, then cached, at most 10,000", "the claims, and a digest of the signature", "this process: token, session, subject, issuer"},
	{"oapi-guard-uncached", "verified for each request", "nothing", "as oapi-guard"},
	{cached, "verified once a minute, cached without a limit", "the claims, and the text of the token", "none; with Redis asked for each request: token"},
	{written, "verified for each request", "nothing", "none; with Redis asked for each request: token"},
}

const otherNote = "verified for each request | nothing | none; with Redis asked for each request: token"

// stackTable says what the stacks of the report do.
func (r *report) stackTable() string {
	var b strings.Builder
	b.WriteString("\n## What each stack does\n\n| stack | tokens | keeps of a token | sees revocations of |\n|---|---|---|---|\n")
	for _, name := range r.stackNames() {
		note := otherNote
		if i := slices.IndexFunc(stackNotes, func(n struct{ name, tokens, keeps, revoked string }) bool { return n.name == name }); i >= 0 {
			note = stackNotes[i].tokens + " | " + stackNotes[i].keeps + " | " + stackNotes[i].revoked
		}
		fmt.Fprintf(&b, "| %s | %s |\n", cell(name), note)
	}
	b.WriteString("\nIf Redis does not answer, all of them that ask it answer 503; oapi-guard-replica does when its copy is older than 2 s. fiber-jwt runs on\n" +
		"fasthttp: in the process its requests are not those of net/http, so compare it over HTTP.\n")
	return b.String()
}

// stackNames returns the names of all stacks, in the order of the report.
func (r *report) stackNames() []string {
	var names []string
	for _, n := range stackNotes {
		if slices.ContainsFunc(r.groups, func(g *group) bool { return g.find(n.name) != nil }) {
			names = append(names, n.name)
		}
	}
	for _, g := range r.groups {
		for _, s := range g.stacks {
			if !slices.Contains(names, s.name) {
				names = append(names, s.name)
			}
		}
	}
	return names
}

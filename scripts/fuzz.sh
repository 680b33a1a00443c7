#!/bin/sh
# Runs every fuzz target of the module for FUZZTIME (30s), one after the other. A target that fails does not stop the
# others. The input that failed is then in testdata/fuzz of its package: commit it, so that `make test` tries it.
set -u
cd "$(dirname "$0")/.."
fuzztime=${FUZZTIME:-30s}

list=$(mktemp)
trap 'rm -f "$list"' EXIT
if ! go test -list '^Fuzz' ./... >"$list"; then
	cat "$list" >&2
	exit 1
fi
# For each package go test prints the names of its targets, and then "ok PACKAGE TIME".
targets=$(awk '/^Fuzz/ {names[++n] = $1} $1 == "ok" {for (i = 1; i <= n; i++) print $2 ":" names[i]; n = 0}' "$list")
if [ -z "$targets" ]; then
	echo "scripts/fuzz.sh: there are no fuzz targets" >&2
	exit 1
fi

failed=""
for target in $targets; do
	echo "== $target"
	go test -run '^$' -fuzz "^${target##*:}\$" -fuzztime "$fuzztime" "${target%:*}" || failed="$failed $target"
done
if [ -n "$failed" ]; then
	echo "scripts/fuzz.sh: failed:$failed" >&2
	exit 1
fi

#!/bin/sh
# Runs every benchmark of this module and writes results/: raw.txt, table.md and table.svg. The rounds are runs of their own, one
# after the other, so that a machine that is slower for a while is so for all stacks.
#   ROUNDS     how many (5)
#   BENCHTIME  how long each benchmark runs in one round (300ms)
#   LOADTIME   the same for the load over HTTP (700ms, or BENCHTIME if that is set)
#   OPERATIONS the sizes of the generated APIs (10 100 1000)
#   SIZEROUNDS how many times the generated code is compiled (1)
set -eu
cd "$(dirname "$0")"
operations=${OPERATIONS:-10 100 1000}
sizerounds=${SIZEROUNDS:-1}
loadtime=${LOADTIME:-${BENCHTIME:-700ms}}
rounds=${ROUNDS:-5}
benchtime=${BENCHTIME:-300ms}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

echo "APIs of $operations operations" >&2
# shellcheck disable=SC2086 # they are several arguments
go run ./growth testdata/growth $operations
go test -c -vet=off -o "$dir/stacks.test" .
# -trimpath because size builds with it: so nothing is compiled twice.
go test -c -vet=off -trimpath -o "$dir/growth.test" ./testdata/growth
round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	echo "round $round of $rounds" >&2
	"$dir/stacks.test" -test.run '^$' -test.bench 'Serve|Parallel|Redis|HTTP' -test.benchmem -test.benchtime "$benchtime" -test.timeout 10m >>"$dir/raw.txt"
	"$dir/stacks.test" -test.run '^$' -test.bench Load -test.benchtime "$loadtime" -test.timeout 10m >>"$dir/raw.txt"
	"$dir/growth.test" -test.run '^$' -test.bench . -test.benchmem -test.benchtime "$benchtime" -test.timeout 10m >>"$dir/raw.txt"
done
echo "generated code" >&2
for n in $operations; do
	go run ./size -rounds "$sizerounds" "testdata/growth/n$n" >>"$dir/raw.txt"
done
go run ./report -out "$dir" <"$dir/raw.txt"
mkdir -p results
mv "$dir/raw.txt" "$dir/table.md" "$dir/table.svg" results/
echo "written: benchmarks/results/table.md" >&2

#!/bin/sh
# Runs every benchmark of this module and writes results/: raw.txt, table.md and table.svg. The rounds are runs of their own, one
# after the other, so that a machine that is slower for a while is so for all stacks.
#   ROUNDS     how many (5)
#   BENCHTIME  how long each benchmark runs in one round (300ms)
#   LOADTIME   the same for the load over HTTP (1s, or BENCHTIME if that is set)
#   SIZEROUNDS how many times the generated code is compiled (3, or ROUNDS if that is set)
set -eu
cd "$(dirname "$0")"
sizerounds=${SIZEROUNDS:-${ROUNDS:-3}}
loadtime=${LOADTIME:-${BENCHTIME:-1s}}
rounds=${ROUNDS:-5}
benchtime=${BENCHTIME:-300ms}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

echo "APIs of 10, 100 and 1,000 operations" >&2
go run ./growth testdata/growth 10 100 1000
go test -c -o "$dir/stacks.test" .
go test -c -o "$dir/growth.test" ./testdata/growth
round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	echo "round $round of $rounds" >&2
	"$dir/stacks.test" -test.run '^$' -test.bench 'Serve|Parallel|Redis|HTTP' -test.benchmem -test.benchtime "$benchtime" -test.timeout 10m >>"$dir/raw.txt"
	"$dir/stacks.test" -test.run '^$' -test.bench Load -test.benchtime "$loadtime" -test.timeout 10m >>"$dir/raw.txt"
	"$dir/growth.test" -test.run '^$' -test.bench . -test.benchmem -test.benchtime "$benchtime" -test.timeout 10m >>"$dir/raw.txt"
done
echo "generated code" >&2
go run ./size -rounds "$sizerounds" testdata/growth/n100 testdata/growth/n1000 >>"$dir/raw.txt"
go run ./report -out "$dir" <"$dir/raw.txt"
mkdir -p results
mv "$dir/raw.txt" "$dir/table.md" "$dir/table.svg" results/
echo "written: benchmarks/results/table.md" >&2

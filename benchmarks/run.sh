#!/bin/sh
# Runs every benchmark of this module and writes results/: raw.txt, table.md and table.svg. The rounds are runs of their own, one
# after the other, so that a machine that is slower for a while is so for all stacks.
#   ROUNDS     how many (5)
#   BENCHTIME  how long each benchmark runs in one round (300ms)
set -eu
cd "$(dirname "$0")"
rounds=${ROUNDS:-5}
benchtime=${BENCHTIME:-300ms}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

go run ./growth testdata/growth 10 100 1000
go test -c -o "$dir/stacks.test" .
go test -c -o "$dir/growth.test" ./testdata/growth
round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	for test in stacks growth; do
		echo "round $round of $rounds: $test" >&2
		"$dir/$test.test" -test.run '^$' -test.bench . -test.benchmem -test.benchtime "$benchtime" -test.timeout 10m >>"$dir/raw.txt"
	done
done
go run ./report -out "$dir" <"$dir/raw.txt"
mkdir -p results
mv "$dir/raw.txt" "$dir/table.md" "$dir/table.svg" results/
echo "written: benchmarks/results/table.md" >&2

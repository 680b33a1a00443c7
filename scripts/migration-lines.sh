#!/bin/sh
# Counts the lines that go and the lines that come when example/existing moves from its middleware to
# guards: comments and empty lines too, generated code apart.
set -eu
cd "$(dirname "$0")/../example/existing"

# git diff exits with 1 if the folders differ.
changes=$(git diff --no-index --numstat --no-renames before after) || test $? = 1

row='%-24s %8s %8s\n'
printf "$row" file go come
for file in handlers.go auth.go main.go oapi-guard.yaml; do
	echo "$changes" | awk -v row="$row" -v file="$file" '
		index($0, "/" file) { gone += $2; come += $1 }
		END { printf row, file, gone + 0, come + 0 }'
done
echo "$changes" | awk -v row="$row" '{ gone += $2; come += $1 } END { printf row, "all", gone, come }'
printf "$row" "api/guard.gen.go" 0 "$(wc -l <api/guard.gen.go | tr -d ' ')"

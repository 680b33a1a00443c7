// Command report makes a table and a picture from the raw output of the benchmarks.
//
//	go run ./report -out results < results/raw.txt
//
// writes table.md and table.svg into the folder.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:], os.Stdin); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(args []string, raw io.Reader) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	out := flags.String("out", "results", "the folder of table.md and table.svg")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := parse(raw)
	if err != nil {
		return err
	}
	picture, err := r.svg()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(*out, "table.md"), []byte(r.table()), 0o666); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*out, "table.svg"), picture, 0o666)
}

// Command compare compares the security of every operation in a document with the table in generated
// code. It shares no code with the generator:
//
//	go run ./internal/codegen/oracle/compare DOCUMENT GUARD.GEN.GO [OAPI-GUARD.YAML]
package main

import (
	"fmt"
	"os"

	"github.com/oapi-guard/oapi-guard/internal/codegen/oracle"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 && len(args) != 3 {
		return fmt.Errorf("use: compare DOCUMENT GUARD.GEN.GO [OAPI-GUARD.YAML]")
	}
	var config []byte
	var err error
	if len(args) == 3 {
		if config, err = os.ReadFile(args[2]); err != nil {
			return err
		}
	}
	want, err := oracle.Read(args[0], config)
	if err != nil {
		return err
	}
	code, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	got, err := oracle.Generated(code)
	if err != nil {
		return err
	}
	found := oracle.Differences(got, want)
	for _, difference := range found {
		fmt.Println(difference)
	}
	if len(found) > 0 {
		return fmt.Errorf("%d of %d operations differ", len(found), len(want))
	}
	fmt.Printf("%d operations, all the same\n", len(want))
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
	"github.com/oapi-guard/oapi-guard/internal/operator"
)

// doctorFlags say what is checked.
type doctorFlags struct {
	store           storeFlags
	config          configFlags
	keyFiles        []string
	providers, jwks []string
	admin           string
	strict          bool
}

// newDoctor returns the verb doctor.
func newDoctor() *cobra.Command {
	var flags doctorFlags
	format := newFormat(formatText, formatJSON)
	command := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "check the configuration, the store, the keys and the identity providers",
		Long: `Check what a service needs, and say what is wrong and how to mend it. Nothing is changed.

  configuration   oapi-guard.yaml and its document, where there is one
  keys            each key file of --keys: who can read it, whether a key can sign, whether a rotation waits
  store           the store of STORE: reach, version, settings that lose revocations, its mark
  provider        the keys of each --provider (an issuer, by discovery) and --jwks (the address of a JWK set)
  admin endpoint  that of --admin-url

Exit status: 1 if an error was found, or with --strict a warning.
` + environmentHelp,
		Example: examples(
			"oapi-guard doctor",
			"oapi-guard doctor --keys keys.json --provider https://login.example.com",
			"oapi-guard doctor --format json --strict",
		),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(command.Context(), operatorTimeout)
			defer cancel()
			report := &operator.Report{Findings: []operator.Finding{}}
			if err := flags.check(ctx, command, report); err != nil {
				return err
			}
			if len(report.Findings) == 0 {
				return usageError{errors.New("there is nothing to check: there is no oapi-guard.yaml here, STORE is empty, and no flag names anything")}
			}
			if format.is(formatJSON) {
				if err := printJSON(command.OutOrStdout(), map[string]any{"findings": report.Findings}); err != nil {
					return err
				}
			} else {
				printFindings(command.OutOrStdout(), report.Findings)
			}
			if report.Failed(flags.strict) {
				return errors.New("something is wrong: see the findings")
			}
			return nil
		},
	}
	flags.add(command)
	format.add(command)
	return command
}

func (f *doctorFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.config.config, "config", "", "the configuration `FILE` (default: oapi-guard.yaml, where there is one)")
	flags.StringArrayVar(&f.keyFiles, "keys", nil, "a key `FILE`. May be repeated")
	flags.StringArrayVar(&f.providers, "provider", nil, "the `ISSUER` of an identity provider. May be repeated")
	flags.StringArrayVar(&f.jwks, "jwks", nil, "the `URL` of a JWK set. May be repeated")
	flags.StringVar(&f.admin, "admin-url", "", "the `URL` of the admin endpoint")
	flags.BoolVar(&f.strict, "strict", false, "fail on a warning too")
	flags.StringVar(&f.store.store, "store", "", "the store, a `URL` without a password (default: the variable STORE)")
	flags.StringVar(&f.store.prefix, "prefix", "", "the `PREFIX` of the keys in Redis or of the tables (default: that of the store's package)")
	flags.StringVar(&f.store.schema, "schema", "", "the `SCHEMA` of the tables in PostgreSQL")
	flags.BoolVar(&f.store.cluster, "cluster", false, "the Redis server is a node of a Cluster")
}

// check makes all checks. It returns an error for a wrong use only.
func (f *doctorFlags) check(ctx context.Context, command *cobra.Command, report *operator.Report) error {
	f.checkConfiguration(command, report)
	for _, path := range f.keyFiles {
		report.CheckKeyFile(path, now())
	}
	store, err := f.store.config()
	var wrong usageError
	switch {
	case errors.As(err, &wrong):
		return err
	case err != nil:
		report.Add("store", operator.LevelError, err.Error(), "")
	case store.URL != "":
		report.CheckStore(ctx, store)
	}
	for _, issuer := range f.providers {
		report.CheckProvider(ctx, issuer, true, nil)
	}
	for _, address := range f.jwks {
		report.CheckProvider(ctx, address, false, nil)
	}
	if f.admin != "" {
		report.CheckAdmin(ctx, f.admin, os.Getenv(envAdmin))
	}
	return nil
}

// checkConfiguration reads the configuration and the document, if there is a configuration.
func (f *doctorFlags) checkConfiguration(command *cobra.Command, report *operator.Report) {
	const area = "configuration"
	if f.config.config == "" {
		if _, err := os.Stat(defaultConfig); err != nil {
			return
		}
	}
	config, err := f.config.read(command)
	if err != nil {
		report.Add(area, operator.LevelError, err.Error(), "")
		return
	}
	listing, err := codegen.List(config)
	if err != nil {
		report.Add(area, operator.LevelError, err.Error(), "")
		return
	}
	public := 0
	for _, o := range listing.Operations {
		if o.Public || o.Optional {
			public++
		}
	}
	report.Add(area, operator.LevelOK, fmt.Sprintf("the document has %d operations, and anonymous callers reach %d of them", len(listing.Operations), public), "")
	for _, warning := range listing.Warnings {
		report.Add(area, operator.LevelWarning, warning, "")
	}
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
	"github.com/oapi-guard/oapi-guard/internal/operator"
)

// newToken returns the verb token.
func newToken() *cobra.Command {
	command := &cobra.Command{
		Use:   "token",
		Short: "inspect a token, or mint one for development",
		Example: examples(
			"oapi-guard token inspect token.txt --keys jwks.json",
			"oapi-guard token mint --keys keys.json --issuer https://notes.example.com --subject alice",
		),
		Args: noArguments,
		RunE: needsVerb,
	}
	command.AddCommand(newTokenInspect(), newTokenMint())
	return command
}

// inspected is the JSON of token inspect.
type inspected struct {
	*operator.Inspection
	// Operations are those of the document that take a token of this type.
	Operations []string `json:"operations,omitempty"`
}

func newTokenInspect() *cobra.Command {
	var keyFiles, audience []string
	var issuer string
	var config configFlags
	format := newFormat(formatText, formatJSON)
	command := &cobra.Command{
		Use:   "inspect [TOKEN-FILE] [flags]",
		Short: "decode a token, and say what is wrong with it and which verifier would take it",
		Long: `Decode a token, and say what is wrong with it and which verifier would take it. The token comes from a file or from
standard input, and is never sent anywhere.

With --keys the signature is checked, and each file stands for a verifier with these keys. What the flags do not name is
taken from the token. With --config or --spec the operations are listed that take a token of this type.

Exit status: 1 if an error was found, or if no verifier takes the token.`,
		Example: examples(
			"oapi-guard token inspect token.txt",
			"oapi-guard token inspect - --keys jwks.json --issuer https://notes.example.com",
			"oapi-guard token inspect token.txt --format json",
		),
		Args: between(0, 1, "TOKEN-FILE"),
		RunE: func(command *cobra.Command, args []string) error {
			expected := operator.Expectation{Issuer: issuer, Audience: audience, Now: time.Now}
			for _, path := range keyFiles {
				set, err := operator.ReadKeys(path)
				if err != nil {
					return err
				}
				expected.Keys = append(expected.Keys, operator.NamedKeys{Name: path, Set: set})
			}
			text, err := readToken(command, args)
			if err != nil {
				return err
			}
			inspection, err := operator.Inspect(command.Context(), text, expected)
			if err != nil {
				return err
			}
			result := inspected{Inspection: inspection}
			if config.config != "" || config.spec != "" {
				if result.Operations, err = operationsTaking(command, &config, inspection.Type); err != nil {
					return err
				}
			}
			out := command.OutOrStdout()
			if format.is(formatJSON) {
				err = printJSON(out, result)
			} else {
				err = printInspection(out, result)
			}
			return errors.Join(err, verdictError(inspection))
		},
	}
	flags := command.Flags()
	flags.StringArrayVar(&keyFiles, "keys", nil, "a `FILE` with the keys of a verifier: a JWK set or a key file. May be repeated")
	flags.StringVar(&issuer, "issuer", "", "the `ISSUER` that the verifier expects (default: that of the token)")
	flags.StringArrayVar(&audience, "audience", nil, "an `AUDIENCE` of the verifier (default: those of the token). May be repeated")
	flags.StringVar(&config.config, "config", "", "list the operations of the document of this configuration `FILE`")
	flags.StringVar(&config.spec, "spec", "", "list the operations of this OpenAPI document, a `FILE`")
	format.add(command)
	completeFiles(command, "keys", "json")
	return command
}

// verdictError is the error of a token that is not accepted.
func verdictError(i *operator.Inspection) error {
	refused := len(i.Verdicts) > 0 && !slices.ContainsFunc(i.Verdicts, func(v operator.Verdict) bool { return v.Accepts })
	wrong := slices.ContainsFunc(i.Findings, func(f operator.Finding) bool { return f.Level == operator.LevelError })
	switch {
	case refused:
		return errors.New("no verifier takes the token")
	case wrong:
		return errors.New("the token has errors")
	}
	return nil
}

// operationsTaking returns the operations of a document that take a token of the type.
func operationsTaking(command *cobra.Command, flags *configFlags, typ string) ([]string, error) {
	config, err := flags.read(command)
	if err != nil {
		return nil, err
	}
	listing, err := codegen.List(config)
	if err != nil {
		return nil, err
	}
	taking := []string{}
	for _, o := range listing.Operations {
		takes := slices.ContainsFunc(slices.Concat(o.Security...), func(s codegen.ListedScheme) bool { return typ != "" && s.Token == typ })
		if takes {
			taking = append(taking, o.Method+" "+o.Path)
		}
	}
	return taking, nil
}

func printInspection(w io.Writer, result inspected) error {
	for _, part := range []struct {
		name  string
		value map[string]any
	}{{"Header", result.Header}, {"Claims", result.Claims}} {
		text, err := json.MarshalIndent(part.value, "", "  ") // which escapes what a terminal would obey
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n%s\n\n", part.name, text)
	}
	for _, name := range []string{"iat", "nbf", "exp", "auth_time"} {
		if at, ok := result.Times[name]; ok {
			fmt.Fprintf(w, "%-10s%s\n", name, at.Format(time.RFC3339))
		}
	}
	typ := result.Type
	if typ == "" {
		typ = "not named by the header"
	}
	fmt.Fprintf(w, "%-10s%s\n\n", "type", operator.Printable(typ))
	printFindings(w, result.Findings)
	for _, v := range result.Verdicts {
		if v.Accepts {
			fmt.Fprintf(w, "A verifier with the keys of %s takes it (layout %s).\n", v.Keys, v.Layout)
		} else {
			fmt.Fprintf(w, "A verifier with the keys of %s refuses it: %s\n", v.Keys, v.Reason)
		}
	}
	if result.Operations != nil {
		fmt.Fprintf(w, "Operations that take a token of this type: %s\n", orNone(result.Operations))
	}
	return nil
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// printFindings prints what was found, a line each, with the fix in the next one.
func printFindings(w io.Writer, findings []operator.Finding) {
	colours := newPalette(w)
	for _, finding := range findings {
		level := fmt.Sprintf("%-9s", finding.Level)
		switch finding.Level {
		case operator.LevelError:
			level = colours.red(level)
		case operator.LevelWarning:
			level = colours.yellow(level)
		default:
			level = colours.green(level)
		}
		fmt.Fprintf(w, "%s%s: %s\n", level, finding.Area, finding.Text)
		if finding.Fix != "" {
			fmt.Fprintf(w, "         %s\n", colours.faint("fix: "+finding.Fix))
		}
	}
}

func newTokenMint() *cobra.Command {
	var mint operator.Mint
	var keyFile, claims string
	command := &cobra.Command{
		Use:   "mint [flags]",
		Short: "sign a token, for development only",
		Long: `Sign a token with the keys of a development system, and print it. It belongs to no session.

Whoever can read the key file of a production system can be any user: do not copy that file to a developer's machine.`,
		Example: examples(
			"oapi-guard token mint --keys keys.json --issuer https://notes.example.com --subject alice",
			"oapi-guard token mint --keys keys.json --issuer https://notes.example.com --subject alice --role ADMIN --lifetime 1h",
		),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if mint.Issuer == "" || mint.Subject == "" {
				return usageError{errors.New("--issuer and --subject are needed")}
			}
			file, err := operator.OpenKeyFile(keyFile)
			if err != nil {
				return err
			}
			set, err := file.KeySet()
			if err != nil {
				return err
			}
			if claims != "" {
				text, err := readInput(command, claims)
				if err != nil {
					return err
				}
				if err := json.Unmarshal(text, &mint.Claims); err != nil || mint.Claims == nil {
					return fmt.Errorf("%s is not a JSON object", claims)
				}
			}
			token, err := mint.Token(command.Context(), set)
			if err != nil {
				return err
			}
			fmt.Fprintln(command.ErrOrStderr(), "warning: for development only: no session belongs to this token, so a log-out does not end it")
			_, err = fmt.Fprintln(command.OutOrStdout(), token)
			return err
		},
	}
	flags := command.Flags()
	flags.StringVar(&keyFile, "keys", defaultKeyFile, "the key `FILE`")
	flags.StringVar(&mint.Issuer, "issuer", "", "the `ISSUER`, the claim iss")
	flags.StringVar(&mint.Subject, "subject", "", "the `SUBJECT`, the claim sub")
	flags.StringArrayVar(&mint.Audience, "audience", nil, "an `AUDIENCE` of the service (default: the issuer). May be repeated")
	flags.StringVar(&mint.Type, "type", "access", "the `TYPE` of token: access, refresh or a name of the document")
	flags.StringArrayVar(&mint.Roles, "role", nil, "a `ROLE`. May be repeated")
	flags.StringArrayVar(&mint.Scopes, "scope", nil, "a `SCOPE`. May be repeated")
	flags.StringVar(&mint.ClientID, "client-id", "", "the `CLIENT`, the claim client_id")
	flags.BoolVar(&mint.Fresh, "fresh", false, "a token as of a log-in")
	flags.DurationVar(&mint.Lifetime, "lifetime", 15*time.Minute, "the `LIFETIME`, at most 24h")
	flags.StringVar(&claims, "claims", "", "a `FILE` with the private claims, a JSON object")
	completeFiles(command, "keys", "json")
	completeFiles(command, "claims", "json")
	return command
}

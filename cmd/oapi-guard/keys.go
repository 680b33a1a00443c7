package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/oapi-guard/oapi-guard/internal/keyfile"
	"github.com/oapi-guard/oapi-guard/internal/operator"
)

const defaultKeyFile = "keys.json"

// newKeys returns the verb keys.
func newKeys() *cobra.Command {
	command := &cobra.Command{
		Use:   "keys",
		Short: "make, list, rotate and publish the signing keys of a service",
		Long: `Make, list, rotate and publish the signing keys of a service.

The keys are in a file: a JWK set (RFC 7517) with mode 0600. The service reads it with keys.OpenFile, and again while it runs.
The first key that can sign signs, and all keys verify. No command prints a private key, unless "keys new --file -" asks for it.`,
		Example: examples(
			"oapi-guard keys new --file keys.json",
			"oapi-guard keys list --file keys.json",
			"oapi-guard keys rotate --file keys.json",
		),
		Args: noArguments,
		RunE: needsVerb,
	}
	command.AddCommand(newKeysNew(), newKeysList(), newKeysRotate(), newKeysRemove(), newKeysJWKS(), newKeysImport())
	return command
}

// keyFileFlag adds the flag of the key file.
func keyFileFlag(command *cobra.Command, path *string) {
	command.Flags().StringVar(path, "file", defaultKeyFile, "the key `FILE`")
	completeFiles(command, "file", "json")
}

// settingFlags are what a rotation has to wait for.
type settingFlags struct{ lifetime, propagation time.Duration }

func (f *settingFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.DurationVar(&f.lifetime, "token-lifetime", keyfile.DefaultTokenLifetime, "the longest `LIFETIME` of a token: refresh tokens live as long as the session.\nIt is kept in the file")
	flags.DurationVar(&f.propagation, "propagation", keyfile.DefaultPropagation, "how long until all processes have read a changed file, and all clients of the\nJWK set too. It is kept in the file")
}

// set changes the settings of the file for the flags that were given.
func (f *settingFlags) set(command *cobra.Command, settings *keyfile.Settings) error {
	if f.lifetime <= 0 || f.propagation <= 0 {
		return usageError{errors.New("--token-lifetime and --propagation are above 0")}
	}
	if settings.TokenLifetime == 0 || command.Flags().Changed("token-lifetime") {
		settings.TokenLifetime = keyfile.Duration(f.lifetime)
	}
	if settings.Propagation == 0 || command.Flags().Changed("propagation") {
		settings.Propagation = keyfile.Duration(f.propagation)
	}
	return nil
}

// now returns the time in whole seconds, as key files have it.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

func newKeysNew() *cobra.Command {
	var path, algorithm, id string
	var settings settingFlags
	var toTerminal bool
	command := &cobra.Command{
		Use:   "new [flags]",
		Short: "make a key file with a new key",
		Long: `Make a key file with a new key. A file that exists is not changed: "keys rotate" adds a key to it.

With --file - the file is printed, for a secret manager. A terminal refuses it without --to-terminal.`,
		Example: examples(
			"oapi-guard keys new --file keys.json",
			"oapi-guard keys new --file keys.json --algorithm HS256 --token-lifetime 12h",
			"oapi-guard keys new --file - | vault kv put secret/notes keys=-",
		),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			file := &operator.KeyFile{Path: path, Set: &keyfile.Set{}}
			if err := settings.set(command, &file.Set.Settings); err != nil {
				return err
			}
			key, err := keyfile.Generate(algorithm)
			if err != nil {
				return usageError{err}
			}
			if id != "" {
				key.ID = id
			}
			if err := file.Set.Add(key, now()); err != nil {
				return err
			}
			if path == "-" {
				return printKeyFile(command, file, toTerminal)
			}
			if err := file.Save(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "%s has the %s key %s, which signs.\n", path, algorithm, key.ID)
			return err
		},
	}
	keyFileFlag(command, &path)
	flags := command.Flags()
	flags.StringVar(&algorithm, "algorithm", "ES256", "the `ALGORITHM`: "+orList(keyfile.Algorithms))
	flags.StringVar(&id, "kid", "", "the `ID` of the key (default: its thumbprint)")
	flags.BoolVar(&toTerminal, "to-terminal", false, "print private keys on a terminal, with --file -")
	settings.add(command)
	completeValues(command, "algorithm", keyfile.Algorithms...)
	return command
}

// printKeyFile prints the private keys, on a terminal only if the user insists.
func printKeyFile(command *cobra.Command, file *operator.KeyFile, toTerminal bool) error {
	if isTerminal(command.OutOrStdout()) && !toTerminal {
		return usageError{errors.New("this would print a private key on the terminal: name a file, or pass --to-terminal")}
	}
	text, err := file.Set.Text()
	if err != nil {
		return err
	}
	_, err = command.OutOrStdout().Write(text)
	return err
}

// keyList is the JSON of keys list.
type keyList struct {
	Keys []operator.KeyInfo `json:"keys"`
	Next operator.NextStep  `json:"next"`
}

func newKeysList() *cobra.Command {
	var path string
	format := newFormat(formatText, formatJSON)
	command := &cobra.Command{
		Use:     "list [flags]",
		Short:   "print the keys of a key file and the next step of a rotation",
		Example: examples("oapi-guard keys list --file keys.json", "oapi-guard keys list --file keys.json --format json"),
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			file, err := operator.OpenKeyFile(path)
			if err != nil {
				return err
			}
			list, next := file.List(now())
			out := command.OutOrStdout()
			if format.is(formatJSON) {
				return printJSON(out, keyList{list, next})
			}
			return printKeys(out, list, next)
		},
	}
	keyFileFlag(command, &path)
	format.add(command)
	return command
}

func printKeys(w io.Writer, list []operator.KeyInfo, next operator.NextStep) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY ID\tALGORITHM\tSTATE\tSINCE")
	for _, key := range list {
		since := key.Published
		switch {
		case key.Retiring != nil:
			since = key.Retiring
		case key.Signing != nil:
			since = key.Signing
		}
		text := "-"
		if since != nil {
			text = since.Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", operator.Printable(key.ID), key.Algorithm, key.State, text)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nNext step: %s\n", describeStep(next))
	return err
}

// describeStep says what the next step of a rotation does, and when it is safe.
func describeStep(next operator.NextStep) string {
	text := map[string]string{
		"publish": "publish a new key, which verifies",
		"sign":    "sign with the key " + strings.Join(next.Keys, ", "),
		"retire":  "retire the key " + strings.Join(next.Keys, ", "),
	}[next.Step]
	if next.SafeAfter == nil {
		return text + ". It is safe now."
	}
	return text + ". It is safe after " + next.SafeAfter.UTC().Format(time.RFC3339) + "."
}

// rotated is the JSON of keys rotate.
type rotated struct {
	Taken *operator.NextStep `json:"taken"`
	Next  operator.NextStep  `json:"next"`
	// Removed are the keys that --leaked has removed.
	Removed []string `json:"removed,omitempty"`
}

func newKeysRotate() *cobra.Command {
	var path, algorithm string
	var settings settingFlags
	var early, dryRun, leaked bool
	format := newFormat(formatText, formatJSON)
	command := &cobra.Command{
		Use:   "rotate [flags]",
		Short: "take the next step of a rotation",
		Long: `Take the next step of a rotation. The three steps log nobody out:

  publish  a new key comes into the file: it verifies, and the former key signs
  sign     the new key signs, and the former one verifies
  retire   the former key leaves the file, when its tokens have expired

A step that is not safe yet is refused with the time when it is. So the command can run every day.
Exit status: 3 if the next step is not safe yet.

With --leaked a new key takes the place of all keys at once: no token of them is accepted any more, and everybody logs in again.`,
		Example: examples(
			"oapi-guard keys rotate --file keys.json",
			"oapi-guard keys rotate --file keys.json --dry-run",
			"oapi-guard keys rotate --file keys.json --algorithm ES256",
			"oapi-guard keys rotate --file keys.json --leaked",
		),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if leaked && (early || dryRun) {
				return usageError{errors.New("--leaked is for now: leave out --early and --dry-run")}
			}
			file, err := operator.OpenKeyFile(path)
			if err != nil {
				return err
			}
			if err := settings.set(command, &file.Set.Settings); err != nil {
				return err
			}
			file.Algorithm = algorithm
			if dryRun {
				return printNext(command.OutOrStdout(), file, format.is(formatJSON))
			}
			result, err := rotate(file, early, leaked)
			if errors.Is(err, operator.ErrTooEarly) {
				return errors.Join(statusError{err, statusTooEarly}, saveSettings(command, file))
			}
			if err == nil {
				err = file.Save()
			}
			if err != nil {
				return err
			}
			if format.is(formatJSON) {
				return printJSON(command.OutOrStdout(), result)
			}
			return printRotated(command.OutOrStdout(), result)
		},
	}
	keyFileFlag(command, &path)
	flags := command.Flags()
	settings.add(command)
	flags.StringVar(&algorithm, "algorithm", "", "the `ALGORITHM` of a new key (default: that of the key that signs)")
	completeValues(command, "algorithm", keyfile.Algorithms...)
	flags.BoolVar(&dryRun, "dry-run", false, "say what the step would do, and change nothing")
	flags.BoolVar(&early, "early", false, "take the step although it is not safe yet, which logs users out")
	flags.BoolVar(&leaked, "leaked", false, "a key is known to somebody else: replace all keys now. Everybody logs in again")
	format.add(command)
	return command
}

// printNext says what the next step does. It has the exit status of the step.
func printNext(w io.Writer, file *operator.KeyFile, asJSON bool) error {
	_, next := file.List(now())
	var err error
	if asJSON {
		err = printJSON(w, rotated{Next: next})
	} else {
		_, err = fmt.Fprintf(w, "Nothing was changed. The next step: %s\n", describeStep(next))
	}
	if err == nil && next.SafeAfter != nil {
		err = statusError{operator.ErrTooEarly, statusTooEarly}
	}
	return err
}

// saveSettings keeps the settings of the flags although the step was refused.
func saveSettings(command *cobra.Command, file *operator.KeyFile) error {
	if !command.Flags().Changed("token-lifetime") && !command.Flags().Changed("propagation") {
		return nil
	}
	return file.Save()
}

func rotate(file *operator.KeyFile, early, leaked bool) (rotated, error) {
	if leaked {
		removed, signing, err := file.Leaked(now())
		_, next := file.List(now())
		return rotated{Taken: &operator.NextStep{Step: "sign", Keys: []string{signing}}, Next: next, Removed: removed}, err
	}
	taken, next, err := file.Rotate(now(), early)
	return rotated{Taken: &taken, Next: next}, err
}

func printRotated(w io.Writer, result rotated) error {
	ids := strings.Join(result.Taken.Keys, ", ")
	text := map[string]string{
		"publish": "Published the key " + ids + ": it verifies.",
		"sign":    "The key " + ids + " signs now.",
		"retire":  "Retired the key " + ids + ".",
	}[result.Taken.Step]
	if len(result.Removed) > 0 {
		text += "\nRemoved the keys " + strings.Join(result.Removed, ", ") + ": everybody logs in again."
	}
	_, err := fmt.Fprintf(w, "%s\nNext step: %s\n", text, describeStep(result.Next))
	return err
}

func newKeysRemove() *cobra.Command {
	var path string
	command := &cobra.Command{
		Use:   "remove KEY-ID [flags]",
		Short: "remove a key at once: its tokens are refused",
		Long: `Remove a key at once. Its tokens are refused, and who has no others logs in again.
The last key that can sign stays: "keys rotate --leaked" replaces it.`,
		Example: examples("oapi-guard keys remove 2026-07 --file keys.json"),
		Args:    between(1, 1, "KEY-ID"),
		RunE: func(command *cobra.Command, args []string) error {
			file, err := operator.OpenKeyFile(path)
			if err != nil {
				return err
			}
			if err := file.Set.Remove(args[0]); err != nil {
				return err
			}
			if err := file.Save(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "Removed the key %s: its tokens are refused.\n", args[0])
			return err
		},
	}
	keyFileFlag(command, &path)
	return command
}

func newKeysJWKS() *cobra.Command {
	var path string
	command := &cobra.Command{
		Use:     "jwks [flags]",
		Short:   "print the public keys as a JWK set",
		Long:    "Print the public keys as a JWK set (RFC 7517), for services that verify the tokens. Symmetric keys are left out.",
		Example: examples("oapi-guard keys jwks --file keys.json > jwks.json"),
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			file, err := operator.OpenKeyFile(path)
			if err != nil {
				return err
			}
			text, err := file.JWKS()
			if err != nil {
				return err
			}
			_, err = command.OutOrStdout().Write(text)
			return err
		},
	}
	keyFileFlag(command, &path)
	return command
}

func newKeysImport() *cobra.Command {
	var path string
	var options operator.ImportOptions
	var settings settingFlags
	command := &cobra.Command{
		Use:   "import [SOURCE] [flags]",
		Short: "take over a key: a PEM, a JWK set or the secret of an HMAC",
		Long: `Take over a key: a PEM of openssl, a JWK set, or the secret of an HMAC. SOURCE is a file, or - for standard input.

The file is made if there is none, and the key signs. Otherwise the key is the next one: "keys rotate" lets it sign.
The key id is the thumbprint, as keys.NewHMAC and keys.ParsePEM set it, so tokens of the key stay valid.`,
		Example: examples(
			"oapi-guard keys import ed25519.pem --file keys.json",
			"oapi-guard keys import rsa.pem --algorithm RS256 --file keys.json",
			"oapi-guard keys import signing.key --secret raw --file keys.json",
		),
		Args: between(0, 1, "SOURCE"),
		RunE: func(command *cobra.Command, args []string) error {
			if options.Secret != "" && options.Secret != "base64" && options.Secret != "raw" {
				return usageError{errors.New("--secret is base64 or raw")}
			}
			name := "-"
			if len(args) > 0 {
				name = args[0]
			}
			text, err := readInput(command, name)
			if err != nil {
				return err
			}
			file, err := operator.OpenOrNewKeyFile(path)
			if err != nil {
				return err
			}
			if err := settings.set(command, &file.Set.Settings); err != nil {
				return err
			}
			ids, err := file.Import(text, options, now())
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if err := file.Save(); err != nil {
				return err
			}
			for _, id := range ids {
				fmt.Fprintf(command.OutOrStdout(), "%s has the key %s, which %s.\n", path, id, describeState(file, id))
			}
			return nil
		},
	}
	keyFileFlag(command, &path)
	flags := command.Flags()
	flags.StringVar(&options.Algorithm, "algorithm", "", "the `ALGORITHM` of an RSA key or a secret (default for a secret: HS256)")
	flags.StringVar(&options.ID, "kid", "", "the `ID` of the key (default: its thumbprint, or that of the JWK)")
	flags.StringVar(&options.Secret, "secret", "", "the source is the secret of an HMAC, in the `FORM` base64 or raw")
	settings.add(command)
	completeValues(command, "secret", "base64", "raw")
	return command
}

// describeState says in a few words what a key does.
func describeState(file *operator.KeyFile, id string) string {
	list, _ := file.List(now())
	for _, key := range list {
		if key.ID == id && key.State == string(keyfile.Next) {
			return "verifies, and signs after the next step"
		}
		if key.ID == id {
			return key.State
		}
	}
	return "is unknown"
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/oapi-guard/oapi-guard/internal/operator"
)

// revoked is the JSON of the verbs that revoke.
type revoked struct {
	// Revoked is what was revoked: token, session, subject or all.
	Revoked string `json:"revoked"`
	Subject string `json:"subject,omitempty"`
	Session string `json:"session,omitempty"`
	Token   string `json:"token,omitempty"`
	// Note says what goes on.
	Note string `json:"note,omitempty"`
}

const revokeHelp = `
The command works on the store of the service, or with --admin-url through the running service. It refuses what would have no
effect: a store without a mark, another prefix or HMAC key, and a session or subject that has no live session.

Exit status: 3 if there is nothing to revoke.
`

// newRevoke returns the verb revoke.
func newRevoke() *cobra.Command {
	command := &cobra.Command{
		Use:   "revoke",
		Short: "revoke a token, a session, the sessions of a subject, or all sessions",
		Long:  "Revoke a token, a session, the sessions of a subject, or all sessions.\n" + revokeHelp + environmentHelp,
		Example: examples(
			"oapi-guard revoke subject alice --issuer https://notes.example.com",
			"oapi-guard revoke token token.txt --issuer https://notes.example.com",
			"oapi-guard revoke subject alice --admin-url http://127.0.0.1:8081",
		),
		Args: noArguments,
		RunE: needsVerb,
	}
	command.AddCommand(newRevokeToken(), newRevokeSession(), newRevokeSubject(), newRevokeAll())
	return command
}

// revoking makes a verb that revokes.
func revoking(command *cobra.Command, flags *targetFlags, work func(context.Context, *operator.Operator, []string) (revoked, error)) *cobra.Command {
	format := newFormat(formatText, formatJSON)
	command.Long = command.Long + "\n" + revokeHelp + environmentHelp
	command.RunE = func(command *cobra.Command, args []string) error {
		return flags.run(command, func(ctx context.Context, o *operator.Operator) error {
			result, err := work(ctx, o, args)
			if err != nil {
				return err
			}
			if format.is(formatJSON) {
				return printJSON(command.OutOrStdout(), result)
			}
			return printRevoked(command.OutOrStdout(), result)
		})
	}
	flags.addRevoking(command)
	format.add(command)
	return command
}

func printRevoked(w io.Writer, r revoked) error {
	text := map[string]string{
		"token":   "Revoked one token of " + operator.Printable(r.Subject) + ".",
		"session": "Ended the session " + operator.Printable(r.Session) + " of " + operator.Printable(r.Subject) + ".",
		"subject": "Ended all sessions of " + operator.Printable(r.Subject) + ".",
		"all":     "Ended all sessions: everybody logs in again.",
	}[r.Revoked]
	if r.Note != "" {
		text += "\n" + r.Note
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func newRevokeToken() *cobra.Command {
	var flags targetFlags
	var id, subject string
	command := &cobra.Command{
		Use:   "token [TOKEN-FILE] [flags]",
		Short: "revoke one token; that of a refresh token ends its session",
		Long: `Revoke one token. The token comes from a file or from standard input. Its signature is not checked.
A refresh token is the key to its session, which ends.`,
		Example: examples(
			"oapi-guard revoke token token.txt --issuer https://notes.example.com",
			"oapi-guard revoke token - --issuer https://notes.example.com",
			"oapi-guard revoke token --id JTI --subject alice --unchecked --issuer https://notes.example.com",
		),
		Args: between(0, 1, "TOKEN-FILE"),
	}
	revoking(command, &flags, func(ctx context.Context, o *operator.Operator, args []string) (revoked, error) {
		token, err := tokenOf(command, args, &flags, id, subject)
		if err != nil {
			return revoked{}, err
		}
		session, err := o.Token(ctx, token, time.Now())
		if err != nil {
			return revoked{}, err
		}
		if session != "" {
			return revoked{Revoked: "session", Subject: token.Subject, Session: session}, nil
		}
		result := revoked{Revoked: "token", Subject: token.Subject, Token: token.ID}
		if token.Session != "" {
			result.Note = "Its session goes on: whoever has the refresh token gets new tokens. To end it: oapi-guard revoke session " +
				operator.Printable(token.Subject) + " " + operator.Printable(token.Session)
			result.Session = token.Session
		}
		return result, nil
	})
	command.Flags().StringVar(&id, "id", "", "the `ID` of the token (claim jti), in place of the token")
	command.Flags().StringVar(&subject, "subject", "", "the `SUBJECT` of the token, with --id")
	return command
}

// tokenOf returns the token of the flags, of the argument or of standard input.
func tokenOf(command *cobra.Command, args []string, flags *targetFlags, id, subject string) (operator.TokenID, error) {
	if id == "" && subject == "" {
		text, err := readToken(command, args)
		if err != nil {
			return operator.TokenID{}, err
		}
		return operator.TokenIDOf(text, flags.issuer)
	}
	if id == "" || subject == "" || len(args) > 0 {
		return operator.TokenID{}, usageError{errors.New("pass the token, or --id and --subject")}
	}
	return operator.TokenIDFrom(subject, id), nil
}

func newRevokeSession() *cobra.Command {
	var flags targetFlags
	return revoking(&cobra.Command{
		Use:     "session SUBJECT SESSION-ID [flags]",
		Short:   "end one session of a subject",
		Long:    "End one session of a subject. All its tokens are revoked.",
		Example: examples("oapi-guard revoke session alice SESSION-ID --issuer https://notes.example.com"),
		Args:    between(2, 2, "SUBJECT SESSION-ID"),
	}, &flags, endSession)
}

func endSession(ctx context.Context, o *operator.Operator, args []string) (revoked, error) {
	return revoked{Revoked: "session", Subject: args[0], Session: args[1]}, o.Session(ctx, args[0], args[1])
}

func newRevokeSubject() *cobra.Command {
	var flags targetFlags
	return revoking(&cobra.Command{
		Use:     "subject SUBJECT [flags]",
		Short:   "end all sessions of a subject",
		Long:    "End all sessions of a subject, on every device. All their tokens are revoked.",
		Example: examples("oapi-guard revoke subject alice --issuer https://notes.example.com"),
		Args:    between(1, 1, "SUBJECT"),
	}, &flags, endSubject)
}

func endSubject(ctx context.Context, o *operator.Operator, args []string) (revoked, error) {
	return revoked{Revoked: "subject", Subject: args[0]}, o.Subject(ctx, args[0])
}

func newRevokeAll() *cobra.Command {
	var flags targetFlags
	var witness string
	command := revoking(&cobra.Command{
		Use:   "all [flags]",
		Short: "end all sessions of all subjects of the issuer: everybody logs in again",
		Long: `End all sessions of all subjects of the issuer: everybody logs in again.
A subject that is logged in is named with --known-subject: its session shows that issuer and store are those of the service.`,
		Example: examples("oapi-guard revoke all --known-subject alice --issuer https://notes.example.com"),
		Args:    noArguments,
	}, &flags, func(ctx context.Context, o *operator.Operator, _ []string) (revoked, error) {
		return revoked{Revoked: "all"}, o.Everybody(ctx, witness)
	})
	command.Flags().StringVar(&witness, "known-subject", "", "a `SUBJECT` that is logged in")
	return command
}

// newSessions returns the verb sessions.
func newSessions() *cobra.Command {
	command := &cobra.Command{
		Use:   "sessions",
		Short: "list the sessions of a subject, and end them",
		Long:  "List the sessions of a subject, and end one of them or all." + "\n" + revokeHelp + environmentHelp,
		Example: examples(
			"oapi-guard sessions list alice --issuer https://notes.example.com",
			"oapi-guard sessions end alice SESSION-ID --issuer https://notes.example.com",
			"oapi-guard sessions list alice --admin-url http://127.0.0.1:8081",
		),
		Args: noArguments,
		RunE: needsVerb,
	}
	command.AddCommand(newSessionsList(), newSessionsEnd())
	return command
}

// sessionList is the JSON of sessions list.
type sessionList struct {
	Subject  string             `json:"subject"`
	Sessions []operator.Session `json:"sessions"`
}

func newSessionsList() *cobra.Command {
	var flags targetFlags
	format := newFormat(formatText, formatJSON)
	command := &cobra.Command{
		Use:     "list SUBJECT [flags]",
		Short:   "list the sessions of a subject, newest first",
		Long:    "List the sessions of a subject, newest first. LAST SEEN is the time of the last refresh.\n" + environmentHelp,
		Example: examples("oapi-guard sessions list alice --issuer https://notes.example.com"),
		Args:    between(1, 1, "SUBJECT"),
		RunE: func(command *cobra.Command, args []string) error {
			return flags.run(command, func(ctx context.Context, o *operator.Operator) error {
				all, err := o.All(ctx, args[0])
				if err != nil {
					return err
				}
				if format.is(formatJSON) {
					return printJSON(command.OutOrStdout(), sessionList{args[0], all})
				}
				if len(all) == 0 {
					fmt.Fprintf(command.ErrOrStderr(), "%s has no live session. If that surprises you, check the subject, the issuer and the store.\n", operator.Printable(args[0]))
					return nil
				}
				return printSessions(command.OutOrStdout(), all)
			})
		},
	}
	flags.add(command)
	format.add(command)
	return command
}

func printSessions(w io.Writer, all []operator.Session) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SESSION ID\tBEGAN\tLAST SEEN\tENDS\tDEVICE\tADDRESS")
	for _, s := range all {
		device := s.Device
		if device == "" {
			device = s.UserAgent
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", operator.Printable(s.ID), s.Began.UTC().Format(time.RFC3339), s.LastSeen.UTC().Format(time.RFC3339),
			s.ExpiresAt.UTC().Format(time.RFC3339), operator.Printable(device), operator.Printable(s.Address))
	}
	return table.Flush()
}

func newSessionsEnd() *cobra.Command {
	var flags targetFlags
	var all bool
	command := revoking(&cobra.Command{
		Use:   "end SUBJECT [SESSION-ID] [flags]",
		Short: "end a session of a subject, or with --all every session",
		Long:  "End a session of a subject, or with --all every session. All tokens of the session are revoked.",
		Example: examples(
			"oapi-guard sessions end alice SESSION-ID --issuer https://notes.example.com",
			"oapi-guard sessions end alice --all --issuer https://notes.example.com",
		),
		Args: between(1, 2, "SUBJECT"),
	}, &flags, func(ctx context.Context, o *operator.Operator, args []string) (revoked, error) {
		switch {
		case all == (len(args) == 2):
			return revoked{}, usageError{errors.New("name the session, or pass --all")}
		case all:
			return endSubject(ctx, o, args)
		}
		return endSession(ctx, o, args)
	})
	command.Flags().BoolVar(&all, "all", false, "end all sessions of the subject")
	return command
}

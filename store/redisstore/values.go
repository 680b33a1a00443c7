package redisstore

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// Values are short text, so that an operator can read them and a script can compare them:
//
//	mark:  "1:<not before>"                    the format's version, then milliseconds since 1970
//	entry: "<cut-off>:<until>:<nonce>"         cut-off "*" for a token or a session; until "-" for never
//
// The nonce is of the Revoke that put the entry in force; see the script.
const (
	markVersion = "1:"
	everything  = "*"
	never       = "-"

	// maxMillis bounds instants so that a script, which counts in doubles, compares them exactly.
	maxMillis = 1<<53 - 1
)

var (
	errMarkMissing = errors.New("the mark is missing")
	errMarkFormat  = errors.New("the mark is of another format")
	errEntryFormat = errors.New("an entry is of another format")
	errReplyFormat = errors.New("the reply is of another format")
)

// floor rounds starts of sessions, cut-offs and the present down.
func floor(t time.Time) int64 { return clamp(millis.Floor(t)) }

func clamp(ms int64) int64 { return min(max(ms, -maxMillis), maxMillis) }

func formatMark(notBefore time.Time) string {
	return markVersion + strconv.FormatInt(floor(notBefore), 10)
}

// parseMark returns the instant up to which every session is refused.
func parseMark(s string) (notBefore int64, err error) {
	digits, ok := strings.CutPrefix(s, markVersion)
	if !ok {
		return 0, errMarkFormat
	}
	if notBefore, err = strconv.ParseInt(digits, 10, 64); err != nil {
		return 0, errMarkFormat
	}
	return notBefore, nil
}

// formatUntil returns the end of an entry, the zero time meaning never. An entry that ends beyond what a script
// compares exactly, in the year 287396, never ends.
func formatUntil(until time.Time) string {
	ms := millis.Until(until)
	if ms > maxMillis {
		return never
	}
	return strconv.FormatInt(clamp(ms), 10)
}

// covers reports whether the entry is in force at now and covers a session begun at start.
func covers(entry string, now, start int64) (bool, error) {
	cutOff, rest, ok := strings.Cut(entry, ":")
	if !ok {
		return false, errEntryFormat
	}
	until, nonce, ok := strings.Cut(rest, ":")
	if !ok || nonce == "" {
		return false, errEntryFormat
	}
	if cutOff != everything {
		c, err := strconv.ParseInt(cutOff, 10, 64)
		if err != nil {
			return false, errEntryFormat
		}
		if start > c {
			return false, nil
		}
	}
	if until == never {
		return true, nil
	}
	u, err := strconv.ParseInt(until, 10, 64)
	if err != nil {
		return false, errEntryFormat
	}
	return now < u, nil
}

func newNonce() string {
	var b [9]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

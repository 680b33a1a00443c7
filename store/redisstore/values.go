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

// Values are short texts that operators can read and scripts can compare:
//
//	mark:  "1:<not before>"               the version of the format, then milliseconds since 1970
//	entry: "<cut-off>:<until>:<nonce>"    cut-off "*" for a token or a session; until "-" for never
//
// The nonce identifies the Revoke that put the entry in force; see revokeSource.
const (
	markVersion = "1:"
	everything  = "*"
	never       = "-"

	// maxMillis bounds times so that scripts, whose numbers are doubles, compare them exactly.
	maxMillis = 1<<53 - 1
)

var (
	errMarkMissing = errors.New("the mark is missing")
	errMarkFormat  = errors.New("the mark has another format")
	errEntryFormat = errors.New("an entry has another format")
	errReplyFormat = errors.New("the reply has another format")
)

// floor returns session starts, cut-offs and the current time in milliseconds, rounded down.
func floor(t time.Time) int64 { return clamp(millis.Floor(t)) }

func clamp(ms int64) int64 { return min(max(ms, -maxMillis), maxMillis) }

func formatMark(notBefore time.Time) string {
	return markVersion + strconv.FormatInt(floor(notBefore), 10)
}

// parseMark returns the not-before of a mark: sessions that began at or before it are refused.
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

// formatUntil returns the end of an entry; the zero time means never. An entry that would end after
// the year 287396, which scripts cannot compare exactly, never ends.
func formatUntil(until time.Time) string {
	ms := millis.Until(until)
	if ms > maxMillis {
		return never
	}
	return strconv.FormatInt(clamp(ms), 10)
}

// covers reports whether the entry is in force at now and covers a session that began at start.
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
	rand.Read(b[:]) // never returns an error
	return base64.RawURLEncoding.EncodeToString(b[:])
}

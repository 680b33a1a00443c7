package redisstore

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// Values are short texts that operators can read and scripts can compare:
//
//	mark:  "2:<check>:<not before>"               begins with the version of the format
//	entry: "<cut-off>:<until>:<place>:<nonce>"    cut-off "*" of a token or session; until "-" for never
//
// Times are milliseconds since 1970. The check value depends on the prefix and the HMAC key, so a
// process with another key reads no mark. The place is that of blacklist.PlaceOf in base64url: with
// the kind and the digest in the key, and the times, an entry has all that a copy of the store
// needs. The nonce identifies the Revoke that put the entry in force; see revokeSource.
//
// Version 1 was never released, so there is no migration.
const (
	markVersion  = "2:"
	markVersion1 = "1:"
	everything   = "*"
	never        = "-"

	// checkBytes is the size of the check value, 16 characters.
	checkBytes = 12
	// placeChars is the size of a place in base64url.
	placeChars = 11

	// maxMillis bounds times so that scripts, whose numbers are doubles, compare them exactly.
	maxMillis = 1<<53 - 1
)

var (
	errMarkMissing = errors.New("the mark is missing")
	errMarkFormat  = errors.New("the mark has another format")
	errVersion1    = errors.New("the mark has format version 1")
	errOtherKey    = errors.New("the mark has another check value")
	errEntryFormat = errors.New("an entry has another format")
	errRowFormat   = errors.New("the row or the record of a subject has another format")
	errReplyFormat = errors.New("the reply has another format")
)

// floor returns session starts, cut-offs and the current time in milliseconds, rounded down.
func floor(t time.Time) int64 { return clamp(millis.Floor(t)) }

func clamp(ms int64) int64 { return min(max(ms, -maxMillis), maxMillis) }

// formatTime returns the milliseconds of a time that the store compares with session starts.
func formatTime(t time.Time) string { return strconv.FormatInt(floor(t), 10) }

// parseMark returns the not-before of a mark: sessions that began at or before it are refused.
func (l *layout) parseMark(s string) (notBefore int64, err error) {
	digits, ok := strings.CutPrefix(s, l.markHead)
	switch {
	case ok:
	case strings.HasPrefix(s, markVersion1):
		return 0, errVersion1
	case strings.HasPrefix(s, markVersion) && len(s) > len(l.markHead) && s[len(l.markHead)-1] == ':':
		return 0, errOtherKey
	default:
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
	until, rest, ok := strings.Cut(rest, ":")
	if !ok || len(rest) < placeChars+2 || rest[placeChars] != ':' {
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

// formatPlace returns the place of an entry.
func formatPlace(place uint64) string { return string(appendPlace(nil, place)) }

func appendPlace(buf []byte, place uint64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], place)
	return base64.RawURLEncoding.AppendEncode(buf, b[:])
}

// parsePlace returns the number in the first characters of the text: a place, or the name of an entry
// from its digest.
func parsePlace(text string) (uint64, error) {
	var b [9]byte
	if len(text) < placeChars {
		return 0, errEntryFormat
	}
	if _, err := base64.RawURLEncoding.Decode(b[:], []byte(text[:placeChars])); err != nil {
		return 0, errEntryFormat
	}
	return binary.BigEndian.Uint64(b[:8]), nil
}

// newTail returns the end of a new entry: the place and a new nonce.
func newTail(place uint64) string {
	var b [9]byte
	rand.Read(b[:]) // never returns an error
	buf := append(appendPlace(make([]byte, 0, 32), place), ':')
	return string(base64.RawURLEncoding.AppendEncode(buf, b[:]))
}

package redisstore

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
	"github.com/oapi-guard/oapi-guard/session"
)

// sessionKeys are the keys of a subject. They are in the bucket of its entries in the blacklist, so
// that a transaction is one script on one master.
type sessionKeys struct {
	bucket uint8
	digest string   // of the subject
	keys   []string // the mark, the rows and the record, the index by beginning, the index by deadline
	owed   string   // the owed rows of the bucket
}

func (l *layout) session(subject session.Subject) sessionKeys {
	id := blacklist.Identity{Issuer: subject.Issuer, Subject: subject.Name}
	key, _ := blacklist.KeyOf(blacklist.Subject, id)
	sum := l.withSecret(key)
	b, digest := l.bucket(id), base64.RawURLEncoding.EncodeToString(sum[:digestBytes])
	return sessionKeys{
		bucket: b,
		digest: digest,
		keys:   []string{l.mark(b), l.rows(b, digest), l.tags[b] + "b:" + digest, l.tags[b] + "d:" + digest},
		owed:   l.owed(b),
	}
}

// rows returns the key of the rows of the subject with the digest.
func (l *layout) rows(bucket uint8, digest string) string { return l.tags[bucket] + "r:" + digest }

// owed returns the key of the owed rows of the bucket.
func (l *layout) owed(bucket uint8) string { return l.tags[bucket] + "o" }

// subjectRecord is the record of a subject: the epoch, the number of commits, and how often the
// subject was forgotten. In Redis it is "<epoch>:<version>:<life>".
type subjectRecord struct{ epoch, version, life string }

func parseRecord(value any) (subjectRecord, error) {
	text, ok := value.(string)
	if value == nil {
		text, ok = "0:0:0", true
	}
	epoch, rest, _ := strings.Cut(text, ":")
	version, life, found := strings.Cut(rest, ":")
	if !ok || !found {
		return subjectRecord{}, errRowFormat
	}
	return subjectRecord{epoch, version, life}, nil
}

// storedRow is a row as Redis keeps it: "<time until which it is kept>:<row>".
type storedRow string

func storeRow(row session.Row) (storedRow, error) {
	text, err := row.Encode()
	if err != nil {
		return "", err
	}
	return storedRow(formatTime(keepUntil(row)) + ":" + string(text)), nil
}

// keepUntil is later than Row.KeepUntil, because the clock of the next master may be ahead.
func keepUntil(row session.Row) time.Time {
	return time.UnixMilli(min(max(0, floor(row.KeepUntil())), maxMillis-2*keepLonger.Milliseconds())).Add(keepLonger)
}

func parseRow(value any) (session.Row, error) {
	text, ok := value.(string)
	_, row, found := strings.Cut(text, ":")
	if !ok || !found {
		return session.Row{}, errRowFormat
	}
	return session.DecodeRow([]byte(row))
}

// parseServerTime parses the reply to TIME.
func parseServerTime(seconds, microseconds any) (time.Time, error) {
	s, ok1 := seconds.(string)
	us, ok2 := microseconds.(string)
	sec, err1 := strconv.ParseInt(s, 10, 64)
	usec, err2 := strconv.ParseInt(us, 10, 64)
	if !ok1 || !ok2 || err1 != nil || err2 != nil {
		return time.Time{}, errReplyFormat
	}
	return time.UnixMilli(sec*1000 + usec/1000).UTC(), nil
}

// deadline is when the index by deadline has to be examined for the row.
func deadline(row session.Row, live bool) string {
	if !live {
		return formatTime(keepUntil(row))
	}
	return strconv.FormatInt(clamp(min(millis.Until(row.End), millis.Until(row.IdleDeadline))), 10)
}

package redisstore

import (
	"context"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
)

// How copies of the store (package replica) stay up to date:
//
// Every revocation and every new mark appends a record to one stream. Every Store writes records, so
// that no process can write entries only. On a single server and with Sentinel the script that
// writes the entry also writes the record. On a Cluster, where the stream is in one slot, the record
// is written after the entry, each with its WAIT: a snapshot that begins between both steps has the
// entry. A follower reads the stream (follower.go). It begins with a scan of all entries
// (snapshot.go).
//
// The stream is in the slot of bucket 0. The mark of this bucket identifies the stream: it changes if
// the server was emptied. The stream is never empty, because it begins with the record of a mark and
// is trimmed to its newest records. So a follower notices every lost record.

var _ replica.Feed = (*Store)(nil)

// PlaceKey implements replica.Feed.
func (s *Store) PlaceKey() blacklist.PlaceKey { return s.layout.places }

// Name implements replica.Feed.
func (s *Store) Name(kind blacklist.Kind, id blacklist.Identity) (uint64, bool) {
	k, ok := blacklist.KeyOf(kind, id)
	if !ok {
		return 0, false
	}
	digest := s.layout.withSecret(k)
	return binary.BigEndian.Uint64(digest[:]), true
}

// recordField is the only field of a record. Its value is
//
//	<letter>:<name>:<cut-off>:<until>:<place>   an entry, with times as in its value
//	g:<not before>                              a mark
//
// Letter and name are from the key of the entry: the name is placeChars characters of the digest. The
// time in the id of the record is that of the server.
const recordField = "r"

// recordSource defines a function that appends the record of an entry to the stream, and one for a
// mark. The scripts of a single server use them.
const recordSource = `
local function append(stream, length, text) redis.call('XADD', stream, 'MAXLEN', '~', length, '*', 'r', text) end

local function appendEntry(stream, length, key, value)
  local letter, digest = string.match(key, '}:(.):(.+)$')
  append(stream, length, letter .. ':' .. string.sub(digest, 1, 11) .. ':' .. string.match(value, '^(.+):[^:]+$'))
end
`

// recordText returns the record of the entry that op writes.
func recordText(o *revokeOp) string {
	_, name, _ := strings.Cut(o.keys[1], "}:")
	cutOff, until, tail := o.args[1].(string), o.args[2].(string), o.args[4].(string)
	return name[:len("t:")+placeChars] + ":" + cutOff + ":" + until + ":" + tail[:placeChars]
}

func markRecordText(notBefore int64) string {
	return letterMark + ":" + strconv.FormatInt(notBefore, 10)
}

const letterMark = "g"

var kindOf = map[string]blacklist.Kind{
	"t": blacklist.Token, "s": blacklist.Session, "u": blacklist.Subject, "i": blacklist.Issuer,
}

// parseRecordText returns the entry or the mark of a record.
func parseRecordText(text string) (e replica.Entry, err error) {
	letter, rest, _ := strings.Cut(text, ":")
	if letter == letterMark {
		e.Until = math.MaxInt64
		if e.CutOff, err = strconv.ParseInt(rest, 10, 64); err != nil {
			return replica.Entry{}, errEntryFormat
		}
		return e, nil
	}
	name, value, _ := strings.Cut(rest, ":")
	return parseEntry(letter, name, value)
}

// parseEntry returns an entry. The name may be longer than placeChars, and the value may have a
// nonce.
func parseEntry(letter, name, value string) (e replica.Entry, err error) {
	var ok bool
	if e.Kind, ok = kindOf[letter]; !ok {
		return replica.Entry{}, errEntryFormat
	}
	fields := strings.SplitN(value, ":", 4)
	if len(fields) < 3 {
		return replica.Entry{}, errEntryFormat
	}
	if e.Name, err = parsePlace(name); err == nil {
		e.Place, err = parsePlace(fields[2])
	}
	if err == nil {
		e.CutOff, err = parseTime(fields[0], everything)
	}
	if err == nil {
		e.Until, err = parseTime(fields[1], never)
	}
	if err != nil || (fields[0] == everything) != (e.Kind == blacklist.Token || e.Kind == blacklist.Session) {
		return replica.Entry{}, errEntryFormat
	}
	return e, nil
}

// parseTime returns the milliseconds, or the largest number for the word.
func parseTime(text, word string) (int64, error) {
	if text == word {
		return math.MaxInt64, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// recordOp appends a record to the stream.
type recordOp struct {
	stream, text string
	length       int
	cmd          *redis.StringCmd
}

func (o *recordOp) key() string { return o.stream }

func (o *recordOp) add(ctx context.Context, p redis.Pipeliner, _ bool) {
	o.cmd = p.XAdd(ctx, &redis.XAddArgs{
		Stream: o.stream, MaxLen: int64(o.length), Approx: true, Values: []any{recordField, o.text},
	})
}

func (o *recordOp) readReply() error { return o.cmd.Err() }

func (s *Store) recordOp(text string) *recordOp {
	return &recordOp{stream: s.layout.stream(), text: text, length: s.cfg.feedLength}
}

// recordApart writes records separately, after the entries or marks. On a single
// server the scripts have written those of entries.
func (s *Store) recordApart(ctx context.Context, texts ...string) error {
	ops := make([]op, len(texts))
	for i, text := range texts {
		ops[i] = s.recordOp(text)
	}
	if len(ops) == 0 {
		return nil
	}
	return s.write(ctx, ops)
}

// recordMarks writes a record of the newest of the marks.
func (s *Store) recordMarks(ctx context.Context, all []uint8) error {
	marks, err := s.readMarks(ctx, all)
	if err != nil {
		return err
	}
	return s.recordApart(ctx, markRecordText(marks.newest))
}

// recordsInScript reports whether the scripts write the records.
func (s *Store) recordsInScript() bool { return s.cluster == nil }

package redisstore

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

const (
	// buckets is the number of hash tags. All keys of one look-up share a tag, and so a master of a
	// Cluster; 256 tags distribute the subjects over the masters.
	buckets = 256

	// digestBytes is the part of a SHA-256 or HMAC that names an entry: 192 bits, 32 characters.
	// The whole digest would take 16 more bytes per entry in Redis.
	digestBytes = 24

	maxPrefix = 64
)

// layout makes the keys that the package documentation describes.
type layout struct {
	tags     [buckets]string // "{P:b}:"
	hmacKey  []byte          // nil for plain SHA-256
	markHead string          // "2:CHECK:", with which every mark begins
	// markHeadArg is markHead as an argument of a script, to save an allocation.
	markHeadArg any
	places      blacklist.PlaceKey // of the places in the entries
}

func newLayout(prefix string, hmacKey []byte) (*layout, error) {
	if prefix == "" || len(prefix) > maxPrefix {
		return nil, fmt.Errorf("redisstore: WithPrefix: the prefix must have 1 to %d characters", maxPrefix)
	}
	// A brace in the prefix would change the hash tag, and so spread the keys of one look-up over
	// several masters.
	if i := strings.IndexFunc(prefix, func(r rune) bool { return r <= ' ' || r > '~' || r == '{' || r == '}' }); i >= 0 {
		return nil, fmt.Errorf("redisstore: WithPrefix: character %d is a brace, a space or not printable ASCII", i)
	}
	l := &layout{hmacKey: hmacKey}
	for b := range l.tags {
		l.tags[b] = fmt.Sprintf("{%s:%02x}:", prefix, b)
	}
	check, places := l.derive("mark", prefix), l.derive("place", prefix)
	l.markHead = markVersion + base64.RawURLEncoding.EncodeToString(check[:checkBytes]) + ":"
	l.markHeadArg = l.markHead
	l.places = blacklist.PlaceKey(places[:])
	return l, nil
}

// derive returns a value for the purpose that all processes with the same prefix and secret share.
func (l *layout) derive(purpose, prefix string) [sha256.Size]byte {
	return l.withSecret(sha256.Sum256([]byte(purpose + " of " + prefix)))
}

// bucket returns the bucket of all entries about the token except the cut-off of its issuer,
// which is in every bucket. The subject decides, if there is one, so that revoking a session or a
// subject writes to the bucket that the look-ups of its tokens read.
func (l *layout) bucket(id blacklist.Identity) uint8 {
	buf := make([]byte, 0, 128)
	for _, s := range [...]string{id.Issuer, cmp.Or(id.Subject, id.Session, id.ID)} {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(s)))
		buf = append(buf, s...)
	}
	sum := sha256.Sum256(buf)
	// With a secret the bucket is keyed too, so that a dump and a list of subjects do not show
	// which bucket a subject is in.
	return l.withSecret(sum)[0]
}

// withSecret returns the HMAC of the digest, or the digest if there is no secret.
func (l *layout) withSecret(digest [sha256.Size]byte) [sha256.Size]byte {
	if l.hmacKey == nil {
		return digest
	}
	return l.mac(digest)
}

// mac is separate from withSecret because its argument escapes to the heap.
func (l *layout) mac(digest [sha256.Size]byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, l.hmacKey)
	h.Write(digest[:])
	h.Sum(sum[:0])
	return sum
}

// mark returns the key of the bucket's mark.
func (l *layout) mark(bucket uint8) string { return l.tags[bucket] + "g" }

// stream returns the key of the records of the feed. It is in the slot of bucket 0, so that the mark
// of this bucket shows whether the server of the stream was emptied.
func (l *layout) stream() string { return l.tags[0] + "f" }

// probe returns the key of the command that only a master accepts. It never exists.
func (l *layout) probe() string { return l.tags[0] + "w" }

// entryPattern returns the pattern of SCAN for the keys of all entries.
func (l *layout) entryPattern() string {
	head := strings.TrimSuffix(l.tags[0], "00}:")
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(head) + "??}:[iust]:*"
}

// entry returns the key of a revocation of the kind in the bucket. It reports false if the identity
// lacks what the kind needs.
func (l *layout) entry(bucket uint8, kind blacklist.Kind, id blacklist.Identity) (string, bool) {
	key, ok := l.appendEntry(nil, bucket, kind, id)
	return string(key), ok
}

func (l *layout) appendEntry(buf []byte, bucket uint8, kind blacklist.Kind, id blacklist.Identity) ([]byte, bool) {
	k, ok := blacklist.KeyOf(kind, id)
	if !ok {
		return buf, false
	}
	var letter string
	switch kind {
	case blacklist.Issuer:
		letter = "i:"
	case blacklist.Subject:
		letter = "u:"
	case blacklist.Session:
		letter = "s:"
	case blacklist.Token:
		letter = "t:"
	default:
		return buf, false
	}
	digest := l.withSecret(k)
	buf = append(append(buf, l.tags[bucket]...), letter...)
	return base64.RawURLEncoding.AppendEncode(buf, digest[:digestBytes]), true
}

// maxKeys is the largest number of keys of a look-up.
const maxKeys = 5

// lookup returns the keys that a look-up reads: the entries that could cover the token, then the
// mark. getEach needs the mark to be the last.
func (l *layout) lookup(bucket uint8, id blacklist.Identity) []string {
	// All keys are parts of one string, to save allocations: every request makes them.
	buf, ends := make([]byte, 0, 512), make([]int, 0, maxKeys)
	for _, kind := range [...]blacklist.Kind{blacklist.Issuer, blacklist.Subject, blacklist.Session, blacklist.Token} {
		var ok bool
		if buf, ok = l.appendEntry(buf, bucket, kind, id); ok {
			ends = append(ends, len(buf))
		}
	}
	buf = append(buf, l.mark(bucket)...)
	ends = append(ends, len(buf))
	text, start := string(buf), 0
	keys := make([]string, len(ends))
	for i, end := range ends {
		keys[i], start = text[start:end], end
	}
	return keys
}

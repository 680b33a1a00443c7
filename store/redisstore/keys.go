package redisstore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

const (
	// buckets is how many hash tags the entries are spread over. All keys that one look-up reads share a tag and so
	// a master of a Cluster; 256 tags spread subjects over the masters.
	buckets = 256

	// digestBytes is how much of a SHA-256 or HMAC names an entry: 192 bits, 32 characters. The whole digest would
	// cost 16 bytes more per entry in Redis.
	digestBytes = 24

	maxPrefix = 64
)

// layout makes keys. The table in the package documentation describes them.
type layout struct {
	tags [buckets]string // "{P:b}:"
	key  []byte          // of the HMAC, nil for plain SHA-256
}

func newLayout(prefix string, hmacKey []byte) (*layout, error) {
	if prefix == "" || len(prefix) > maxPrefix {
		return nil, fmt.Errorf("redisstore: WithPrefix: a prefix has 1 to %d characters", maxPrefix)
	}
	// A brace in the prefix would move the hash tag, and with it the keys of one look-up, to several masters.
	if i := strings.IndexFunc(prefix, func(r rune) bool { return r <= ' ' || r > '~' || r == '{' || r == '}' }); i >= 0 {
		return nil, fmt.Errorf("redisstore: WithPrefix: character %d is a brace, a space or not printable ASCII", i)
	}
	l := &layout{key: hmacKey}
	for b := range l.tags {
		l.tags[b] = fmt.Sprintf("{%s:%02x}:", prefix, b)
	}
	return l, nil
}

// bucket returns where everything about the token lies but its verifier's cut-off, which lies in every bucket. Whoever
// revokes a session or a subject must reach the bucket that the look-up of each of its tokens reads, so the subject
// decides where there is one.
func (l *layout) bucket(id blacklist.Identity) uint8 {
	part := id.Subject
	if part == "" {
		part = id.Session
	}
	if part == "" {
		part = id.ID
	}
	buf := make([]byte, 0, 128)
	for _, s := range [...]string{id.Verifier, part} {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(s)))
		buf = append(buf, s...)
	}
	sum := sha256.Sum256(buf)
	// With a secret the bucket is keyed too: which bucket a subject lies in must not be known to whoever has a list
	// of subjects and a dump.
	return l.keyed(sum)[0]
}

// keyed returns the HMAC of a digest, where there is a secret.
func (l *layout) keyed(digest [sha256.Size]byte) [sha256.Size]byte {
	if l.key == nil {
		return digest
	}
	return l.mac(digest)
}

// mac is apart from keyed because what it is given goes to the heap.
func (l *layout) mac(digest [sha256.Size]byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, l.key)
	h.Write(digest[:])
	h.Sum(sum[:0])
	return sum
}

// mark returns the key of a bucket's mark.
func (l *layout) mark(bucket uint8) string { return l.tags[bucket] + "g" }

// entry returns the key under which a revocation of the kind lies in the bucket; false where the identity lacks what
// the kind is about.
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
	case blacklist.Verifier:
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
	digest := l.keyed(k)
	buf = append(append(buf, l.tags[bucket]...), letter...)
	return base64.RawURLEncoding.AppendEncode(buf, digest[:digestBytes]), true
}

// maxKeys is how many keys a look-up reads at most.
const maxKeys = 5

// lookup returns the keys that a look-up reads: the entries that could cover the token, and the mark last. Where
// they are read one by one (see getSlowly) the mark must be the last: a store emptied in between then shows.
func (l *layout) lookup(bucket uint8, id blacklist.Identity) []string {
	// They are parts of one text, as this is done for every request.
	buf, ends := make([]byte, 0, 512), make([]int, 0, maxKeys)
	for _, kind := range [...]blacklist.Kind{blacklist.Verifier, blacklist.Subject, blacklist.Session, blacklist.Token} {
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

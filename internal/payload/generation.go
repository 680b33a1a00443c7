package payload

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// The id of a refresh token contains its generation: its number within its session, from 1. Layouts
// whose ids are free text write the session, a dot and the number. Layouts whose ids are UUIDs write
// a UUID of version 8 (RFC 9562, section 5.8): the number in the first 32 bits, and a digest of the
// session and the number in the rest.

// GenerationID returns the id of a generation as text.
func GenerationID(session string, generation uint32) string {
	return session + "." + strconv.FormatUint(uint64(generation), 10)
}

// GenerationUUID returns the id of a generation as a UUID.
func GenerationUUID(session string, generation uint32) string {
	id := uuid.UUID{}
	binary.BigEndian.PutUint32(id[:4], generation)
	digest := sha256.Sum256([]byte(GenerationID(session, generation)))
	copy(id[4:], digest[:])
	id[6] = id[6]&0x0f | 8<<4 // version 8
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	return id.String()
}

// Generation returns the generation that an id of the session contains, or 0 for an id of another
// form.
func Generation(session, id string) uint32 {
	if session == "" {
		return 0
	}
	if text, found := strings.CutPrefix(id, session+"."); found {
		generation, err := strconv.ParseUint(text, 10, 32)
		if err != nil || GenerationID(session, uint32(generation)) != id { // +1, 01
			return 0
		}
		return uint32(generation)
	}
	parsed, err := uuid.Parse(id)
	if err != nil || parsed.Version() != 8 {
		return 0
	}
	generation := binary.BigEndian.Uint32(parsed[:4])
	if subtle.ConstantTimeCompare([]byte(GenerationUUID(session, generation)), []byte(id)) != 1 {
		return 0
	}
	return generation
}

package payload_test

import (
	"math"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/payload"
)

func TestGenerationIsReadBack(t *testing.T) {
	for _, session := range []string{"S", "a.b", "a.1", "5f0c1b1e-3d6b-4d6f-8d1f-0a2b3c4d5e6f"} {
		for _, generation := range []uint32{1, 2, 10, math.MaxUint32} {
			for _, id := range []string{payload.GenerationID(session, generation), payload.GenerationUUID(session, generation)} {
				if got := payload.Generation(session, id); got != generation {
					t.Errorf("session %q, id %q: generation %d, want %d", session, id, got, generation)
				}
				if got := payload.Generation(session+"x", id); got != 0 {
					t.Errorf("id %q of another session has the generation %d", id, got)
				}
			}
		}
	}
}

func TestGenerationOfOtherIDs(t *testing.T) {
	uuid := payload.GenerationUUID("S", 3)
	for name, id := range map[string]string{
		"empty": "", "random": "QX4ZJ", "session alone": "S", "no number": "S.", "zero": "S.0", "sign": "S.+1", "leading zero": "S.01",
		"too large": "S.4294967296", "negative": "S.-1", "space": "S. 1", "other session": "T.1", "two dots": "S.1.1",
		"random UUID": "3f0c1b1e-3d6b-4d6f-8d1f-0a2b3c4d5e6f", "other generation": "00000004" + uuid[8:], "UUID in braces": "{" + uuid + "}",
		"URN": "urn:uuid:" + uuid,
	} {
		if got := payload.Generation("S", id); got != 0 {
			t.Errorf("%s: %q has the generation %d", name, id, got)
		}
	}
	if got := payload.Generation("", payload.GenerationUUID("", 3)); got != 0 {
		t.Errorf("a token without a session has the generation %d", got)
	}
}

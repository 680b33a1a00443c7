package payload_test

import (
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// FuzzGeneration: an id has a generation only if it is the id of that generation, to the letter.
func FuzzGeneration(f *testing.F) {
	for _, generation := range []uint32{1, 99, 1<<32 - 1} {
		f.Add("S", payload.GenerationID("S", generation))
		f.Add("S", payload.GenerationUUID("S", generation))
	}
	f.Add("a.1", "a.1.1")
	f.Fuzz(func(t *testing.T, session, id string) {
		generation := payload.Generation(session, id)
		if generation == 0 {
			return
		}
		if id != payload.GenerationID(session, generation) && id != payload.GenerationUUID(session, generation) {
			t.Fatalf("%q of session %q is taken for generation %d", id, session, generation)
		}
	})
}

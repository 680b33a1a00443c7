package security

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// wycheproofDir is the environment variable with the folder of the vectors. Only the module
// crosstest requires them: its test runs this one with the variable set.
const wycheproofDir = "OAPI_GUARD_WYCHEPROOF"

const (
	signatureVectors = "json_web_signature_test.json"
	keyVectors       = "json_web_key_test.json"
)

// deviation is a vector with another result here than in the file.
type deviation struct {
	file    string
	id      int
	comment string
	reason  string
}

const (
	emptyPayload   = "an empty payload has no claims: an empty segment is refused before the key is looked up"
	otherAlgorithm = `the key has "alg":"PS256" and the text PS384: a key is bound to one algorithm`
	noES521        = `the key has "alg":"ES521", which RFC 7518 does not define: P-521 goes with ES512`
	strayCharacter = "RFC 7515, section 2, allows no characters outside the alphabet of base64url: a reader that skips them gives one token many texts"
	zeroSecret     = "the secret has zero bytes only: it was never filled with random bytes, and is refused"
)

// wycheproofRefused are the vectors that the file calls valid and we refuse.
var wycheproofRefused = []deviation{
	{file: signatureVectors, id: 259, comment: "emptyPayload", reason: emptyPayload},
	{file: signatureVectors, id: 264, comment: "emptyPayload", reason: emptyPayload},
	{file: signatureVectors, id: 268, comment: "emptyPayload", reason: emptyPayload},
	{file: signatureVectors, id: 272, comment: "emptyPayload", reason: emptyPayload},
	{file: signatureVectors, id: 320, comment: "emptyPayload", reason: emptyPayload},
	{file: signatureVectors, id: 325, comment: "emptyPayload", reason: emptyPayload},
	{file: signatureVectors, id: 346, comment: "Figure20", reason: otherAlgorithm},
	{file: signatureVectors, id: 347, comment: "Figure27", reason: noES521},
	{file: signatureVectors, id: 350, comment: "Figure20", reason: otherAlgorithm},
	{file: signatureVectors, id: 351, comment: "Figure27", reason: noES521},
	{file: signatureVectors, id: 357, comment: "ValidMac", reason: zeroSecret},
	{file: signatureVectors, id: 358, comment: "ValidEdgeCaseMac", reason: zeroSecret},
	{file: signatureVectors, id: 359, comment: "ValidEdgeCaseMac", reason: zeroSecret},
	{file: signatureVectors, id: 372, comment: "InvalidCharacterInsertedInHeader", reason: strayCharacter},
	{file: signatureVectors, id: 373, comment: "InvalidCharacterInsertedInPayload", reason: strayCharacter},
	{file: signatureVectors, id: 376, comment: "ValidSpacesInJsonHeader", reason: zeroSecret},
	{file: signatureVectors, id: 377, comment: "ValidWhiteSpaceInJsonHeader", reason: zeroSecret},
}

// wycheproofAccepted are the vectors that the file calls invalid and we accept. Each signature is
// valid, as go-jose confirms: the file objects to something else. An invalid signature fails the
// test even if it is listed.
var wycheproofAccepted = []deviation{
	{
		file: keyVectors, id: 1, comment: "rejectsValid",
		reason: "symmetric and public keys in one set: each is bound to its algorithm, so none is used as the other kind; ParsePublicJWKS refuses the set",
	},
	{
		file: keyVectors, id: 7, comment: "rejectsKeyWithRocaVulnerability",
		reason: "the weak primes of one maker's chips (CVE-2017-15361) are not looked for in keys that the application has chosen to trust",
	},
}

// TestWycheproof runs every vector through the part of verify that comes before the claims. The
// keys are read as an application reads them. The payloads of the vectors have no claims, so they
// are not complete tokens.
func TestWycheproof(t *testing.T) {
	dir := os.Getenv(wycheproofDir)
	if dir == "" {
		t.Skip(wycheproofDir + " is not set; run the vectors with: cd crosstest && go test -count=1 ./...")
	}
	for _, tt := range []struct {
		file  string
		least int
	}{{signatureVectors, 401}, {keyVectors, 26}} {
		t.Run(tt.file, func(t *testing.T) {
			run := runWycheproof(t, dir, tt.file)
			if run < tt.least {
				t.Errorf("%d vectors were run, fewer than %d", run, tt.least)
			}
			t.Logf("%d vectors", run)
		})
	}
}

// runWycheproof returns how many vectors it has run.
func runWycheproof(t *testing.T, dir, file string) int {
	var vectors struct {
		NumberOfTests int `json:"numberOfTests"`
		TestGroups    []struct {
			Comment string          `json:"comment"`
			Private json.RawMessage `json:"private"`
			Public  json.RawMessage `json:"public"`
			Tests   []struct {
				ID      int    `json:"tcId"`
				Comment string `json:"comment"`
				JWS     string `json:"jws"`
				Result  string `json:"result"`
			} `json:"tests"`
		} `json:"testGroups"`
	}
	if err := json.Unmarshal(must(os.ReadFile(filepath.Join(dir, file)))(t), &vectors); err != nil {
		t.Fatal(err)
	}
	refused, accepted := deviationsOf(file, wycheproofRefused), deviationsOf(file, wycheproofAccepted)
	run := 0
	for _, group := range vectors.TestGroups {
		for _, tt := range group.Tests {
			run++
			errs := []error{openWith(t, keys.ParseJWKS, group.Private, tt.JWS)}
			if group.Public != nil {
				errs = append(errs, openWith(t, parsePublic, group.Public, tt.JWS))
			}
			allAccepted, oneAccepted := true, false
			for _, err := range errs {
				if errors.Is(err, errUnsound) {
					t.Errorf("%d, %s, %s: an invalid signature is accepted", tt.ID, group.Comment, tt.Comment)
				}
				allAccepted, oneAccepted = allAccepted && err == nil, oneAccepted || err == nil
			}
			var list map[int]string
			var deviates bool
			switch tt.Result {
			case "valid":
				list, deviates = refused, !allAccepted
			case "invalid":
				list, deviates = accepted, oneAccepted
			case "acceptable": // either
			default:
				t.Errorf("%d: the result %q is not known", tt.ID, tt.Result)
			}
			comment, listed := list[tt.ID]
			delete(list, tt.ID)
			switch {
			case deviates && !listed:
				t.Errorf("%d, %s, %s: the file says %s, the result is %v", tt.ID, group.Comment, tt.Comment, tt.Result, errs)
			case listed && !deviates:
				t.Errorf("%d, %s, %s: listed as a deviation, but the result is that of the file", tt.ID, group.Comment, tt.Comment)
			case listed && comment != tt.Comment:
				t.Errorf("%d, %s, %s: is listed as %s", tt.ID, group.Comment, tt.Comment, comment)
			}
		}
	}
	for _, rest := range []map[int]string{refused, accepted} {
		for id, comment := range rest {
			t.Errorf("%d, %s: is listed as a deviation, and the file has no such vector", id, comment)
		}
	}
	if run != vectors.NumberOfTests {
		t.Errorf("%d vectors were run, the file says that it has %d", run, vectors.NumberOfTests)
	}
	return run
}

// parsePublic is keys.ParsePublicJWKS, for which a key that was skipped is an error.
func parsePublic(text []byte) ([]*keys.Key, error) {
	all, skipped, err := keys.ParsePublicJWKS(text)
	if err == nil && len(skipped) > 0 {
		err = errors.New(skipped[0].Reason)
	}
	return all, err
}

// deviationsOf returns the comments of a file's deviations by id.
func deviationsOf(file string, list []deviation) map[int]string {
	comments := map[int]string{}
	for _, d := range list {
		if d.file == file && d.reason != "" {
			comments[d.id] = d.comment
		}
	}
	return comments
}

var errUnsound = errors.New("accepted, and go-jose verifies the signature with none of the keys")

// openWith reads the keys and opens the text with them. The error is that of the first step that
// refuses. go-jose must accept whatever is accepted here, with the same payload.
func openWith(t *testing.T, parse func([]byte) ([]*keys.Key, error), jwks []byte, text string) error {
	parsed, err := parse(jwks)
	if err != nil {
		return err
	}
	set, err := keys.NewSet(parsed...)
	if err != nil {
		return err
	}
	opened, err := must(NewVerifier(testIssuer, set))(t).open(t.Context(), text, new([]byte))
	if err != nil {
		if !errors.Is(err, ErrInvalidToken) {
			t.Errorf("refused with %v, want %v", err, ErrInvalidToken)
		}
		return err
	}
	var theirs gojose.JSONWebKeySet
	if err := json.Unmarshal(jwks, &theirs); err != nil || len(theirs.Keys) == 0 {
		var single gojose.JSONWebKey
		if err := json.Unmarshal(jwks, &single); err != nil {
			t.Fatalf("go-jose cannot read the keys: %v", err)
		}
		theirs.Keys = []gojose.JSONWebKey{single}
	}
	for i, key := range theirs.Keys {
		algorithm := key.Algorithm
		if i < len(parsed) {
			algorithm = string(parsed[i].Algorithm())
		}
		signed, err := gojose.ParseSignedCompact(text, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(algorithm)})
		if err != nil {
			continue
		}
		if public := key.Public(); public.Key != nil { // go-jose verifies with the public half
			key = public
		}
		if other, err := signed.Verify(key.Key); err == nil && string(other) == string(opened.content) {
			return nil
		}
	}
	return errUnsound
}

package keyfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

var start = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// again returns the set after it was written and read.
func again(t *testing.T, set *Set) *Set {
	t.Helper()
	return must(Parse(must(set.Text())(t)))(t)
}

func TestRotationTakesThreeStepsAndWaits(t *testing.T) {
	const lifetime, propagation = 24 * time.Hour, 10 * time.Minute
	set := &Set{Settings: Settings{TokenLifetime: Duration(lifetime), Propagation: Duration(propagation)}}
	first := must(Generate("ES256"))(t)
	if err := set.Add(first, start); err != nil {
		t.Fatal(err)
	}
	now := start.Add(time.Hour)
	for _, tt := range []struct {
		step   Step
		wait   time.Duration
		states []State
	}{
		{step: Publish, states: []State{Signs, Next}},
		{step: Sign, wait: propagation, states: []State{Signs, Retiring}},
		{step: Retire, wait: propagation + lifetime + maxLeeway, states: []State{Signs}},
		{step: Publish, states: []State{Signs, Next}},
	} {
		set = again(t, set)
		plan := set.Next()
		safe := time.Time{}
		if tt.wait > 0 {
			safe = now.Add(tt.wait)
		}
		if plan.Step != tt.step || !plan.Safe.Equal(safe) {
			t.Fatalf("next is %s, safe at %v; want %s at %v", plan.Step, plan.Safe, tt.step, safe)
		}
		now = now.Add(tt.wait + time.Minute)
		if taken := must(set.Take(now, Generate))(t); taken.Step != tt.step || len(taken.KeyIDs) != 1 {
			t.Errorf("took %+v", taken)
		}
		for i, want := range tt.states {
			if i >= len(set.Keys) || set.StateOf(i) != want {
				t.Errorf("after %s: %d keys, key %d is not %q", tt.step, len(set.Keys), i, want)
			}
		}
	}
	if set.position(first.ID) >= 0 {
		t.Error("the first key is still there")
	}
}

func TestSettingsHaveDefaults(t *testing.T) {
	set := &Set{}
	for range 2 {
		if err := set.Add(must(Generate("EdDSA"))(t), start); err != nil {
			t.Fatal(err)
		}
	}
	if plan := set.Next(); plan.Step != Sign || !plan.Safe.Equal(start.Add(DefaultPropagation)) {
		t.Errorf("%+v", plan)
	}
	must(set.Take(start, Generate))(t)
	if plan := set.Next(); plan.Step != Retire || !plan.Safe.Equal(start.Add(DefaultPropagation+DefaultTokenLifetime+maxLeeway)) {
		t.Errorf("%+v", plan)
	}
}

func TestKeysLeave(t *testing.T) {
	set := &Set{}
	for range 2 {
		if err := set.Add(must(Generate("HS256"))(t), start); err != nil {
			t.Fatal(err)
		}
	}
	signing, next := set.Keys[0].ID, set.Keys[1].ID
	if err := set.Add(set.Keys[0], start); err == nil {
		t.Error("added twice")
	}
	if err := set.Remove("unknown"); err == nil {
		t.Error("removed an unknown key")
	}
	if err := set.Remove(signing); err != nil || set.Keys[set.SigningKey()].ID != next {
		t.Errorf("removed the key that signs: %v", err)
	}
	if err := set.Remove(next); err == nil {
		t.Error("removed the last key")
	}
	leaked := set.Replace(must(Generate("HS256"))(t), start)
	if len(leaked) != 1 || leaked[0] != next || len(set.Keys) != 1 || set.Keys[0].ID == next {
		t.Errorf("replaced %v", leaked)
	}
}

func TestPublicKeysOnlyVerify(t *testing.T) {
	private := must(must(Generate("ES256"))(t).JWK())(t)
	public := must(NewKey("public", "ES256", private.Public().Key))(t)
	set := &Set{}
	if err := set.Add(public, start); err != nil || set.StateOf(0) != Verifies || set.SigningKey() != -1 {
		t.Errorf("a public key: %v", err)
	}
	if _, err := set.Take(start, Generate); err == nil {
		t.Error("a rotation without a private key")
	}
	if err := set.Add(must(Generate("ES256"))(t), start); err != nil || set.SigningKey() != 1 {
		t.Errorf("a private key behind a public one: %v", err)
	}
}

func TestOtherMembersStay(t *testing.T) {
	const text = `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a","alg":"HS256","x-team":["payments"]}],"x-owner":"ops"}`
	set := must(Parse([]byte(text)))(t)
	must(set.Take(start, Generate))(t)
	written := string(must(set.Text())(t))
	for _, want := range []string{"x-team", "payments", "x-owner", "ops"} {
		if !strings.Contains(written, want) {
			t.Errorf("%s is gone:\n%s", want, written)
		}
	}
}

func TestParseRefusesAndRepeatsNothing(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": `secret`, "no keys": `{"keys":[]}`, "no set": `{"kty":"oct","k":"secret","kid":"a","alg":"HS256"}`,
		"no id": `{"keys":[{"kty":"oct","k":"secret","alg":"HS256"}]}`, "no algorithm": `{"keys":[{"kty":"oct","k":"secret","kid":"a"}]}`,
		"bad times":    `{"keys":[{"kid":"a","alg":"HS256","oapi-guard":{"signing":"secret"}}]}`,
		"bad duration": `{"keys":[{"kid":"a","alg":"HS256"}],"oapi-guard":{"propagation":"secret"}}`,
	} {
		if _, err := Parse([]byte(text)); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGenerateHasEveryAlgorithm(t *testing.T) {
	for _, algorithm := range Algorithms {
		if strings.HasPrefix(algorithm, "PS") || algorithm == "RS384" || algorithm == "RS512" {
			continue // the same key as for RS256, and slow to make
		}
		key := must(Generate(algorithm))(t)
		if jwk := must(key.JWK())(t); !jwk.Valid() && !strings.HasPrefix(algorithm, "HS") || jwk.Algorithm != algorithm || jwk.KeyID != key.ID || !key.signs() {
			t.Errorf("%s: not a valid key that signs", algorithm)
		}
	}
	if _, err := Generate("none"); err == nil {
		t.Error("made a key for none")
	}
}

func TestReplaceKeepsPermissionsAndLinks(t *testing.T) {
	folder := t.TempDir()
	path, link := filepath.Join(folder, "keys.json"), filepath.Join(folder, "link.json")
	if err := Create(path, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte("b")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: %v", err)
	}
	if err := errors.Join(os.Chmod(path, 0o640), os.Symlink(path, link)); err != nil {
		t.Fatal(err)
	}
	if err := Replace(link, []byte("c")); err != nil {
		t.Fatal(err)
	}
	if text := must(Read(path))(t); string(text) != "c" {
		t.Errorf("the file has %q", text)
	}
	if mode := must(os.Lstat(link))(t).Mode(); mode&fs.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if mode := must(os.Stat(path))(t).Mode().Perm(); mode != 0o640 {
		t.Errorf("mode %o", mode)
	}
	if rest := must(os.ReadDir(folder))(t); len(rest) != 2 {
		t.Errorf("left over: %v", rest)
	}
}

func TestReadRefuses(t *testing.T) {
	folder := t.TempDir()
	large := filepath.Join(folder, "large")
	if err := os.WriteFile(large, make([]byte, maxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(folder, "open")
	if err := errors.Join(os.WriteFile(open, []byte("{}"), 0o600), os.Chmod(open, 0o604)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{large, open, folder, filepath.Join(folder, "none")} {
		if _, err := Read(path); err == nil {
			t.Errorf("read %s", path)
		}
	}
}

func TestDurationsAreText(t *testing.T) {
	text := must(json.Marshal(Settings{TokenLifetime: Duration(time.Hour)}))(t)
	if string(text) != `{"token_lifetime":"1h0m0s"}` {
		t.Errorf("%s", text)
	}
}

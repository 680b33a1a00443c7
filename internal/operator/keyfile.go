package operator

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/oapi-guard/oapi-guard/internal/keyfile"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// KeyFile is a key file and its path.
type KeyFile struct {
	Path string
	Set  *keyfile.Set
	// Algorithm is that of the next new key, or "" for that of the key that signs.
	Algorithm string
	// text is what was read, to find out that another process has changed the file.
	text []byte
}

// KeyInfo is what the command prints of a key.
type KeyInfo struct {
	ID        string     `json:"kid"`
	Algorithm string     `json:"alg"`
	State     string     `json:"state"`
	Published *time.Time `json:"published,omitempty"`
	Signing   *time.Time `json:"signing,omitempty"`
	Retiring  *time.Time `json:"retiring,omitempty"`
}

// NextStep is the next step of a rotation.
type NextStep struct {
	// Step is publish, sign or retire.
	Step string `json:"step"`
	// SafeAfter is when it logs nobody out, or nil if that is now.
	SafeAfter *time.Time `json:"safe_after,omitempty"`
	// Keys are the keys that will sign, or leave.
	Keys []string `json:"keys,omitempty"`
}

// OpenKeyFile reads a key file, and checks that a service can use it.
func OpenKeyFile(path string) (*KeyFile, error) {
	text, err := keyfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no key file %s: make one with oapi-guard keys new --file %[1]s", path)
	}
	if err != nil {
		return nil, err
	}
	if _, err := keySetOf(text); err != nil {
		return nil, fmt.Errorf("the key file %s: %w", path, err)
	}
	set, err := keyfile.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the key file %s: %w; take over the keys of another file with keys import", path, err)
	}
	return &KeyFile{Path: path, Set: set, text: text}, nil
}

// OpenOrNewKeyFile reads a key file. If there is none, it returns one without keys, which Save makes.
func OpenOrNewKeyFile(path string) (*KeyFile, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return &KeyFile{Path: path, Set: &keyfile.Set{}}, nil
	}
	return OpenKeyFile(path)
}

// keySetOf returns the key set of a text.
func keySetOf(text []byte) (*keys.Set, error) {
	all, err := keys.ParseJWKS(text)
	if err != nil {
		return nil, withoutPackage(err)
	}
	set, err := keys.NewSet(all...)
	return set, withoutPackage(err)
}

// withoutPackage returns an error of package keys without its name.
func withoutPackage(err error) error {
	if text, found := strings.CutPrefix(fmt.Sprint(err), "keys: "); err != nil && found {
		return errors.New(text)
	}
	return err
}

// KeySet returns the keys as a service uses them.
func (f *KeyFile) KeySet() (*keys.Set, error) {
	text, err := f.Set.Text()
	if err != nil {
		return nil, err
	}
	return keySetOf(text)
}

// Save writes the file. It fails if the file has changed since it was read.
func (f *KeyFile) Save() error {
	text, err := f.Set.Text()
	if err != nil {
		return err
	}
	if _, err := keySetOf(text); err != nil { // which would be a mistake of this program
		return err
	}
	if f.text == nil {
		return keyfile.Create(f.Path, text)
	}
	now, err := keyfile.Read(f.Path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, f.text) {
		return fmt.Errorf("%s was changed by another process meanwhile; nothing was written: repeat the command", f.Path)
	}
	return keyfile.Replace(f.Path, text)
}

// List returns the keys and the next step.
func (f *KeyFile) List(now time.Time) ([]KeyInfo, NextStep) {
	list := make([]KeyInfo, len(f.Set.Keys))
	for i, key := range f.Set.Keys {
		list[i] = KeyInfo{
			ID: key.ID, Algorithm: key.Algorithm, State: string(f.Set.StateOf(i)),
			Published: optionalTime(key.Times.Published), Signing: optionalTime(key.Times.Signing), Retiring: optionalTime(key.Times.Retiring),
		}
	}
	return list, nextOf(f.Set.Next(), now)
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func nextOf(plan keyfile.Plan, now time.Time) NextStep {
	next := NextStep{Step: string(plan.Step), Keys: plan.KeyIDs}
	if plan.Safe.After(now) {
		next.SafeAfter = &plan.Safe
	}
	return next
}

// ErrTooEarly means that the next step of a rotation would log users out now.
var ErrTooEarly = errors.New("the next step is not safe yet")

// Rotate takes the next step, unless it is too early. The returned steps are the one that was taken and
// the one after it. The file is not saved.
func (f *KeyFile) Rotate(now time.Time, early bool) (taken, next NextStep, err error) {
	plan := f.Set.Next()
	if plan.Safe.After(now) && !early {
		return NextStep{}, nextOf(plan, now), fmt.Errorf("%w: %s", ErrTooEarly, whyWait(plan))
	}
	plan, err = f.Set.Take(now, f.generate)
	if err != nil {
		return NextStep{}, NextStep{}, err
	}
	return NextStep{Step: string(plan.Step), Keys: plan.KeyIDs}, nextOf(f.Set.Next(), now), nil
}

// generate makes a new key, for the algorithm unless the user named another one.
func (f *KeyFile) generate(algorithm string) (keyfile.Key, error) {
	if f.Algorithm != "" {
		algorithm = f.Algorithm
	}
	return keyfile.Generate(algorithm)
}

// whyWait says why a step has to wait.
func whyWait(plan keyfile.Plan) string {
	reason := "processes and clients that have not read the new key yet would refuse its tokens"
	if plan.Step == keyfile.Retire {
		reason = "tokens of the former key are still valid"
	}
	return fmt.Sprintf("%s until %s. Repeat the command then, or pass --early", reason, plan.Safe.UTC().Format(time.RFC3339))
}

// Leaked puts a new key in place of all keys, which no service trusts any more. The file is not saved.
func (f *KeyFile) Leaked(now time.Time) (removed []string, signing string, err error) {
	position := f.Set.SigningKey()
	if position < 0 {
		return nil, "", errors.New("no key of the file can sign: import a private key")
	}
	key, err := f.generate(f.Set.Keys[position].Algorithm)
	if err != nil {
		return nil, "", err
	}
	return f.Set.Replace(key, now), key.ID, nil
}

// ImportOptions say what an imported text is.
type ImportOptions struct {
	// Algorithm is needed for RSA keys and secrets. Others have one.
	Algorithm string
	// ID is the key id, or "" for the thumbprint, or for that of a JWK.
	ID string
	// Secret is "base64" or "raw" for the secret of an HMAC, "" for a PEM or a JWK set.
	Secret string
}

// Import adds the keys of a text and returns their ids.
func (f *KeyFile) Import(text []byte, options ImportOptions, now time.Time) ([]string, error) {
	imported, err := parseImport(text, options)
	if err != nil {
		return nil, withoutPackage(err)
	}
	var ids []string
	for _, key := range imported {
		if err := f.Set.Add(key, now); err != nil {
			return nil, err
		}
		ids = append(ids, key.ID)
	}
	return ids, nil
}

func parseImport(text []byte, options ImportOptions) ([]keyfile.Key, error) {
	switch {
	case options.Secret != "":
		return importSecret(text, options)
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")):
		return importJWKS(text, options)
	}
	return importPEM(text, options)
}

func keyOptions(id string) []keys.Option {
	if id == "" {
		return nil
	}
	return []keys.Option{keys.WithID(id)}
}

func importSecret(text []byte, options ImportOptions) ([]keyfile.Key, error) {
	secret := text
	if options.Secret == "base64" {
		decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			return nil, errors.New("the secret is not base64")
		}
		secret = decoded
	}
	if options.Algorithm == "" {
		options.Algorithm = string(keys.HS256)
	}
	checked, err := keys.NewHMAC(keys.Algorithm(options.Algorithm), secret, keyOptions(options.ID)...)
	if err != nil {
		return nil, err
	}
	return one(keyfile.NewKey(checked.ID(), string(checked.Algorithm()), secret))
}

func one(key keyfile.Key, err error) ([]keyfile.Key, error) { return []keyfile.Key{key}, err }

func importPEM(text []byte, options ImportOptions) ([]keyfile.Key, error) {
	algorithm := keys.Algorithm(options.Algorithm)
	checked, err := keys.ParsePEM(algorithm, text, keyOptions(options.ID)...)
	if err != nil && algorithm == "" && strings.Contains(err.Error(), "RSA algorithm") {
		return nil, errors.New("an RSA key is bound to one algorithm: name it with --algorithm, such as RS256 or PS256")
	}
	if err != nil {
		return nil, err
	}
	material, err := pemMaterial(text)
	if err != nil {
		return nil, err
	}
	return one(keyfile.NewKey(checked.ID(), string(checked.Algorithm()), material))
}

// pemMaterial returns the key of a text that keys.ParsePEM has accepted.
func pemMaterial(text []byte) (any, error) {
	block, rest := pem.Decode(text)
	if block != nil && block.Type == "EC PARAMETERS" {
		block, _ = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	switch block.Type {
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

func importJWKS(text []byte, options ImportOptions) ([]keyfile.Key, error) {
	checked, err := keys.ParseJWKS(text)
	if err != nil {
		return nil, err
	}
	if options.Algorithm != "" || options.ID != "" && len(checked) > 1 {
		return nil, errors.New("a JWK has its algorithm and its id: leave out --algorithm, and --kid for several keys")
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("the JWK set cannot be read")
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{text}
	}
	var imported []keyfile.Key
	for _, raw := range set.Keys {
		var jwk gojose.JSONWebKey
		if err := jwk.UnmarshalJSON(raw); err != nil || jwk.Use == "enc" {
			continue // ParseJWKS has left it out
		}
		if len(imported) == len(checked) {
			return nil, errors.New("the JWK set has keys that are not for signatures: remove them")
		}
		key := checked[len(imported)]
		id := key.ID()
		if options.ID != "" {
			id = options.ID
		}
		converted, err := keyfile.NewKey(id, string(key.Algorithm()), jwk.Key)
		if err != nil {
			return nil, err
		}
		imported = append(imported, converted)
	}
	if len(imported) != len(checked) {
		return nil, errors.New("the JWK set has keys that are not for signatures: remove them")
	}
	return imported, nil
}

// JWKS returns the public keys as a JWK set. Symmetric keys are left out.
func (f *KeyFile) JWKS() ([]byte, error) {
	var public gojose.JSONWebKeySet
	for _, key := range f.Set.Keys {
		jwk, err := key.JWK()
		if err != nil {
			return nil, err
		}
		if _, secret := jwk.Key.([]byte); secret {
			continue
		}
		public.Keys = append(public.Keys, gojose.JSONWebKey{Key: jwk.Public().Key, KeyID: key.ID, Algorithm: key.Algorithm, Use: "sig"})
	}
	if len(public.Keys) == 0 {
		return nil, errors.New("all keys are symmetric: who verifies with them can sign, so they must not be published")
	}
	text, err := json.MarshalIndent(public, "", "  ")
	if err != nil {
		return nil, errors.New("the key set cannot be written")
	}
	return append(text, '\n'), nil
}

// ReadKeys returns the keys of a file: a key file, or the JWK set of somebody else.
func ReadKeys(path string) (*keys.Set, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set, err := keySetOf(text)
	if err != nil {
		return nil, fmt.Errorf("the keys in %s: %w", path, err)
	}
	return set, nil
}

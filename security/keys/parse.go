package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oapi-guard/oapi-guard/internal/jose"
)

// ParsePEM makes a key from one PEM block: a private key in PKCS #8, PKCS #1 or SEC 1, or a public
// key in SPKI or PKCS #1. An RSA key needs the algorithm, because it fits several. For other keys
// the algorithm may be empty; if it is given it must be that of the key. An encrypted block is an
// error: decrypt it first.
func ParsePEM(algorithm Algorithm, text []byte, options ...Option) (*Key, error) {
	block, rest := pem.Decode(text)
	if block != nil && block.Type == "EC PARAMETERS" { // openssl writes them in front of the key
		block, rest = pem.Decode(rest)
	}
	switch {
	case block == nil:
		return nil, errors.New("keys: no PEM block")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("keys: more than one key in the PEM text")
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, errors.New("keys: the private key is encrypted; decrypt it first: openssl pkey -in key.pem -out plain.pem")
	}
	var material any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		material, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		material, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		material, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		material, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		material, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("keys: a PEM block of type %q holds no key; PRIVATE KEY and PUBLIC KEY do", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("keys: the PEM block of type %q cannot be read", block.Type)
	}
	return newKeyOf(algorithm, material, options)
}

// newKeyOf makes a key of any kind. Only RSA and symmetric keys need the algorithm; if it is given
// it must fit.
func newKeyOf(algorithm Algorithm, material any, options []Option) (*Key, error) {
	var key *Key
	var err error
	switch material := material.(type) {
	case []byte:
		return NewHMAC(algorithm, material, options...)
	case *rsa.PrivateKey:
		return NewRSA(algorithm, material, options...)
	case *rsa.PublicKey:
		return NewRSAPublic(algorithm, material, options...)
	case *ecdsa.PrivateKey:
		key, err = NewECDSA(material, options...)
	case *ecdsa.PublicKey:
		key, err = NewECDSAPublic(material, options...)
	case ed25519.PrivateKey:
		key, err = NewEd25519(material, options...)
	case ed25519.PublicKey:
		key, err = NewEd25519Public(material, options...)
	default:
		return nil, errors.New("keys: the kind of the key is not supported: use RSA, ECDSA or Ed25519")
	}
	if err == nil && algorithm != "" && algorithm != key.algorithm {
		return nil, fmt.Errorf("keys: the key is for %s, not for %s", key.algorithm, algorithm)
	}
	return key, err
}

// ParseJWKS makes the keys of the application's JWK set (RFC 7517, section 5) or of a single JWK,
// private and symmetric keys included. They have the order of the text: a [Set] signs with the
// first that can. Keys for encryption and of unknown kinds are left out, as the RFC asks. A key of
// a known kind that cannot be used is an error. A symmetric key needs its "alg"; an RSA key without
// "alg" is for RS256.
func ParseJWKS(text []byte) ([]*Key, error) {
	values, err := jwkValues(text, strict)
	if err != nil {
		return nil, err
	}
	var keys []*Key
	for i, value := range values {
		key, err := parseJWK(value)
		if err != nil {
			return nil, fmt.Errorf("keys: key %d of the JWK set: %w", i+1, err)
		}
		if key != nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errNoSignatureKey
	}
	return keys, nil
}

// Skipped is a key of a JWK set that was left out.
type Skipped struct {
	// ID is its key id, or "".
	ID string
	// Reason says why, in fixed words.
	Reason string
}

// ParsePublicJWKS makes the keys of the JWK set of somebody else, such as an identity provider. As
// RFC 7517, section 5, asks, it skips a key that it cannot use, and returns the reason. Two keys may
// have the same id. A private or symmetric key is an error, because a published key is not a secret
// any more: a key with a member d, k, p, q or oth, even if that is null.
func ParsePublicJWKS(text []byte) ([]*Key, []Skipped, error) {
	values, err := jwkValues(text, lenient)
	if err != nil {
		return nil, nil, err
	}
	var keys []*Key
	var skipped []Skipped
	for i, value := range values {
		var known jwkMembers
		if err := json.Unmarshal(value, &known, lenient); err != nil {
			skipped = append(skipped, Skipped{"", notStrict})
			continue
		}
		if known.isSecret() {
			return nil, nil, fmt.Errorf("keys: key %d of the JWK set is private or symmetric, which a published set must not contain", i+1)
		}
		if !value.IsValid() {
			skipped = append(skipped, Skipped{known.keyID(), notStrict})
			continue
		}
		key, err := parseJWK(value)
		switch {
		case err != nil:
			skipped = append(skipped, Skipped{known.keyID(), "the key is damaged, too weak or of an unknown algorithm"})
		case key == nil:
			skipped = append(skipped, Skipped{known.keyID(), "the key is not for signatures, or of an unknown kind"})
		default:
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, skipped, errNoSignatureKey
	}
	return keys, skipped, nil
}

var errNoSignatureKey = errors.New("keys: the JWK set has no key for signatures")

// jwkMembers are the members that tell whether a JWK is a secret (RFC 7518, section 6), whether or
// not the rest of it can be read.
type jwkMembers struct {
	ID jsontext.Value `json:"kid"`
	K  jsontext.Value `json:"k"`
	D  jsontext.Value `json:"d"`
	P  jsontext.Value `json:"p"`
	Q  jsontext.Value `json:"q"`
	O  jsontext.Value `json:"oth"`
}

func (m *jwkMembers) isSecret() bool {
	return m.K != nil || m.D != nil || m.P != nil || m.Q != nil || m.O != nil
}

// keyID returns the key id for a log: at most 64 bytes.
func (m *jwkMembers) keyID() string {
	id, _ := jose.String(m.ID) // "" for a key id that is not a string
	return id[:min(len(id), 64)]
}

// How strict the JSON of a set is inside of its members. One odd key of somebody else must not make
// the others unusable. A member of the set itself is never there twice.
var (
	strict  = jsontext.AllowDuplicateNames(false)
	lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
)

// notStrict is the reason to skip a key that is not strict JSON.
const notStrict = "the key is not a strict JSON object"

var errNotJWKS = errors.New("keys: the JWK set is not strict JSON with a member keys")

// jwkValues returns the keys of a JWK set, or a single JWK.
func jwkValues(text []byte, options json.Options) ([]jsontext.Value, error) {
	members, err := jwksMembers(text, options)
	if err != nil {
		return nil, errNotJWKS
	}
	list, isSet := members["keys"]
	if _, isKey := members["kty"]; isKey {
		if isSet {
			return nil, errors.New("keys: a JWK set with a member kty")
		}
		return []jsontext.Value{text}, nil
	}
	var values []jsontext.Value
	if isSet && json.Unmarshal(list, &values, options) != nil {
		return nil, errNotJWKS
	}
	return values, nil
}

// jwksMembers returns the members of a JSON object, each of which is there once.
func jwksMembers(text []byte, options json.Options) (map[string]jsontext.Value, error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(text), options)
	if begin, err := decoder.ReadToken(); err != nil || begin.Kind() != '{' {
		return nil, errNotJWKS
	}
	members := map[string]jsontext.Value{}
	for decoder.PeekKind() != '}' {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String() // before the next call makes the token void
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		if _, twice := members[name]; twice {
			return nil, errNotJWKS
		}
		members[name] = value.Clone()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errNotJWKS
	}
	return members, nil
}

// isEncryption reports whether a key operation (RFC 7517, section 4.3) is not for signatures.
func isEncryption(operation string) bool {
	return slices.Contains([]string{"encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits"}, operation)
}

// parseJWK returns nil for a key that is not for signatures or of an unknown kind.
func parseJWK(value jsontext.Value) (*Key, error) {
	var jwk gojose.JSONWebKey
	if err := jwk.UnmarshalJSON(value); err != nil {
		if errors.Is(err, gojose.ErrUnsupportedKeyType) {
			return nil, nil
		}
		return nil, errors.New("it cannot be read")
	}
	var more struct {
		Operations []string `json:"key_ops"`
		// Issuer is not registered. Providers with many tenants publish it.
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(value, &more); err != nil {
		return nil, errors.New("its key_ops is not a list of strings, or its issuer not a string")
	}
	if jwk.Use == "enc" || slices.ContainsFunc(more.Operations, isEncryption) {
		return nil, nil
	}
	var options []Option
	if jwk.KeyID != "" {
		options = append(options, WithID(jwk.KeyID))
	}
	if _, isRSA := jwk.Key.(*rsa.PublicKey); isRSA && jwk.Algorithm == "" {
		// Most identity providers that write no alg use RS256, which RFC 9068, section 2.1, asks for.
		jwk.Algorithm = string(RS256)
	}
	if jwk.Algorithm == "Ed25519" { // RFC 9864, section 2.2: the same as EdDSA with this curve
		jwk.Algorithm = string(EdDSA)
	}
	key, err := newKeyOf(Algorithm(jwk.Algorithm), jwk.Key, options)
	if key != nil {
		key.issuer = more.Issuer
	}
	return key, err
}

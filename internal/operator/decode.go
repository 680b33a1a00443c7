package operator

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/jose"
)

// maxToken is the longest text that is decoded.
const maxToken = 64 << 10

// Decoded is a token whose signature was not checked.
type Decoded struct {
	Text           string
	Header, Claims map[string]any
	strictHeader   error
}

// Decode decodes a JWT without checking anything. A line break at the end and the word Bearer in front
// of the token are left out.
func Decode(text string) (*Decoded, error) {
	text = strings.TrimSpace(text)
	if word, rest, found := strings.Cut(text, " "); found && strings.EqualFold(word, "bearer") {
		text = strings.TrimSpace(rest)
	}
	if strings.Count(text, ".") == 4 {
		return nil, errors.New("this is an encrypted token (JWE, five parts): only its recipient can read it")
	}
	cut, err := jose.Cut(text, maxToken)
	if err != nil {
		return nil, fmt.Errorf("this is not a JWT in compact form: %w. A JWT has three parts in base64url with dots between them", err)
	}
	d := &Decoded{Text: text}
	if d.Header, err = decodeObject(cut.Header); err != nil {
		return nil, fmt.Errorf("the header of the token %w", err)
	}
	if d.Claims, err = decodeObject(cut.Payload); err != nil {
		return nil, fmt.Errorf("the payload of the token %w", err)
	}
	_, d.strictHeader = jose.DecodeHeader(cut.Header)
	return d, nil
}

func decodeObject(segment string) (map[string]any, error) {
	text, err := jose.Base64URL.DecodeString(segment)
	if err != nil {
		return nil, errors.New("is not base64url without padding")
	}
	if jose.DeeperThan(text, jose.MaxDepth) {
		return nil, errors.New("is nested too deeply")
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, errors.New("is not a JSON object")
	}
	return object, nil
}

// string returns a claim that is a string, or "".
func (d *Decoded) string(name string) string {
	text, _ := d.Claims[name].(string)
	return text
}

// header returns a member of the header that is a string, or "".
func (d *Decoded) header(name string) string {
	text, _ := d.Header[name].(string)
	return text
}

// time returns a claim that is a NumericDate (RFC 7519, section 2).
func (d *Decoded) time(name string) (time.Time, bool) {
	number, ok := d.Claims[name].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	const last = 253402300799 // the year 9999
	seconds, err := number.Float64()
	if err != nil || math.Abs(seconds) > last {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC(), true
}

// audience returns the claim aud as a list.
func (d *Decoded) audience() []string {
	switch value := d.Claims["aud"].(type) {
	case string:
		return []string{value}
	case []any:
		var list []string
		for _, entry := range value {
			if text, ok := entry.(string); ok {
				list = append(list, text)
			}
		}
		return list
	}
	return nil
}

// tokenType returns the type of token that the header typ names, or "".
func (d *Decoded) tokenType() string {
	typ := jose.MediaType(d.header("typ"))
	switch name, ok := strings.CutSuffix(typ, "+jwt"); {
	case typ == "at+jwt":
		return "access"
	case typ == "rt+jwt":
		return "refresh"
	case ok && strings.HasPrefix(name, "x-"):
		return name[2:]
	}
	return ""
}

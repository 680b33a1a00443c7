package kinopenapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// decoderOf returns the decoder that kin-openapi has for a media type without parameters, or nil.
func decoderOf(kind string) openapi3filter.BodyDecoder {
	decode := openapi3filter.RegisteredBodyDecoder(kind)
	if decode == nil && strings.HasSuffix(kind, "+json") {
		decode = openapi3filter.RegisteredBodyDecoder("application/json")
	}
	if decode == nil {
		decode = openapi3filter.RegisteredBodyDecoder("*/*")
	}
	return decode
}

func encodingOf(content *openapi3.MediaType) openapi3filter.EncodingFn {
	return func(name string) *openapi3.Encoding { return content.Encoding[name] }
}

// isBinary reports whether bodies of the schema are not decoded.
func isBinary(schema *openapi3.SchemaRef) bool {
	return schema.Value.Type.Is(openapi3.TypeString) && schema.Value.Format == "binary"
}

// decoded returns the body as kin-openapi will decode it, or nil if it cannot be decoded.
func decoded(header http.Header, data []byte, body *openapi3.RequestBody) any {
	kind := header.Get("Content-Type")
	content := body.Content.Get(kind)
	if len(data) == 0 || content == nil || content.Schema == nil || isBinary(content.Schema) {
		return nil
	}
	kind, _, _ = strings.Cut(kind, ";")
	decode := decoderOf(strings.ToLower(strings.TrimSpace(kind)))
	if decode == nil {
		return nil
	}
	value, err := decode(bytes.NewReader(data), header, content.Schema, encodingOf(content))
	if err != nil {
		return nil
	}
	return value
}

// maxDigits limits the digits of a number, and its exponent. No float64 needs more.
const maxDigits = 400

// hugeNumber returns the path to a number that would take the checks of OpenAPI 3.1 seconds. They
// calculate exactly, and a number of eleven characters can have a million digits.
func hugeNumber(value any) (path []string, huge bool) {
	switch value := value.(type) {
	case json.Number:
		mantissa, exponent := string(value), ""
		if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
			mantissa, exponent = mantissa[:i], mantissa[i+1:]
		}
		power, _ := strconv.Atoi(exponent) // out of range: the largest or the smallest int
		return nil, len(mantissa) > maxDigits || power < -maxDigits || power > maxDigits
	case []any:
		for i, item := range value {
			if path, huge = hugeNumber(item); huge {
				return append([]string{strconv.Itoa(i)}, path...), true
			}
		}
	case map[string]any:
		for name, item := range value {
			if path, huge = hugeNumber(item); huge {
				return append([]string{name}, path...), true
			}
		}
	}
	return nil, false
}

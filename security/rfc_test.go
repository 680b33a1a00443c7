package security

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/jose"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// Tokens of RFC 7515, appendix A, in the line breaks of the RFC, and their keys. The keys have
// neither kid nor alg. The key of A.1 got an alg, because a symmetric key needs one.
const (
	rfcPayload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	rfcClaims  = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"

	// A.1 is also the token of RFC 7519, section 3.1.
	rfcA1 = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + rfcPayload + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfcA2 = "eyJhbGciOiJSUzI1NiJ9." + rfcPayload + "." +
		"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7" +
		"AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4" +
		"BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K" +
		"0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv" +
		"hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB" +
		"p0igcN_IoypGlUPQGe77Rw"
	rfcA3 = "eyJhbGciOiJFUzI1NiJ9." + rfcPayload + "." +
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	rfcA4 = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA." +
		"AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZq" +
		"wqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8Kp" +
		"EHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
	rfcA5 = "eyJhbGciOiJub25lIn0." + rfcPayload + "."

	rfcSecret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
	rfcKeyA1  = `{"kty":"oct","alg":"HS256","k":"` + rfcSecret + `"}`
	rfcKeyA2  = `{"kty":"RSA","e":"AQAB","n":"` +
		"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp" +
		"-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOW" +
		"vG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs" +
		"LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9k" +
		"G4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2" +
		`PAcDTW9gb54h4FRWyuXpoQ"}`
	rfcKeyA3 = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
		`"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	rfcKeyA4 = `{"kty":"EC","crv":"P-521",` +
		`"x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",` +
		`"y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}`
)

// rfcVerifier verifies tokens of the issuer joe. Its clock is a minute before the token of the RFC
// expires.
func rfcVerifier(t *testing.T, jwks ...string) *Verifier {
	t.Helper()
	parsed := must(keys.ParseJWKS([]byte(`{"keys":[` + strings.Join(jwks, ",") + `]}`)))(t)
	now := time.Unix(1300819380-60, 0)
	return must(NewVerifier("joe", must(keys.NewSet(parsed...))(t), WithClock(func() time.Time { return now })))(t)
}

// TestRFC7515 has the examples of RFC 7515, appendix A. The signatures of A.1 to A.4 are valid, and
// with another first letter they are not. No example is a token for an API. All keys are in one set
// without key ids, so that alg alone finds the key.
func TestRFC7515(t *testing.T) {
	v := rfcVerifier(t, rfcKeyA1, rfcKeyA2, rfcKeyA3, rfcKeyA4)
	for _, tt := range []struct {
		name, text, payload, typ string
		reason                   string // of the refusal
	}{
		{name: "A.1, and RFC 7519, 3.1: HS256", text: rfcA1, payload: rfcClaims, typ: "jwt", reason: "no iat"},
		{name: "A.2: RS256", text: rfcA2, payload: rfcClaims, reason: "no iat"},
		{name: "A.3: ES256", text: rfcA3, payload: rfcClaims, reason: "no iat"},
		{name: "A.4: ES512", text: rfcA4, payload: "Payload", reason: "the payload is not strict JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opened, err := v.open(t.Context(), tt.text, new([]byte))
			if err != nil || string(opened.content) != tt.payload || opened.header.Type != tt.typ {
				t.Errorf("%q, typ %q, %v; want %q, typ %q", opened.content, opened.header.Type, err, tt.payload, tt.typ)
			}
			if err := second(v.verify(t, tt.text, accessToken)); !refusedFor(err, ErrInvalidToken, tt.reason) {
				t.Errorf("as a token: %v; want: %s", err, tt.reason)
			}
			changed := []byte(tt.text)
			changed[strings.LastIndexByte(tt.text, '.')+1] = 'Q' // no signature begins with Q
			if _, err := v.open(t.Context(), string(changed), new([]byte)); !refusedFor(err, ErrInvalidToken, "the signature") {
				t.Errorf("with another signature: %v", err)
			}
		})
	}
	t.Run("A.5: unsecured", func(t *testing.T) {
		if _, err := v.open(t.Context(), rfcA5, new([]byte)); !refusedFor(err, ErrInvalidToken, "an empty segment") {
			t.Errorf("%v", err)
		}
		if _, err := v.open(t.Context(), rfcA5+"AA", new([]byte)); !refusedFor(err, ErrInvalidToken, "no key for the key id and the algorithm of the token") {
			t.Errorf("with a signature: %v", err)
		}
	})
}

// TestRFC7519 adds to the token of RFC 7519, section 3.1, one claim after the other that a verifier
// asks for, until it is an access token.
func TestRFC7519(t *testing.T) {
	v := rfcVerifier(t, rfcKeyA1)
	secret := must(jose.Base64URL.DecodeString(rfcSecret))(t)
	head, body := "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}", strings.TrimSuffix(rfcClaims, "}")
	typed := strings.Replace(head, "JWT", "at+jwt", 1)
	for _, tt := range []struct {
		add    string
		want   *Error
		reason string
	}{
		{``, ErrInvalidToken, "no iat"},
		{`,"iat":1300819300`, ErrInvalidToken, "another audience"},
		{`,"aud":"joe"`, ErrInvalidToken, "no subject"},
		{`,"sub":"alice"`, ErrInvalidToken, "no id"},
	} {
		body += tt.add
		if err := second(v.verify(t, signRFC(secret, typed, body+"}"), accessToken)); !refusedFor(err, tt.want, tt.reason) {
			t.Errorf("with %s: %v; want: %s", body, err, tt.reason)
		}
	}
	body += `,"jti":"id1"`
	if err := second(v.verify(t, signRFC(secret, head, body+"}"), accessToken)); !refusedFor(err, ErrWrongTokenType, "the type of the token") {
		t.Errorf("with the type of the example: %v", err)
	}
	if text := signRFC(secret, head, rfcClaims); text != rfcA1 {
		t.Errorf("signRFC writes %s for the token of the RFC", text)
	}
	if _, err := v.verify(t, signRFC(secret, typed, body+"}"), accessToken); err != nil {
		t.Errorf("with all claims: %v", err)
	}
}

func signRFC(secret []byte, head, body string) string {
	signed := jose.Base64URL.EncodeToString([]byte(head)) + "." + jose.Base64URL.EncodeToString([]byte(body))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + jose.Base64URL.EncodeToString(mac.Sum(nil))
}

// refusedFor reports whether err is the sentinel with the reason.
func refusedFor(err error, sentinel *Error, reason string) bool {
	var r *reasonedError
	return errors.As(err, &r) && r.sentinel == sentinel && r.reason == reason
}

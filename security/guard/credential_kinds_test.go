package guard

import (
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// TestCredentialKinds has each kind of credential, and each way to refuse one.
func TestCredentialKinds(t *testing.T) {
	c := newCredentialFixture(t)
	c.run(t, []credentialCase{
		{name: "basic", requirement: Requirement{{basicScheme}}, changes: []change{withBasic("alice")}, status: 200, who: "basic:alice"},
		{
			name: "basic, word in lower case", requirement: Requirement{{basicScheme}},
			changes: []change{withAuthorization("basic " + basicAuthorization("alice:pass:word")[6:])}, status: 200, who: "basic:alice",
		},
		{name: "basic, none", requirement: Requirement{{basicScheme}}, status: 401, challenges: []string{basicChallenge}},
		{
			name: "basic, wrong", requirement: Requirement{{basicScheme}}, changes: []change{withBasic("carol")},
			status: 401, challenges: []string{basicChallenge},
		},
		{
			name: "basic, not base64", requirement: Requirement{{basicScheme}},
			changes: []change{withAuthorization("Basic YTp-")}, status: 401, challenges: []string{basicChallenge},
		},
		{
			name: "basic, no colon", requirement: Requirement{{basicScheme}},
			changes: []change{withAuthorization(basicAuthorization("alice"))}, status: 401, challenges: []string{basicChallenge},
		},
		{
			name: "basic, a control character", requirement: Requirement{{basicScheme}},
			changes: []change{withAuthorization(basicAuthorization("al\x00ice:pass:word"))}, status: 401,
			challenges: []string{basicChallenge},
		},
		{name: "basic, word alone", requirement: Requirement{{basicScheme}}, changes: []change{withAuthorization("Basic")}, status: 400},
		{name: "basic, denied", requirement: Requirement{{basicScheme}}, changes: []change{withBasic("denied")}, status: 403},
		{name: "basic, unavailable", requirement: Requirement{{basicScheme}}, changes: []change{withBasic("down")}, status: 503},
		{
			name: "basic, neither caller nor error", requirement: Requirement{{basicScheme}},
			changes: []change{withBasic("nobody")}, status: 500,
		},
		{name: "key", requirement: Requirement{{keyScheme}}, changes: []change{field("X-API-Key", "alice")}, status: 200, who: "key:alice"},
		{
			name: "key, wrong", requirement: Requirement{{keyScheme}}, changes: []change{field("X-API-Key", "x y")},
			status: 401, challenges: []string{keyChallenge},
		},
		{name: "key, empty", requirement: Requirement{{keyScheme}}, changes: []change{field("X-API-Key", "")}, status: 401, challenges: []string{keyChallenge}},
		{name: "key, a space", requirement: Requirement{{keyScheme}}, changes: []change{field("X-API-Key", " ")}, status: 401, challenges: []string{keyChallenge}},
		{name: "key in Authorization", requirement: Requirement{{plainKeyScheme}}, changes: []change{withAuthorization("alice")}, status: 200, who: "plainKey:alice"},
		{name: "key in Authorization, a token", requirement: Requirement{{plainKeyScheme}}, changes: []change{withAuthorization("bearer alice")}, status: 401},
		{name: "key in Authorization, a password", requirement: Requirement{{plainKeyScheme}}, changes: []change{withBasic("alice")}, status: 401},
		{
			name: "key in Authorization, the key of another scheme", requirement: Requirement{{plainKeyScheme}, {wordKeyScheme}},
			changes: []change{withAuthorization("Word alice")}, status: 200, who: "wordKey:alice",
		},
		{name: "key, twice", requirement: Requirement{{keyScheme}}, changes: []change{field("X-API-Key", "alice", "alice")}, status: 400},
		{
			name: "key, long", requirement: Requirement{{keyScheme}},
			changes: []change{field("X-API-Key", "alice"+strings.Repeat("_", security.DefaultMaxTokenSize-5))},
			status:  200, who: "key:alice",
		},
		{
			name: "key, too long", requirement: Requirement{{keyScheme}},
			changes: []change{field("X-API-Key", "alice"+strings.Repeat("_", security.DefaultMaxTokenSize-4))},
			status:  401, challenges: []string{keyChallenge},
		},
		{
			name: "key, in another place", requirement: Requirement{{keyScheme}}, changes: []change{aQuery("key=alice")},
			status: 401, challenges: []string{keyChallenge},
		},
		{
			name: "key in the query", requirement: Requirement{{keyQueryScheme}}, changes: []change{aQuery("key=alice")},
			status: 200, who: "keyQuery:alice",
		},
		{
			name: "key in the query, twice", requirement: Requirement{{keyQueryScheme}},
			changes: []change{aQuery("key=alice&key=bob")}, status: 400,
		},
		{
			name: "opaque", requirement: Requirement{{opaqueScheme}}, changes: []change{withAuthorization("Bearer alice")},
			status: 200, who: "opaque:alice",
		},
		{
			name: "opaque, wrong", requirement: Requirement{{opaqueScheme}}, changes: []change{withAuthorization("Bearer x")},
			status: 401, challenges: []string{opaqueNotValid},
		},
		{
			name: "opaque, two", requirement: Requirement{{opaqueScheme}},
			changes: []change{withAuthorization("Bearer alice alice")}, status: 400,
		},
		{
			name: "digest", requirement: Requirement{{digestScheme}},
			changes: []change{withAuthorization(`Digest username="alice", qop=auth`)}, status: 200, who: "digest:alice",
		},
		{
			name: "digest, wrong", requirement: Requirement{{digestScheme}},
			changes: []change{withAuthorization(`Digest username="x", qop=auth`)}, status: 401,
			challenges: []string{`Digest realm="api"`},
		},
		{
			name: "certificate", requirement: Requirement{{certificateScheme}},
			changes: []change{aCertificate("alice", true)}, status: 200, who: "mtls:alice",
		},
		{
			name: "certificate, not verified", requirement: Requirement{{certificateScheme}},
			changes: []change{aCertificate("alice", false)}, status: 401,
			challenges: []string{`ClientCertificate realm="api"`},
		},
		{
			name: "certificate, in a header", requirement: Requirement{{certificateScheme}},
			changes: []change{field("X-Forwarded-Client-Cert", "alice")}, status: 401,
			challenges: []string{`ClientCertificate realm="api"`},
		},
		{
			name: "certificate, unknown", requirement: Requirement{{certificateScheme}},
			changes: []change{aCertificate("x", true)}, status: 401, challenges: []string{`ClientCertificate realm="api"`},
		},
	})
}

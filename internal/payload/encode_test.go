package payload

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestEncodeRefusesPrivateClaims encodes private claims whose names are taken. No private claim may
// stand in for a known claim or for a public one.
func TestEncodeRefusesPrivateClaims(t *testing.T) {
	names := Names{Namespace: "https://claims.example/"}
	for _, tt := range []struct {
		name    string
		names   Names
		private string
		// claim is the claim that is written, or "" where the private claims are refused.
		claim string
	}{
		{name: "a free name", names: names, private: `{"team":1}`, claim: "team"},
		{name: "the host of the namespace without its slash", names: names, private: `{"https://claims.example":1}`, claim: "https://claims.example"},
		{name: "a name in the public namespace", names: names, private: `{"https://claims.example/role":1}`},
		{name: "the public namespace itself", names: names, private: `{"https://claims.example/":1}`},
		{name: "a name in the public namespace, escaped", names: names, private: `{"https:\/\/claims.example\/role":1}`},
		{name: "the same name without a namespace", private: `{"https://claims.example/role":1}`, claim: "https://claims.example/role"},
		{name: "a reserved name", names: names, private: `{"sub":"admin"}`},
		{name: "a reserved name in another case", names: names, private: `{"Sub":"admin"}`},
		{name: "a name of the layout", names: names, private: `{"kind":1}`},
		{name: "a reserved name behind a prefix", names: Names{Prefix: "app_"}, private: `{"sub":"x"}`, claim: "app_sub"},
		{name: "a prefix that completes a reserved name", names: Names{Prefix: "auth_"}, private: `{"time":1}`},
		{name: "not an object", names: names, private: `[1]`},
		{name: "a duplicate name", names: names, private: `{"team":1,"team":2}`},
		{name: "two objects", names: names, private: `{"team":1}{}`},
		{name: "too deep", names: names, private: `{"team":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`},
		{name: "as deep as allowed", names: names, private: `{"team":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, claim: "team"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := &Claims{Issuer: "i", Subject: "alice"}
			text, err := Encode(claims, tt.names, []byte(tt.private), []string{"kind"}, func(*Writer) {})
			if tt.claim == "" {
				if err == nil {
					t.Errorf("accepted: %s", text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var members map[string]any
			if err := json.Unmarshal(text, &members); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if _, ok := members[tt.claim]; !ok || len(members) != 3 || members["sub"] != "alice" {
				t.Errorf("claims %v, want iss, sub and %s", members, tt.claim)
			}
		})
	}
}

package blacklisttest

import (
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

const (
	templateText = "https://login.example/{tenant}/v2.0"
	tenantA      = "https://login.example/a/v2.0"
	tenantB      = "https://login.example/b/v2.0"
)

// ofTenant returns the identity of a token that a verifier of the template accepted. Tokens of two
// tenants with the same name have the same ids.
func (h *harness) ofTenant(tenant, name string) blacklist.Identity {
	id := h.id(name)
	id.Issuer, id.Template = tenant, templateText
	return id
}

// templateIDs revokes a token, a session and a subject of one issuer of a template.
func templateIDs(h *harness) {
	for _, tt := range []struct {
		name   string
		revoke func(id blacklist.Identity) blacklist.Revocation
	}{
		{name: "token", revoke: func(id blacklist.Identity) blacklist.Revocation { return blacklist.OfToken(id, h.after(long)) }},
		{name: "session", revoke: func(id blacklist.Identity) blacklist.Revocation { return blacklist.OfSession(id, h.after(long)) }},
		{name: "subject", revoke: func(id blacklist.Identity) blacklist.Revocation {
			return blacklist.OfSubject(id.Issuer, id.Subject, h.base, h.after(long))
		}},
	} {
		a, b := h.ofTenant(tenantA, tt.name), h.ofTenant(tenantB, tt.name)
		h.revoke(tt.revoke(a), false)
		h.expectRevoked("of the revoked "+tt.name, a)
		h.expectNotRevoked("the same ids of another issuer of the template, revoked as "+tt.name, b)
		h.revoke(tt.revoke(b), false)
		h.expectRevoked("of the revoked "+tt.name+" of the other issuer", b)

		// The issuer decides, not the verifier: one that accepts the tenant only agrees with one that
		// accepts all tenants.
		plain := a
		plain.Template = ""
		h.expectRevoked("the same "+tt.name+", accepted by a verifier without a template", plain)
		h.revoke(tt.revoke(plain), true)
		plain.Issuer = templateText
		h.expectNotRevoked("the same ids of an issuer with the text of the template, revoked as "+tt.name, plain)
	}
}

// templateCutOff cuts off a template, and then one of its issuers.
func templateCutOff(h *harness) {
	a, b, cutOff := h.ofTenant(tenantA, "a"), h.ofTenant(tenantB, "b"), h.base.Add(time.Minute)
	plain := a
	plain.Template = ""
	sameText := plain
	sameText.Issuer = templateText
	other := a
	other.Template = "https://login.example/{tenant}/v1.0"

	h.revoke(blacklist.OfIssuer(tenantA, h.base, h.after(long)), false)
	h.expectRevoked("of the issuer that was cut off", plain)
	h.expectNotRevoked("of a template, one issuer of which was cut off", a)

	h.revoke(blacklist.OfIssuer(templateText, cutOff, h.after(long)), false)
	for _, id := range []blacklist.Identity{a, b, sameText} {
		h.expectRevoked("of the template, begun before the cut-off", begunAt(id, cutOff.Add(-time.Millisecond)))
		h.expectRevoked("of the template, begun at the cut-off", begunAt(id, cutOff))
		h.expectNotRevoked("of the template, begun a millisecond after the cut-off", begunAt(id, cutOff.Add(time.Millisecond)))
	}
	h.expectNotRevoked("of an issuer of the template, accepted by a verifier without a template", begunAt(plain, cutOff))
	h.expectNotRevoked("of another template", begunAt(other, cutOff))
	noIDs := blacklist.Identity{Issuer: tenantB, Template: templateText, SessionStart: cutOff}
	h.expectRevoked("without ids, of the template", noIDs)

	// A revocation that is made from the identity of a token has the same effect.
	for _, id := range []blacklist.Identity{a, b, {Template: templateText}} {
		h.revoke(blacklist.Revocation{Kind: blacklist.Issuer, Identity: id, CutOff: cutOff, Until: h.after(long)}, true)
	}
}

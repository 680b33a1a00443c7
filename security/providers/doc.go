// Package providers verifies the tokens of well-known identity providers: one call for each. The
// call knows the issuer, the address of the keys, the type of the tokens, and where they have the
// audience, the subject, the roles and the ids.
//
//	auth0, err := providers.Auth0(ctx, "tenant.eu.auth0.com", "https://api.example.com")
//	...
//	defer auth0.Close()
//	authority, err := security.New(issuer, keySet, list, security.WithVerifier(auth0.Verifier))
//
// # What each call checks
//
// The audience, or the client where the provider writes no audience, is an argument: a token for
// another API is refused. A token of another type is refused with security.ErrWrongTokenType, an ID
// token in place of an access token for example. The doc comment of each call states what tells the
// types apart, and where nothing reliable does. A token with the claim events is refused by all: it
// is a logout token or another security event (RFC 8417).
//
// The arguments are checked before anything is fetched. A name with a scheme or a slash too many is
// an error that shows the right form.
//
// # Options
//
// [WithVerifierOptions], [WithLayoutOptions] and [WithRemoteOptions] pass options on. They are
// applied after those of the preset, and replace them. The name of the verifier is that of the
// preset, such as "auth0"; another one is WithVerifierOptions(security.WithName("corporate")).
// [WithClaim] demands a value of a claim. [WithKeys] takes the keys from the application, without
// any request, for tests and for private keys of a provider.
//
// # Other providers
//
// [Open] does the same for a [Config], the description of a provider. The calls of this package are
// no more than that.
//
// # Revocation
//
// A provider does not ask the blacklist of this application, and a signed token is valid until it
// expires. So a revocation here refuses the token here, and the provider may issue another one. A
// token without an id cannot be revoked by itself; its session or its subject can.
//
// # Facts
//
// The doc comments give facts about the tokens of each provider with their source, as of November
// 2026. A source is a document or the path of a file in the provider's repository. Providers
// change: compare with a token of yours.
package providers

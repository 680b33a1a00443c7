// Package guard decides over requests: where a credential is, which alternative of the document
// counts, origin and CSRF, the rules of the operation, and the response. Generated code calls it. It
// stands on package security, which decides over tokens.
//
// # Set up
//
// GuardedHandler and RegisterGuardedHandlers of generated code take a security.Validator and
// options of this package. The long forms take a [Policy], made by [New].
//
// # The order of checks
//
// A guard runs before parameters are bound, and reads no byte of the body before it has decided;
// the one exception is the form of a scheme with x-guard: {csrf: form}, after the blacklist. Its
// steps, by the names that the code, the documentation and the tests use:
//
//   - locate: read the credential at each place of the operation's schemes
//   - refuse conflicts: a token in the query beside another token
//   - alternatives: try each complete alternative in document order; the first that holds wins
//   - verify: security.Verifier.Verify for a token, the authenticator for another credential
//   - origin and CSRF: for credentials that browsers send by themselves, on requests that may change
//     something
//   - revocation: security.Validator.CheckRevoked
//   - rules: freshness, roles and scopes
//   - hook: security.Validator.RunHook
//
// An empty value is no credential. The same header or query parameter twice is malformed, and so is a
// token in the query beside another one, unless an alternative needs both. If a cookie comes several
// times, the tokens that verify must belong to one session. A plain key in the header Authorization
// is no credential of another authentication scheme, such as Bearer. Where a header and a cookie may
// carry the same type of token, a header that is present decides alone.
//
// # Alternatives
//
// A requirement has alternatives. Each has one scheme, or several that must hold together. The
// operation sees the credentials of the accepted alternative and no others. If none is accepted, a
// malformed request is answered 400, an unavailable decision 503, otherwise the first complete
// alternative decides, and a request without a complete one is answered 401 with every challenge.
// Scopes and roles of a requirement are for one scheme. The rules of the operation are for every
// credential. Two tokens in one request must have the same subject, unless the policy has
// [WithDifferentSubjects].
//
// An optional operation is anonymous only if the request has no credential at all. A bad token is
// refused there too.
//
// # Credentials that are not JWTs
//
// The application resolves a name and a password, an API key, an opaque token and a client
// certificate. Generated code asks for an Authenticator with a method for each scheme, and passes
// the [Caller] to the handler. Its scopes, roles and time of authentication are checked as the
// claims of a token are. A certificate counts only if the TLS server has verified it; no header of
// a proxy is read without [WithForwardedCertificate].
//
// # Responses
//
// A refused request is answered with a fixed text for each sentinel error of package security, as
// application/problem+json (RFC 9457), with the challenges of RFC 6750 and RFC 9470. An
// [ErrorHandler] may replace the response.
package guard

// Package keys holds the keys that sign and verify tokens. It knows JOSE headers and signatures; it
// knows no claims, no requests and nothing of package security.
//
// Make a [Key] with [NewHMAC], [NewRSA], [NewECDSA], [NewEd25519] or one of their public variants;
// read one with [ParsePEM] or [ParseJWKS]; or sign through a key management service with
// [NewSigner]. A key is bound to one algorithm, and a token never chooses it. Keys have the sizes
// of RFC 7518. golang-jwt and the standard library make and check the signatures.
//
// Put the keys into a [Set]. Give a verifier the set itself, or a [Rotation] that replaces it while
// the application runs, or a [Remote] that fetches the keys of somebody else. All of them are a
// [Source], and so is a type of the application with the method VerificationKeys.
//
// Keys, sets and remote sets print and log without key material. No encoder writes a key.
package keys

// Package securitytest is the test kit of applications: tokens for tests, and the matrix of who may
// call what.
//
//	fixture := securitytest.New(t) // keys, issuer, validator, stores and a clock in memory
//
//	// A token for a handler, and the text of one for a request.
//	token := securitytest.Token[gen.AccessToken](t, "ann", securitytest.Roles("ADMIN"))
//	text := fixture.Text(gen.AccessToken{}.TokenType(), "ann", securitytest.Expired)
//
//	// Every operation, every credential.
//	table := fixture.Matrix(t, gen.GuardedOperations(), mount)
//	table.Golden(t, "testdata/matrix.txt")
//
// # Tokens
//
// Every token is issued by a real issuer and verified by a real verifier, with keys that are made
// for the test. Nothing here skips a check, and the zero token stays refused. A defect, such as
// [Expired], is checked too: if the verifier accepts the token nevertheless, the test fails.
//
// # Matrix
//
// [Fixture.Matrix] asks every operation of the document, with no credential, with each kind of bad
// one, and with one for each alternative, with and without each scope, role and freshness. What it
// expects comes from the table of operations that generated code exports, and not from the guards.
// It records a request between the guard and the parameters, so no handler runs. See [Mount].
//
// Only tests may import this package.
package securitytest

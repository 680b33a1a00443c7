//go:build ignore

package security

// GeneratedCodeVersion1 is named by generated code, so that code and package fit each other or do not compile.
//
// If the compiler says that it is undefined, package security is older than the generator: update
// github.com/oapi-guard/oapi-guard in go.mod. If it says so of a lower version, the generated code is too old: generate it
// anew.
const GeneratedCodeVersion1 = true

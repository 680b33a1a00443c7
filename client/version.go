package client

// GeneratedCodeVersion1 is named by generated code, so that the code and this package fit each other
// or do not compile.
//
// If the compiler says that it is undefined, this package is older than the generator: update
// github.com/oapi-guard/oapi-guard in go.mod. If it says so of a lower version, the generated code is
// too old: run the generator again.
const GeneratedCodeVersion1 = true

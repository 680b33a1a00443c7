// Package kinopenapi checks requests against the OpenAPI document with kin-openapi, which package
// security does not need.
//
// [NewSchemaValidator] makes a validator for [guard.WithSchemaValidator]. The guarded handler then
// checks the parameters and the body of each request after its guard has accepted it, against the
// operation that the router chose. A request that differs from the document is answered with a
// problem (RFC 9457) that names locations and rules, and no value of the request.
//
// [AuthenticationFunc] is for applications that already run a validator of requests, such as
// openapi3filter or nethttp-middleware. Such a validator routes requests itself and calls a function
// for each security scheme. The function returns the decisions of the guards. Where routes can be
// guarded, guard the routes instead.
//
// docs/request-validation.md says which to choose, and which parts of a document kin-openapi does
// not check.
package kinopenapi

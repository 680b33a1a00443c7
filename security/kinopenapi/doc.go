// Package kinopenapi checks requests against the OpenAPI document with kin-openapi, which package security itself does not need.
//
// [NewSchemaValidator] is for [guard.WithSchemaValidator]: the guarded handler then checks the parameters and the body of each request
// after its guard has let it pass, against the very operation that the router chose, and answers what differs with a problem (RFC 9457) that
// names places and rules but no value of the request.
//
// [AuthenticationFunc] is for those who run a validator of requests already, such as openapi3filter or nethttp-middleware, which routes
// requests itself and asks a function for each security scheme. It gives them the decisions of the guards. Where routes can be guarded, guard
// the routes instead.
//
// docs/request-validation.md says which to choose, and what a document can say that kin-openapi does not check.
package kinopenapi

// Package design is the API of the benchmarks in goa's language.
package design

//lint:ignore ST1001 this is how designs are written
import . "goa.design/goa/v3/dsl"

var _ = API("benchmark", func() {
	Title("Benchmark API")
	Version("1.0.0")
})

// Access is the security scheme of access tokens.
var Access = JWTSecurity("access")

var _ = Service("profiles", func() {
	Error("unauthorized")
	Error("unavailable")
	Method("get", func() {
		Description("Say who the caller is.")
		Security(Access)
		Payload(func() {
			Token("token", String) // not required: a request without one is 401 and not 400
		})
		Result(func() {
			Attribute("name", String)
			Attribute("subject", String)
			Required("name", "subject")
		})
		HTTP(func() {
			GET("/profile")
			Response(StatusOK)
			Response("unauthorized", StatusUnauthorized)
			Response("unavailable", StatusServiceUnavailable)
		})
	})
})

package interop

// pending has the rows that fail until the core is changed, with the reason. A row that has no failure
// any more fails the test: remove it then.
var pending = map[string]string{
	"access token": "the times have milliseconds",
	"access token, the issuer is the audience": "the times have milliseconds",
	"refresh token": "a refresh token has the audience of access tokens",
	"refresh token, the issuer is the audience": "a refresh token has the audience of access tokens",
}

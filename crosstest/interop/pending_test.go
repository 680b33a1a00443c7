package interop

// pending has the rows that fail until the core is changed, with the reason. A row that has no failure
// any more fails the test: remove it then.
var pending = map[string]string{
	"access token": "the times have milliseconds",
	"access token, the issuer is the audience": "the times have milliseconds",
	"refresh token": "a refresh token has the audience of access tokens",
	"refresh token, the issuer is the audience": "a refresh token has the audience of access tokens",
}

// pendingRows has the rows of the other tests that fail until the core is changed. A row that is right
// fails the test: remove it then.
var pendingRows = map[string]string{
	"Flask: no audience though one is set here": "the layout accepts tokens without aud",
	"in Flask: audience on both sides":          "the layout writes no aud",
	"Flask rotation: new key behind":            "a token without kid is tried with one key only",
	"Flask rotation: new key in front":          "a token without kid is tried with one key only",
	"provider: new key, at once":                "a request does not wait for the fetch of a new key",
	"provider down: new key":                    "a request does not wait for the fetch of a new key",
	"provider up again: new key, at once":       "a request does not wait for the fetch of a new key",
	"Sanic: access":                             "jti is no UUID",
	"Sanic: private claims":                     "jti is no UUID",
	"Sanic: fresh":                              "jti is no UUID",
	"Sanic: refresh":                            "jti is no UUID",
	"Sanic: one role":                           "jti is no UUID",
}

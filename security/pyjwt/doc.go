// Package pyjwt lets a Go service take over from a Python service with Flask-JWT-Extended or
// Sanic-JWT-Extended, one token at a time. [Flask] and [Sanic] are layouts for
// security.WithLayout: the service verifies the tokens of the Python service and issues tokens that
// it verifies. [FlaskErrors] and [SanicErrors] keep the statuses and the bodies that the clients know.
package pyjwt

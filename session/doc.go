// Package session keeps sessions: what one log-in began. A refresh token is used once and yields the
// next one; two tabs that refresh at the same time get the same one; a refresh token that is used
// when it should not be ends the session; users see their devices and end their sessions.
package session

// Package session keeps sessions. A session is what one log-in began: its tokens share the claim
// sid. The package answers what users ask of every token library: nobody is logged out because two
// tabs refreshed at the same time, or because a reply was lost; a copied refresh token is noticed;
// users see their devices and end them; a change of the password keeps the caller and ends the rest.
//
//	sessions, err := session.New(authority, store, load)
//
//	attempt, err := sessions.Open(ctx, user.ID)          // before the password is checked
//	pair, err := attempt.Begin(ctx, session.Login{})     // after it
//	pair, err = sessions.Refresh(ctx, token, device)     // with the refresh token
//	err = sessions.End(ctx, token)                       // log out
//
// Code that oapi-guard generates has a typed manager (sessions: true in oapi-guard.yaml).
//
// # Stores
//
// [Memory] is for tests. Packages boltstore, redisstore and sqlstore keep sessions in a file, in
// Redis, in PostgreSQL and in SQLite. Each is a blacklist too: give the same store to the validator,
// and the end of a session and its entry in the blacklist are written together. With two stores the
// entry is written first.
//
// A store keeps one row for each session, of constant size, and each refresh overwrites it. The row
// contains the subject, the device and the claim csrf as they are. It contains no token.
//
// # Refresh tokens
//
// The id of a refresh token (jti) contains its generation: its number within the session, from 1. A
// refresh compares it with the generation of the row:
//
//	presented generation                       result
//	the current one                            the next generation
//	the one before, within the grace           the same refresh token again
//	the one before, later                      reused: the session ends, 401
//	an older one                               reused: the session ends, 401
//	any, if the session is over                401
//
// "The same" is to the byte: the same id and times. The access token beside it is a new one.
//
// The grace is 30 seconds ([WithGrace]), by the clock of the store. Within it a copied refresh token
// works once more: that is its price. A client that uses copied tokens has to repeat each refresh of
// the other client, so a run of repeats from another device is logged, and passed to
// [WithRepeatHook]. WithGrace(0) is RFC 9700, section 4.14.2, to the letter.
//
// An error that wraps security.ErrUnavailable is not a verdict. The client repeats the request with
// the same refresh token, and gets the same next one even after the grace: the manager notes in the
// row that the client may not have it, and tries that for a minute. If the store is away for
// longer than this and than the grace, although it had written the refresh, the repetition counts as
// reuse and the user logs in again.
//
// # Beginning
//
// [Manager.Open] reads what decides whether the log-in is still wanted: the epoch of the subject,
// which rises when many of its sessions are ended, and the cut-offs of the blacklist.
// [Attempt.Begin] compares. If the password was changed between the two, Begin fails with
// security.ErrInvalidCredentials.
//
// A session begins when its attempt was opened, or a millisecond after the newest cut-off if that is
// ahead of the clock. So the tokens of a log-in that succeeded are accepted, also right after a
// change of the password.
//
// # Ending
//
// [Manager.End], [Manager.EndByID], [Manager.EndOthers], [Manager.EndAll] and [Manager.Forget] return
// nil when the tokens are revoked, and an error if they may still be accepted. They continue when
// the context is cancelled.
//
// # Other tokens
//
// A refresh token that was issued without this package has no generation. [WithUnnumberedTokens]
// accepts it once: it becomes generation 0 of its session.
package session

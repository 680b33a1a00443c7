package session

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// Row is a session as stores keep it. Its size does not grow with the number of refreshes. Stores
// compare no field except where their methods say so. Times are whole milliseconds. "Time of the
// store" means [Tx.Now].
type Row struct {
	Subject Subject
	// ID is the session id, the claim sid of its tokens.
	ID string
	// Began is the start of the session in its tokens, by the clock of the issuer.
	Began time.Time
	// End is when the session ends at the latest, in time of the store.
	End time.Time
	// IdleTimeout is how long the session lives without a refresh, or 0. IdleDeadline is when it
	// ends unless it is refreshed, in time of the store; it is never after End.
	IdleTimeout  time.Duration
	IdleDeadline time.Time
	// AccessLifetime is how long access tokens are valid, or 0 for the default of the issuer.
	AccessLifetime time.Duration
	// Epoch is the epoch of the subject when the session began, or when the other sessions of the
	// subject were ended.
	Epoch uint64
	// Generation is the number of the current refresh token, from 1. It never falls.
	Generation uint32
	// IssuedAt and ExpiresAt are the times of the current refresh token, by the clock of the issuer.
	IssuedAt, ExpiresAt time.Time
	// Rotated is when the current refresh token was issued, in time of the store.
	Rotated time.Time
	// Nonce names the call that wrote the current generation, or that ended the session for a reuse.
	Nonce string
	// Unacknowledged is set when the caller of the last rotation got an error: the client may not
	// have the current refresh token.
	Unacknowledged bool
	// Repeats counts consecutive generations that another device than the rotating one repeated.
	// Repeated is set if the current one is among them.
	Repeats  int
	Repeated bool
	// CSRF is the claim csrf of the tokens, or "".
	CSRF string
	// LastSeen is when the session began or was refreshed last, in time of the store.
	LastSeen time.Time
	// ClientID is the claim client_id of the tokens, or "".
	ClientID string
	// Device is the device that began the session or refreshed it last.
	Device Device
	// Ended is when the session was ended, in time of the store, or zero.
	Ended time.Time
	// Reason is why.
	Reason EndReason
	// Owed is set while the blacklist lacks the entry of an ended session.
	Owed bool
}

// EndReason is why a session was ended.
type EndReason string

// Reasons of an end.
const (
	LoggedOut   EndReason = "logged out"
	Reused      EndReason = "refresh token reused"
	Displaced   EndReason = "limit of sessions"
	SubjectGone EndReason = "subject gone"
)

// keepAfterEnd is how long a row stays after its end, longer than any leeway.
const keepAfterEnd = 10 * time.Minute

// IsLive reports whether the session can be refreshed at a time of the store.
func (r Row) IsLive(now time.Time) bool {
	return r.Ended.IsZero() && now.Before(r.End) && now.Before(r.IdleDeadline)
}

// KeepUntil is the time of the store until which the row must stay. An ended row stays as long as
// any other, so that no token of the session makes it anew.
func (r Row) KeepUntil() time.Time { return r.End.Add(keepAfterEnd) }

// Device is what the application knows about the client of a log-in, to show it to the user. All
// fields may be empty.
type Device struct {
	// Name is a name that the user knows, such as "Alice's phone".
	Name string `json:"name,omitempty"`
	// UserAgent is the header User-Agent (RFC 9110, section 10.1.5).
	UserAgent string `json:"user_agent,omitempty"`
	// Address is the address of the client.
	Address string `json:"address,omitempty"`
}

// differs reports whether two uses of a refresh token came from different clients. The name counts for
// nothing, because clients send it with the log-in only. A device about which nothing is known does
// not differ.
func (d Device) differs(other Device) bool {
	return d.UserAgent+d.Address != "" && (d.UserAgent != other.UserAgent || d.Address != other.Address)
}

// after returns the device with what is known from before where it says nothing.
func (d Device) after(before Device) Device {
	if d.UserAgent+d.Address == "" {
		d.UserAgent, d.Address = before.UserAgent, before.Address
	}
	d.Name = cmp.Or(d.Name, before.Name)
	return d
}

// Limits of the texts of a device, in bytes: 1 KiB together.
const (
	maxDeviceName = 256
	maxUserAgent  = 640
	maxAddress    = 128
)

// trimmed returns the device as it is stored: texts that are too long are cut, and what is not UTF-8
// is replaced. A log-in does not fail for the header of a client.
func (d Device) trimmed() Device {
	return Device{trim(d.Name, maxDeviceName), trim(d.UserAgent, maxUserAgent), trim(d.Address, maxAddress)}
}

func trim(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	for len(s) > limit {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

// rowVersion is the version of the encoding of rows.
const rowVersion = 1

// encodedRow is a Row as text. Times are milliseconds since 1970, durations are milliseconds.
type encodedRow struct {
	Version        int       `json:"v"`
	Issuer         string    `json:"iss"`
	Subject        string    `json:"sub"`
	ID             string    `json:"sid"`
	Began          int64     `json:"began"`
	End            int64     `json:"end"`
	IdleTimeout    int64     `json:"idle,omitzero"`
	IdleDeadline   int64     `json:"idle_end"`
	AccessLifetime int64     `json:"access,omitzero"`
	Epoch          uint64    `json:"epoch,omitzero"`
	Generation     uint32    `json:"gen"`
	IssuedAt       int64     `json:"iat"`
	ExpiresAt      int64     `json:"exp"`
	Rotated        int64     `json:"rotated"`
	Nonce          string    `json:"nonce,omitempty"`
	Unacknowledged bool      `json:"unack,omitzero"`
	Repeats        int       `json:"repeats,omitzero"`
	Repeated       bool      `json:"repeated,omitzero"`
	CSRF           string    `json:"csrf,omitempty"`
	LastSeen       int64     `json:"seen"`
	ClientID       string    `json:"client,omitempty"`
	Device         Device    `json:"device,omitzero"`
	Ended          int64     `json:"ended,omitzero"`
	Reason         EndReason `json:"reason,omitempty"`
	Owed           bool      `json:"owed,omitzero"`
}

// Encode returns the row as a JSON object, for stores that keep it as one value.
func (r Row) Encode() ([]byte, error) {
	text, err := json.Marshal(encodedRow{
		Version: rowVersion, Issuer: r.Subject.Issuer, Subject: r.Subject.Name, ID: r.ID,
		Began: r.Began.UnixMilli(), End: r.End.UnixMilli(),
		IdleTimeout: r.IdleTimeout.Milliseconds(), IdleDeadline: r.IdleDeadline.UnixMilli(),
		AccessLifetime: r.AccessLifetime.Milliseconds(), Epoch: r.Epoch, Generation: r.Generation,
		IssuedAt: r.IssuedAt.UnixMilli(), ExpiresAt: r.ExpiresAt.UnixMilli(), Rotated: r.Rotated.UnixMilli(),
		Nonce: r.Nonce, Unacknowledged: r.Unacknowledged, Repeats: r.Repeats, Repeated: r.Repeated,
		CSRF: r.CSRF, LastSeen: r.LastSeen.UnixMilli(), ClientID: r.ClientID, Device: r.Device,
		Ended: milliseconds(r.Ended), Reason: r.Reason, Owed: r.Owed,
	})
	if err != nil {
		return nil, errors.New("session: the row cannot be encoded: its texts are not UTF-8")
	}
	return text, nil
}

// DecodeRow returns the row that Encode has encoded. A row of another version, or with a member that
// this version does not know, is an error.
func DecodeRow(text []byte) (Row, error) {
	var e encodedRow
	if err := json.Unmarshal(text, &e, json.RejectUnknownMembers(true)); err != nil || e.Version != rowVersion || e.ID == "" {
		return Row{}, fmt.Errorf("%w: a row is damaged or of another version", ErrUnavailable)
	}
	return Row{
		Subject: Subject{e.Issuer, e.Subject}, ID: e.ID,
		Began: at(e.Began), End: at(e.End),
		IdleTimeout: time.Duration(e.IdleTimeout) * time.Millisecond, IdleDeadline: at(e.IdleDeadline),
		AccessLifetime: time.Duration(e.AccessLifetime) * time.Millisecond, Epoch: e.Epoch, Generation: e.Generation,
		IssuedAt: at(e.IssuedAt), ExpiresAt: at(e.ExpiresAt), Rotated: at(e.Rotated),
		Nonce: e.Nonce, Unacknowledged: e.Unacknowledged, Repeats: e.Repeats, Repeated: e.Repeated,
		CSRF: e.CSRF, LastSeen: at(e.LastSeen), ClientID: e.ClientID, Device: e.Device,
		Ended: endedAt(e.Ended), Reason: e.Reason, Owed: e.Owed,
	}, nil
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// milliseconds returns 0 for the zero time.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func endedAt(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return at(ms)
}

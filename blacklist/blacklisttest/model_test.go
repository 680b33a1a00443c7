package blacklisttest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// model is a simple implementation of the contract: a map with a mutex. A fault breaks it in one
// way.
type model struct {
	now   func() time.Time
	fault string

	mu      sync.Mutex
	entries map[string]modelEntry
	closed  bool
	calls   int
}

type modelEntry struct{ cutOff, until time.Time }

func (m *model) is(fault string) bool { return m.fault == fault }

func (m *model) key(kind blacklist.Kind, id blacklist.Identity) (string, bool) {
	issuer, subject := m.namespace(kind, id), id.Subject
	if m.is("one key space for all issuers") {
		issuer = ""
	}
	if m.is("sessions without their subject") && kind == blacklist.Session {
		subject = ""
	}
	var fields []string
	has := true
	switch kind {
	case blacklist.Token:
		fields, has = []string{issuer, id.ID}, id.ID != ""
	case blacklist.Session:
		fields, has = []string{issuer, subject, id.Session}, id.Session != ""
	case blacklist.Subject:
		fields, has = []string{issuer, subject}, subject != ""
	default:
		fields = []string{issuer}
	}
	prefix := kind.String()
	if m.is("one key space for all kinds") {
		prefix = ""
	}
	key := fmt.Sprintf("%s%q", prefix, fields)
	switch m.fault {
	case "absent ids are looked up", "absent sessions are one session":
		has = true
	case "keys joined without a separator":
		key = prefix + "=" + strings.Join(fields, "")
	case "keys joined with a colon":
		key = prefix + "=" + strings.Join(fields, ":")
	case "keys joined with NUL":
		key = prefix + "=" + strings.Join(fields, "\x00")
	case "keys in lower case":
		key = strings.ToLower(key)
	case "keys in valid UTF-8":
		key = fmt.Sprintf("%s%q", prefix, strings.Split(strings.ToValidUTF8(strings.Join(fields, "\x00"), "\ufffd"), "\x00"))
	case "keys trimmed":
		key = prefix + "=" + strings.TrimSpace(strings.Join(fields, "|"))
	case "keys truncated at 255 bytes":
		key = key[:min(len(key), 255)]
	case "keys truncated at a megabyte":
		key = key[:min(len(key), 1<<20)]
	}
	return key, has
}

// namespace returns the text that separates the entries of the kind from those of other issuers.
func (m *model) namespace(kind blacklist.Kind, id blacklist.Identity) string {
	switch {
	case id.Template == "":
		return id.Issuer
	case kind != blacklist.Issuer:
		if m.is("ids go by the template") {
			return id.Template
		}
		return id.Issuer
	}
	switch m.fault {
	case "cut-offs go by the issuer only":
		return id.Issuer
	case "cut-offs go by issuer and template":
		return id.Issuer + id.Template
	case "templates are apart from issuers":
		return "template " + id.Template
	case "one cut-off for all templates":
		return templateText
	}
	return id.Template
}

func (m *model) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	if err := ctx.Err(); err != nil && !m.is("revocations ignore the context") {
		switch m.fault {
		case "nothing recorded and no error":
			return false, nil
		case "recorded despite the context's error":
			m.record(r)
		case "another error than the context's":
			return false, blacklist.ErrUnavailable
		}
		return false, err
	}
	if m.is("a template replaces the issuer") && r.Identity.Issuer == "" {
		r.Identity.Issuer = r.Identity.Template
	}
	if err := r.Validate(); err != nil && !m.is("does not validate") && !m.is("absent ids are looked up") {
		switch m.fault {
		case "invalid without a sentinel":
			return false, fmt.Errorf("%v", err)
		case "invalid is not an error":
			return false, nil
		case "ids in errors":
			return false, fmt.Errorf("%w: %+v", err, r)
		}
		return false, err
	}
	if m.fault == "nanoseconds" && !r.Until.IsZero() {
		r.Until = time.Unix(0, r.Until.UnixNano())
	}
	if m.fault == "wall clocks" {
		r.CutOff, r.Until = wall(r.CutOff), wall(r.Until)
	}
	m.mu.Lock()
	closed := m.closed && !m.is("revokes after Close")
	m.mu.Unlock()
	if closed {
		return false, blacklist.ErrClosed
	}
	if now := m.now(); !r.Until.IsZero() && !now.Before(m.end(r.Until)) {
		switch m.fault {
		case "the past is not an error":
			return false, nil
		case "the past is recorded for ever":
			r.Until = time.Time{}
			m.record(r)
		case "nanoseconds": // the overflow is not noticed
			return false, nil
		}
		return false, blacklist.ErrInvalid
	}
	if m.is("records later") {
		go func() {
			time.Sleep(time.Millisecond)
			m.record(r)
		}()
		return false, nil
	}
	before := m.record(r)
	if m.is("absent sessions are one session") && r.Identity.Session == "" {
		m.record(blacklist.OfSession(r.Identity, r.Until))
	}
	switch m.fault {
	case "before is always false":
		return false, nil
	case "before is always true":
		return true, nil
	}
	return before, nil
}

// wall returns the same wall clock reading in UTC, which is a different time.
func wall(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

func (m *model) end(until time.Time) time.Time {
	if until.IsZero() {
		return until
	}
	switch m.fault {
	case "ends rounded down":
		return until.Truncate(time.Millisecond)
	case "ends a second early":
		return until.Add(-time.Second)
	case "ends a minute late":
		return until.Add(time.Minute)
	case "ends are inclusive":
		return until.Add(1)
	}
	if whole := until.Truncate(time.Millisecond); whole.Before(until) {
		return whole.Add(time.Millisecond)
	}
	return until
}

func (m *model) record(r blacklist.Revocation) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, _ := m.key(r.Kind, r.Identity)
	e := modelEntry{r.CutOff.Truncate(time.Millisecond), m.end(r.Until)}
	old, ok := m.entries[key]
	if m.is("reads and writes in two steps") {
		m.mu.Unlock()
		for range 50 {
			runtime.Gosched()
		}
		m.mu.Lock()
	}
	now := m.now()
	ok = ok && (old.until.IsZero() || now.Before(old.until) || m.is("merges with expired entries"))
	before := ok && !old.cutOff.Before(e.cutOff)
	if ok && m.is("before ignores the cut-off") {
		before = true
	}
	if !ok || m.is("the last write wins") {
		m.entries[key] = e
		return before
	}
	if old.cutOff.After(e.cutOff) && !m.is("cut-offs are lowered") || m.is("cut-offs are never raised") {
		e.cutOff = old.cutOff
	}
	shorter := !e.until.IsZero() && (old.until.IsZero() || old.until.After(e.until))
	switch {
	case m.is("for ever gets an end") && old.until.IsZero():
	case m.is("ends are shortened") && !e.until.IsZero() && !old.until.IsZero():
	case shorter, m.is("ends are never prolonged"):
		e.until = old.until
	}
	m.entries[key] = e
	return before
}

func (m *model) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	if err := ctx.Err(); err != nil && !m.is("look-ups ignore the context") {
		switch m.fault {
		case "false instead of the context's error":
			return false, nil
		case "true together with an error":
			return true, err
		}
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		if m.is("false after Close") {
			return false, nil
		}
		return false, blacklist.ErrClosed
	}
	switch m.calls++; m.fault {
	case "always no":
		return false, nil
	case "always yes":
		return true, nil
	case "forgets sometimes":
		if m.calls%97 == 0 {
			return false, nil
		}
	}
	if m.is("wall clocks") {
		id.SessionStart = wall(id.SessionStart)
	}
	now := m.now()
	for kind := blacklist.Issuer; kind >= blacklist.Token; kind-- {
		if m.is("does not look up: " + kind.String()) {
			continue
		}
		key, has := m.key(kind, id)
		if !has {
			continue
		}
		e, ok := m.entries[key]
		switch {
		case !ok:
		case !e.until.IsZero() && !now.Before(e.until) && !m.is("nothing expires"):
			if m.is("an expired entry hides others") {
				return false, nil
			}
		case m.covers(kind, e, id.SessionStart):
			return true, nil
		case m.is("a cut-off hides entries"):
			return false, nil
		}
	}
	return false, nil
}

func (m *model) covers(kind blacklist.Kind, e modelEntry, start time.Time) bool {
	if kind <= blacklist.Session && !m.is("entries have a cut-off") {
		return true
	}
	if kind <= blacklist.Session {
		e.cutOff = m.now().Add(time.Minute)
	}
	switch m.fault {
	case "cut-offs are exclusive":
		return start.Before(e.cutOff)
	case "cut-offs to the nanosecond":
		return !start.After(e.cutOff)
	case "cut-offs to the second":
		return !start.Truncate(time.Second).After(e.cutOff)
	case "cut-offs in nanoseconds":
		return start.UnixNano() <= e.cutOff.UnixNano()
	case "an unknown start passes":
		if start.IsZero() {
			return false
		}
	}
	return !start.Truncate(time.Millisecond).After(e.cutOff)
}

func (m *model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed && m.is("a second Close fails") {
		return blacklist.ErrClosed
	}
	if m.is("empties before it closes") {
		clear(m.entries)
		m.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		m.mu.Lock()
	}
	m.closed = true
	return nil
}

// locatingModel is a model that remembers that there was no entry for a token.
type locatingModel struct {
	*model
	fault   string
	version atomic.Uint64
}

func (m *locatingModel) Locate(id blacklist.Identity) *blacklist.Located {
	if m.fault == "the place of another token of a session" {
		id.ID = ""
	}
	return &blacklist.Located{Owner: m, Identity: id}
}

func (m *locatingModel) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	early := m.fault == "the version changes before the entry"
	if early {
		m.version.Add(1)
		time.Sleep(100 * time.Microsecond)
	}
	before, err := m.model.Revoke(ctx, r)
	if err == nil && !early && m.fault != "absence is remembered for ever" {
		m.version.Add(1)
	}
	return before, err
}

func (m *locatingModel) IsRevokedAt(ctx context.Context, located *blacklist.Located) (bool, error) {
	version := m.version.Load()
	if located.IsAbsent(version) {
		switch {
		case ctx.Err() != nil && m.fault != "absence ignores the context":
			return false, ctx.Err()
		case m.isClosed() && m.fault != "absence outlives Close":
			return false, blacklist.ErrClosed
		}
		return false, nil
	}
	revoked, err := m.model.IsRevoked(ctx, located.Identity)
	if err == nil && !revoked {
		if m.fault == "what ended once is absent for ever" && m.hasEntry(located.Identity) {
			m.fault = "absence is remembered for ever"
		}
		located.SetAbsent(version)
	}
	return revoked, err
}

func (m *locatingModel) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

func (m *locatingModel) hasEntry(id blacklist.Identity) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, _ := m.key(blacklist.Token, id)
	_, ok := m.entries[key]
	return ok
}

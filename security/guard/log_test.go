package guard

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// csrfValue is a value of the CSRF header that must not be logged.
const csrfValue = "csrf-value-of-the-request"

// TestRefusedRequestIsLogged checks the whole record of each refused request, and that it contains
// no secret of the request and no text of another error.
func TestRefusedRequestIsLogged(t *testing.T) {
	f := newRefusalFixture(t)
	revoked := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	if err := f.validator.Revoke(t.Context(), f.token(t, revoked, accessToken)); err != nil {
		t.Fatal(err)
	}
	token := Requirement{{accessScheme}}
	const denied, failed = "request denied", "request failed"
	for _, tt := range []struct {
		name        string
		requirement Requirement
		rules       Rules
		changes     []change
		// storeDown has a blacklist that does not answer. fails is the error of the handler.
		storeDown bool
		fails     error
		// message is "" where nothing is logged.
		message, level, reason string
		status                 int
		// subject is set where the record has the hash of the subject.
		subject bool
		// errorText is the text of the error of the application.
		errorText string
	}{
		{name: "served", requirement: token, changes: []change{withAuthorization("Bearer " + f.alice)}, status: 200},
		{name: "no credentials", requirement: token, status: 401},
		{name: "an auth scheme that is not accepted", requirement: token, changes: []change{withBasic("hidden")}, status: 401},
		{
			name: "a forged token", requirement: token, changes: []change{withAuthorization("Bearer " + forged(f.alice))},
			message: denied, level: "INFO", reason: "the signature", status: 401,
		},
		{
			name: "an expired token", requirement: token, changes: []change{withAuthorization("Bearer " + expiredToken())},
			message: denied, level: "INFO", reason: "The token has expired.", status: 401, subject: true,
		},
		{
			name: "a revoked token", requirement: token, changes: []change{withAuthorization("Bearer " + revoked)},
			message: denied, level: "INFO", reason: "The token has been revoked.", status: 401, subject: true,
		},
		{
			name: "a token without the scope", requirement: Requirement{{accessScheme.With("admin")}}, changes: []change{withAuthorization("Bearer " + f.alice)},
			message: denied, level: "INFO", reason: "a scope is missing", status: 403, subject: true,
		},
		{
			name: "a token without the role", requirement: Requirement{{accessScheme.WithRoles("ADMIN")}}, changes: []change{withAuthorization("Bearer " + f.alice)},
			message: denied, level: "INFO", reason: "a role is missing", status: 403, subject: true,
		},
		{
			name: "a token that is not recent", requirement: token, rules: Rules{Fresh: true}, changes: []change{withAuthorization("Bearer " + f.bob)},
			message: denied, level: "INFO", reason: "A more recent authentication is required.", status: 401, subject: true,
		},
		{
			name: "a malformed header", requirement: token, changes: []change{withAuthorization("Bearer hidden hidden")},
			message: denied, level: "INFO", reason: "more than one credential", status: 400,
		},
		{
			name: "a cookie without its CSRF value", requirement: Requirement{{accessCookieScheme}}, changes: []change{f.cookied, aMethod("POST"), field("X-CSRF-Token", csrfValue)},
			message: denied, level: "INFO", reason: "The request lacks its proof against forgery.", status: 403, subject: true,
		},
		{
			name: "a cookie from another site", requirement: Requirement{{accessCookieScheme}}, changes: []change{f.cookied, aMethod("POST"), crossSite},
			message: denied, level: "INFO", reason: "The request comes from another origin.", status: 403, subject: true,
		},
		{
			name: "a wrong password", requirement: Requirement{{basicScheme}}, changes: []change{withBasic("hidden")},
			message: denied, level: "INFO", reason: "The credentials are not valid.", status: 401,
		},
		{
			name: "a wrong key", requirement: Requirement{{keyQueryScheme}}, changes: []change{aQuery("key=hidden")},
			message: denied, level: "INFO", reason: "The credentials are not valid.", status: 401,
		},
		{
			name: "an authenticator that fails", requirement: Requirement{{keyScheme}}, changes: []change{field("X-API-Key", "down")},
			message: failed, level: "ERROR", reason: "the authenticator failed", status: 503,
		},
		{
			name: "an authenticator that returns nothing", requirement: Requirement{{keyScheme}}, changes: []change{field("X-API-Key", "nobody")},
			message: failed, level: "ERROR", reason: "the authenticator returned neither a caller nor an error", status: 500,
		},
		{
			name: "a store that does not answer", requirement: token, changes: []change{withAuthorization("Bearer " + f.alice)}, storeDown: true,
			message: failed, level: "ERROR", reason: "the blacklist did not answer", status: 503, subject: true,
		},
		{
			name: "a handler that fails", requirement: token, changes: []change{withAuthorization("Bearer " + f.alice)}, fails: errors.New("row 7 is locked"),
			message: failed, level: "ERROR", reason: "The request failed.", status: 500, subject: true, errorText: "row 7 is locked",
		},
		{
			name: "a handler that finds a revoked token", requirement: token, changes: []change{withAuthorization("Bearer " + f.alice)},
			fails:   fmt.Errorf("row 7 is locked: %w", security.ErrTokenRevoked),
			message: denied, level: "INFO", reason: "The token has been revoked.", status: 401, subject: true,
		},
		{
			name: "a handler whose store does not answer", requirement: token, changes: []change{withAuthorization("Bearer " + f.alice)},
			fails:   security.ErrUnavailable.Because("the queue did not answer", errSecretive),
			message: failed, level: "ERROR", reason: "the queue did not answer", status: 503, subject: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.clock.Advance(time.Second)
			if tt.storeDown {
				f.list.Fail(errSecretive, nil)
				defer f.list.Fail(nil, nil)
			}
			var secrets []string
			changes := append(slices.Clone(tt.changes), func(r *http.Request) { secrets = secretsOf(r) })
			w := f.sendTo(t, &Operation{ID: "op", Requirement: tt.requirement, Rules: tt.rules}, tt.fails, changes...)
			if w.Code != tt.status {
				t.Fatalf("status %d, want %d", w.Code, tt.status)
			}
			for _, secret := range append(secrets, "hunter2", "alice", "hidden", "redis", "pass:word", csrfValue) {
				if strings.Contains(f.log.String(), secret) || w.Code != 200 && strings.Contains(w.Body.String(), secret) {
					t.Errorf("%q is in the log or in the response: %s%s", secret, f.log, w.Body)
				}
			}
			if strings.Contains(w.Body.String(), "row 7") {
				t.Errorf("the response has the text of the handler's error: %s", w.Body)
			}
			var want []map[string]any
			if tt.message != "" {
				want = []map[string]any{{"msg": tt.message, "level": tt.level, "operation": "op", "status": float64(tt.status), "reason": tt.reason}}
			}
			if tt.subject {
				want[0]["subject_hash"] = nil
			}
			if tt.errorText != "" {
				want[0]["error"] = tt.errorText
			}
			records := f.records(t)
			for _, record := range records {
				if hash, ok := record["subject_hash"].(string); ok && len(hash) == 16 {
					record["subject_hash"] = nil
				}
			}
			if !reflect.DeepEqual(records, want) {
				t.Errorf("records %v, want %v", records, want)
			}
		})
	}
}

// secretsOf returns the credentials of a request, whole and decoded.
func secretsOf(r *http.Request) []string {
	var secrets []string
	for _, name := range []string{"Authorization", "X-API-Key", "X-CSRF-Token"} {
		for _, value := range r.Header.Values(name) {
			for text := range strings.FieldsSeq(value) {
				if name != "Authorization" || !slices.Contains([]string{"Bearer", "Basic"}, text) {
					secrets = append(secrets, text)
				}
			}
		}
	}
	for _, cookie := range r.Cookies() {
		secrets = append(secrets, cookie.Value)
	}
	for _, text := range slices.Clone(secrets) {
		for piece := range strings.SplitSeq(text, ".") { // header, payload and signature of a token
			if decoded, err := base64.RawURLEncoding.DecodeString(piece); err == nil && len(decoded) > 8 {
				secrets = append(secrets, piece, string(decoded))
			}
		}
	}
	return slices.DeleteFunc(secrets, func(text string) bool { return slices.Contains([]string{"down", "nobody"}, text) })
}

// TestLoggedSubjectIsItsHash checks that a subject has one hash, and different subjects have
// different ones.
func TestLoggedSubjectIsItsHash(t *testing.T) {
	f := newRefusalFixture(t)
	hashes := map[any]string{}
	for _, tt := range []struct{ text, subject string }{{f.alice, "alice"}, {expiredToken(), "alice"}, {f.bob, "bob"}} {
		f.clock.Advance(time.Second)
		f.send(t, Requirement{{accessScheme.With("admin")}}, Rules{}, withAuthorization("Bearer "+tt.text))
		records := f.records(t)
		if len(records) != 1 || records[0]["subject_hash"] == nil {
			t.Fatalf("%s: records %v", tt.subject, records)
		}
		hash := records[0]["subject_hash"]
		if known, ok := hashes[hash]; ok && known != tt.subject {
			t.Errorf("%s and %s have one hash", known, tt.subject)
		}
		hashes[hash] = tt.subject
	}
	if len(hashes) != 2 {
		t.Errorf("hashes of two subjects: %v", hashes)
	}
}

// TestLogIsBounded sends a flood of requests. One record of each reason is logged in a second, and
// the next one has the number of those that were not.
func TestLogIsBounded(t *testing.T) {
	f := newRefusalFixture(t)
	f.clock.Advance(877 * time.Millisecond) // to a whole second
	garbage, expired := withAuthorization("Bearer garbage"), withAuthorization("Bearer "+expiredToken())
	send := func(times int, change change) {
		for range times {
			f.send(t, Requirement{{accessScheme}}, Rules{}, change)
		}
	}
	for _, step := range []struct {
		name     string
		wait     time.Duration
		garbage  int
		expired  int
		storeOff int
		// suppressed has the number of each record that is logged.
		suppressed []any
	}{
		{name: "the first second", garbage: 50, expired: 20, suppressed: []any{nil, nil}},
		{name: "the end of the first second", wait: 999 * time.Millisecond, garbage: 5},
		{name: "the second second", wait: time.Millisecond, garbage: 3, expired: 1, suppressed: []any{54.0, 19.0}},
		{name: "another level", storeOff: 4, suppressed: []any{nil}},
		{name: "a minute later", wait: time.Minute, garbage: 1, expired: 1, storeOff: 1, suppressed: []any{2.0, nil, 3.0}},
		{name: "nothing was suppressed", wait: time.Second, garbage: 1, suppressed: []any{nil}},
	} {
		f.clock.Advance(step.wait)
		send(step.garbage, garbage)
		send(step.expired, expired)
		if step.storeOff > 0 {
			f.list.Fail(errSecretive, nil)
			send(step.storeOff, withAuthorization("Bearer "+f.alice))
			f.list.Fail(nil, nil)
		}
		var suppressed []any
		for _, record := range f.records(t) {
			suppressed = append(suppressed, record["suppressed"])
		}
		if !slices.Equal(suppressed, step.suppressed) {
			t.Errorf("%s: records with the numbers %v, want %v", step.name, suppressed, step.suppressed)
		}
	}
}

// TestReasonsShareOneLimit sends one reason to two operations. A flood over many operations is one
// flood.
func TestReasonsShareOneLimit(t *testing.T) {
	f := newRefusalFixture(t)
	for _, id := range []string{"one", "two"} {
		f.sendTo(t, &Operation{ID: id, Requirement: Requirement{{accessScheme}}}, nil, withAuthorization("Bearer garbage"))
	}
	if records := f.records(t); len(records) != 1 || records[0]["operation"] != "one" {
		t.Errorf("records %v", records)
	}
}

// TestLogLimiterCountsEachRecord has many goroutines. Each record either passes or is counted.
func TestLogLimiterCountsEachRecord(t *testing.T) {
	const workers, calls, kinds = 16, 2000, 3
	clock := newClock()
	limiter := &logLimiter{now: clock.Now, kinds: map[string]*loggedKind{}}
	var passed, suppressed atomic.Int64
	ask := func(kind int) {
		if n, ok := limiter.allow(fmt.Sprint("kind", kind)); ok {
			passed.Add(1)
			suppressed.Add(int64(n))
		}
	}
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for i := range calls {
				if worker == 0 && i%100 == 0 {
					clock.Advance(time.Second)
				}
				ask(i % kinds)
			}
		})
	}
	group.Wait()
	clock.Advance(time.Second)
	for kind := range kinds {
		ask(kind)
	}
	if got := passed.Load() + suppressed.Load(); got != workers*calls+kinds {
		t.Errorf("%d passed and %d suppressed, want %d together", passed.Load(), suppressed.Load(), workers*calls+kinds)
	}
	if most := int64(kinds * (calls/100 + 2)); passed.Load() > most {
		t.Errorf("%d passed, want at most %d: one of a kind each second", passed.Load(), most)
	}
}

// TestLogLimiterIsBounded has more kinds than the limiter remembers. Those that it has no room for
// share one record each second, and each record either passes or is counted.
func TestLogLimiterIsBounded(t *testing.T) {
	clock := newClock()
	limiter := &logLimiter{now: clock.Now, kinds: map[string]*loggedKind{}}
	sent, accounted := 0, 0
	ask := func(kind string) bool {
		n, ok := limiter.allow(kind)
		sent++
		accounted += n
		if ok {
			accounted++
		}
		return ok
	}
	for second := range 3 {
		passed := 0
		for i := range 3 * maxLoggedKinds {
			if ask(fmt.Sprint(second, i)) {
				passed++
			}
		}
		if passed != maxLoggedKinds+1 || len(limiter.kinds) > maxLoggedKinds {
			t.Errorf("second %d: %d passed and %d kinds, want %d and one for the rest", second, passed, len(limiter.kinds), maxLoggedKinds)
		}
		if ask(fmt.Sprint(second, 0)) {
			t.Errorf("second %d: a known kind passed twice", second)
		}
		clock.Advance(time.Second)
	}
	if !ask("a new kind") || ask("a new kind") || len(limiter.kinds) != 1 {
		t.Errorf("a second later: %d kinds, want the new one", len(limiter.kinds))
	}
	accounted += limiter.rest.suppressed + limiter.kinds["a new kind"].suppressed
	if sent != accounted {
		t.Errorf("%d records passed or were counted, want %d", accounted, sent)
	}
}

// TestLoggerThatDiscards has a logger without records, and one for errors only. Responses are the
// same.
func TestLoggerThatDiscards(t *testing.T) {
	for name, tt := range map[string]struct {
		handler func(f *refusalFixture) slog.Handler
		records int
	}{
		"discard": {handler: func(*refusalFixture) slog.Handler { return slog.DiscardHandler }, records: 0},
		"errors only": {handler: func(f *refusalFixture) slog.Handler {
			return slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelError})
		}, records: 1},
	} {
		f := newRefusalFixture(t)
		f.watch(t, WithLogger(slog.New(tt.handler(f))))
		statuses := map[int]int{}
		statuses[f.send(t, eitherTokenOrKey, Rules{}, withAuthorization("Bearer garbage")).Code]++
		statuses[f.send(t, eitherTokenOrKey, Rules{}, field("X-API-Key", "down")).Code]++
		if !maps.Equal(statuses, map[int]int{401: 1, 503: 1}) || len(f.records(t)) != tt.records || len(f.refusals) != 2 || len(f.failures) != 2 {
			t.Errorf("%s: statuses %v, %d refusals, %d failures", name, statuses, len(f.refusals), len(f.failures))
		}
	}
}

// TestErrorOfASchemaValidatorIsNotLogged has a validator whose error may quote the request. Only the
// error of a handler is logged with its text.
func TestErrorOfASchemaValidatorIsNotLogged(t *testing.T) {
	f := newRefusalFixture(t, WithSchemaValidator(&stubRequests{knows: true, err: errSecretive}))
	w := f.send(t, Requirement{{accessScheme}}, Rules{}, withAuthorization("Bearer "+f.alice))
	records := f.records(t)
	if w.Code != 500 || len(records) != 1 || records[0]["reason"] != "The request failed." || strings.Contains(fmt.Sprint(records, w.Body), "hunter2") {
		t.Errorf("status %d, records %v, %s", w.Code, records, w.Body)
	}
	if f.lastFailure(t).Identity.Subject != "alice" {
		t.Errorf("identity %+v", f.lastFailure(t).Identity)
	}
}

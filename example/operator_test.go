package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/metric/noop"
	"golang.org/x/crypto/bcrypt"

	"github.com/oapi-guard/oapi-guard/internal/freeport"
)

// operate sends a request to the operator's listener.
func (a *app) operate(method, path, secret, body string) answer {
	a.t.Helper()
	return (&app{url: a.operatorURL, t: a.t}).call(method, path, secret, body)
}

func TestOperatorListsAndRevokes(t *testing.T) {
	onStores(t, func(t *testing.T, a *app) {
		sid := func(p pair) string { return payload(t, p.Access)["sid"].(string) }
		jti := func(token string) string { return payload(t, token)["jti"].(string) }
		revoke := func(kind, subject, id string) {
			t.Helper()
			body, err := json.Marshal(map[string]string{"kind": kind, "subject": subject, "id": id})
			if err != nil {
				t.Fatal(err)
			}
			a.operate("POST", "/operator/revocations", testOperator, string(body)).want(t, 204, "")
		}
		list := func() listedPage {
			t.Helper()
			return a.operate("GET", "/operator/sessions?subject=alice", testOperator, "").page(t)
		}
		phone, laptop, admin := a.loginFrom("phone", "Browser/1"), a.login("alice", "wonderland"), a.login("admin", "rabbit-hole")
		if page := list(); len(page.Sessions) != 2 || page.Sessions[0].Current || page.Sessions[1].Current {
			t.Errorf("%+v", page)
		}
		if page := a.operate("GET", "/operator/sessions?subject=nobody", testOperator, "").page(t); len(page.Sessions) != 0 {
			t.Errorf("%+v", page)
		}

		revoke("token", "alice", jti(laptop.Access))
		a.call("GET", "/protected", laptop.Access, "").want(t, 401, "invalid_token")
		laptop = a.call("POST", "/refresh", laptop.Refresh, "").pair(t)
		revoke("session", "alice", sid(laptop))
		a.over(laptop)
		a.works(phone)
		if page := list(); len(page.Sessions) != 1 || page.Sessions[0].ID != sid(phone) {
			t.Errorf("%+v", page)
		}
		revoke("token", "alice", jti(phone.Refresh)) // the session of a refresh token ends
		a.over(phone)
		revoke("session", "alice", "of another store")

		tablet := a.login("alice", "wonderland")
		revoke("subject", "alice", "")
		a.over(tablet)
		a.works(admin)
		a.works(a.login("alice", "wonderland"))
		revoke("all", "", "")
		a.over(admin)
		if page := list(); len(page.Sessions) != 0 {
			t.Errorf("%+v", page)
		}
		a.works(a.login("admin", "rabbit-hole"))
	})
}

func TestOperatorRefuses(t *testing.T) {
	a := newApp(t)
	admin := a.login("admin", "rabbit-hole")
	for _, tt := range []struct {
		name, method, path, secret, body string
		want                             int
	}{
		{name: "no secret", method: "GET", path: "/operator/sessions?subject=alice", want: 401},
		{name: "the token of an administrator", method: "GET", path: "/operator/sessions?subject=alice", secret: admin.Access, want: 401},
		{name: "a part of the secret", method: "GET", path: "/operator/sessions?subject=alice", secret: testOperator[:len(testOperator)-1], want: 401},
		{name: "no subject", method: "GET", path: "/operator/sessions", secret: testOperator, want: 400},
		{name: "an empty subject", method: "GET", path: "/operator/sessions?subject=", secret: testOperator, want: 400},
		{name: "no position", method: "GET", path: "/operator/sessions?subject=alice&position=x", secret: testOperator, want: 400},
		{name: "an unknown kind", method: "POST", path: "/operator/revocations", secret: testOperator, body: `{"kind":"x","subject":"alice","id":"x"}`, want: 400},
		{name: "a token without an id", method: "POST", path: "/operator/revocations", secret: testOperator, body: `{"kind":"token","subject":"alice"}`, want: 400},
		{name: "a session without a subject", method: "POST", path: "/operator/revocations", secret: testOperator, body: `{"kind":"session","id":"x"}`, want: 400},
		{name: "nobody", method: "POST", path: "/operator/revocations", secret: testOperator, body: `{"kind":"subject"}`, want: 400},
		{name: "another operation", method: "GET", path: "/protected", secret: admin.Access, want: 404},
	} {
		if got := a.operate(tt.method, tt.path, tt.secret, tt.body); got.status != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, got.status, got.body, tt.want)
		}
	}
	for _, path := range []string{"/operator/sessions?subject=alice", "/operator/../operator/sessions?subject=alice", "/%6fperator/sessions?subject=alice"} {
		if got := a.call("GET", path, testOperator, ""); got.status != 404 {
			t.Errorf("%s on the listener of the API: %d", path, got.status)
		}
	}
}

func TestFailuresOfTheOperatorAreLimited(t *testing.T) {
	a := newApp(t)
	const path = "/operator/sessions?subject=alice"
	for range pairFailures {
		a.operate("GET", path, "wrong", "").want(t, 401, "Bearer")
	}
	(&limitedApp{app: a}).wantTooMany(a.operate("GET", path, testOperator, ""))
	a.works(a.login("alice", "wonderland")) // log-ins have another limit
}

// TestOperatorIsOff: without a secret no secret is accepted.
func TestOperatorIsOff(t *testing.T) {
	accounts, err := newAccounts(1, bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	store := openTestStore(t, "memory:")
	defer store.Close()
	api, err := newAPI(setup{keys: testKeys(t), accounts: accounts, store: store, logger: slog.New(slog.DiscardHandler), meters: noop.NewMeterProvider()})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	for _, secret := range []string{"x", testOperator} {
		r := httptest.NewRequest(http.MethodGet, "/operator/sessions?subject=alice", nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		w := httptest.NewRecorder()
		if api.operator.ServeHTTP(w, r); w.Code != 401 {
			t.Errorf("secret %q: %d", secret, w.Code)
		}
	}
}

// TestOperatorLogsNoIDs lists and revokes, with the logger of the program.
func TestOperatorLogsNoIDs(t *testing.T) {
	var log bytes.Buffer
	accounts, err := newAccounts(1, bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	store := openTestStore(t, "memory:")
	defer store.Close()
	operator, err := newOperatorSecret(testOperator)
	if err != nil {
		t.Fatal(err)
	}
	api, err := newAPI(setup{testKeys(t), accounts, store, nil, operator, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), noop.NewMeterProvider()})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	send := func(handler http.Handler, method, path, secret, body string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if secret != "" {
			r.Header.Set("Authorization", "Bearer "+secret)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	var p pair
	if err := json.Unmarshal(send(api.handler, "POST", "/login", "", `{"username":"alice","password":"wonderland"}`).Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	id, subject := payload(t, p.Access)["sid"].(string), "alice"
	for _, body := range []string{
		fmt.Sprintf(`{"kind":"token","subject":%q,"id":%q}`, subject, payload(t, p.Access)["jti"]),
		fmt.Sprintf(`{"kind":"session","subject":%q,"id":%q}`, subject, id),
		fmt.Sprintf(`{"kind":"subject","subject":%q}`, subject), `{"kind":"all"}`, `{"kind":"x"}`,
	} {
		send(api.operator, "POST", "/operator/revocations", testOperator, body)
	}
	send(api.operator, "GET", "/operator/sessions?subject=alice", "wrong", "")
	text := log.String()
	for name, secret := range map[string]string{
		"subject": subject, "session": id, "token": payload(t, p.Access)["jti"].(string), "secret": testOperator, "wrong secret": "wrong",
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has the %s:\n%s", name, text)
		}
	}
	if strings.Count(text, "session ended") == 0 || strings.Count(text, "\n") < 5 {
		t.Errorf("the log has too little:\n%s", text)
	}
}

// TestOperatorAddress starts the program with an operator.
func TestOperatorAddress(t *testing.T) {
	address := freeport.Addr(t)
	p := startProcess(t, "DATA_DIR="+t.TempDir(), "ADMIN_TOKEN="+testOperator, "ADMIN_ADDR="+address)
	p.operatorURL = "http://" + address
	alice := p.login("alice", "wonderland")
	if page := p.operate("GET", "/operator/sessions?subject=alice", testOperator, "").page(t); len(page.Sessions) != 1 {
		t.Errorf("%+v", page)
	}
	p.operate("POST", "/operator/revocations", testOperator, `{"kind":"subject","subject":"alice"}`).want(t, 204, "")
	p.over(alice)
	p.stop()
}

package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/console"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// consoleTab is a tab with the developer console. It collects errors and violations of the policy.
type consoleTab struct {
	tab
	mu     sync.Mutex
	errors []string
}

// view is a size of the window and a scheme of colours.
type view struct {
	width, height int64
	scheme        string
}

var desktop = view{1280, 900, "light"}

// openConsole opens the page and waits until it is ready. At the end of the test it fails for an error
// in the console of the browser and for a violation of the Content-Security-Policy.
func openConsole(t *testing.T, address string, as view) *consoleTab {
	t.Helper()
	c := &consoleTab{tab: openTabs(t, "about:blank", 1)[0]}
	c.do(chromedp.EmulateViewport(as.width, as.height))
	if err := chromedp.Listen(c.ctx, c.listen); err != nil {
		t.Fatal(err)
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: as.scheme}}}
	if _, err := chromedp.Call(c.ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(c.ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	watch := page.AddScriptToEvaluateOnNewDocumentParams{Source: `
		window.violations = [];
		document.addEventListener("securitypolicyviolation", e => window.violations.push(e.violatedDirective + " " + e.sample));`}
	if _, err := chromedp.Call(c.ctx, page.AddScriptToEvaluateOnNewDocument, watch); err != nil {
		t.Fatal(err)
	}
	c.do(chromedp.Navigate(address))
	c.until("the page is ready", `document.documentElement.dataset.ready`)
	return c
}

func (c *consoleTab) listen(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		c.errors = append(c.errors, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		c.errors = append(c.errors, "console: "+string(e.Type))
	case *log.EventEntryAdded:
		if e.Entry.Source != "network" { // Chromium logs each response with a status such as 401
			c.errors = append(c.errors, e.Entry.Text)
		}
	}
}

// noErrors fails for errors and violations so far.
func (c *consoleTab) noErrors() {
	c.t.Helper()
	if got := eval[[]string](c, `window.violations`); len(got) > 0 {
		c.t.Errorf("violations of the policy: %q", got)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.errors) > 0 {
		c.t.Errorf("errors: %q", c.errors)
	}
}

func (c *consoleTab) do(actions ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	if err := chromedp.Do(c.ctx, actions...); err != nil {
		c.t.Fatal(err)
	}
}

// eval evaluates a script. The policy of the page does not concern it.
func eval[T any](c *consoleTab, script string) T {
	c.t.Helper()
	value, err := chromedp.Run(c.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		c.t.Fatalf("%v\n%s", err, script)
	}
	return value
}

// until waits for a condition in the page, for 20 seconds at most.
func (c *consoleTab) until(what, condition string) {
	c.t.Helper()
	met := eval[bool](c, fmt.Sprintf(`new Promise(done => {
		const end = Date.now() + 20000;
		(function look() {
			let met = false;
			try { met = Boolean(%s) } catch {}
			if (met || Date.now() > end) done(met); else setTimeout(look, 20);
		})();
	})`, condition))
	if !met {
		c.t.Fatalf("not within 20 seconds: %s\n%s", what, eval[string](c, `document.body?.innerText`))
	}
}

// click clicks the first element with the selector and, if text is not "", the text.
func (c *consoleTab) click(selector, text string) {
	c.t.Helper()
	found := fmt.Sprintf(`[...document.querySelectorAll(%q)].find(e => !%[2]q || e.textContent === %[2]q)`, selector, text)
	c.until("there is "+selector+" "+text, found)
	eval[bool](c, found+`.click() ?? true`)
}

func (c *consoleTab) text(selector string) string {
	c.t.Helper()
	return eval[string](c, fmt.Sprintf(`[...document.querySelectorAll(%q)].map(e => e.textContent).join(" | ")`, selector))
}

func (c *consoleTab) wantText(selector, want string) {
	c.t.Helper()
	c.until(selector+" contains "+want, fmt.Sprintf(`[...document.querySelectorAll(%q)].some(e => e.textContent.includes(%q))`, selector, want))
}

// call opens an operation and calls it.
func (c *consoleTab) call(operation string, status int) string {
	c.t.Helper()
	row := fmt.Sprintf(`[data-operation=%s]`, operation)
	if !eval[bool](c, fmt.Sprintf(`document.querySelector(%q).open`, row)) {
		c.click(row+" > summary", "")
	}
	c.click(row+" form button[type=submit]", "Call")
	answer := fmt.Sprintf(`%s .answer[data-status="%d"]`, row, status)
	c.until(fmt.Sprintf("%s is answered with %d", operation, status), fmt.Sprintf(`document.querySelector(%q)`, answer))
	return c.text(answer)
}

// logIn logs in as a demo user.
func (c *consoleTab) logIn(user, label string) {
	c.t.Helper()
	c.click("[data-user="+user+"]", "")
	c.wantText("#now", label+" ·")
}

func (c *consoleTab) contains(what, text, want string) {
	c.t.Helper()
	if !strings.Contains(text, want) {
		c.t.Errorf("%s: %q does not contain %q", what, text, want)
	}
}

// TestConsole does with the mouse what the page is for.
func TestConsole(t *testing.T) {
	findBrowser(t)
	_, address := startWithConsole(t, "memory:")
	c := openConsole(t, address.String(), desktop)

	none := c.call("getProtected", 401)
	c.contains("no credential", none, "The request has no credentials that this operation takes. It takes a bearer token.")
	c.logIn("alice", "alice")
	c.contains("the token", c.text("#tokens"), "subject")
	left := c.text("#tokens [data-type=access] .left")
	c.until("the time left counts down", fmt.Sprintf(`document.querySelector("#tokens [data-type=access] .left").textContent !== %q`, left))
	c.contains("called as alice", c.call("getProtected", 200), `"identity": "alice"`)
	c.contains("a role is missing", c.call("listUsers", 403), "it needs the role ADMIN")
	c.contains("a challenge", c.text(`[data-operation=listUsers] .challenge`), "insufficient_scope")
	c.contains("two credentials at once", c.call("publishReport", 201), `"author": "alice"`)

	c.click("#actions button", "Refresh in two tabs")
	c.wantText("#action-answer", "Both tabs have the same new refresh token: the session goes on.")
	if got := c.text("#action-answer .status .pill"); got != "200 OK | 200 OK" {
		t.Errorf("two tabs: %s", got)
	}
	c.contains("a token of a refresh", c.call("changeEmail", 401), "This operation needs a token from a log-in, and not from a refresh.")

	// Another device ends the session of the first one, whose stream is open.
	c.click("#streams-open button", "Open /events")
	c.wantText(".stream .events", "tick 1")
	c.logIn("alice", "alice (2)")
	c.until("both sessions are listed", `document.querySelectorAll("#sessions-list > li").length === 2`)
	c.click(`#sessions-list button[aria-label="End this one: Console, alice"]`, "")
	c.wantText(".stream[data-state=ended] .meaning", "The server ended it: The token has been revoked.")
	c.until("one session is left", `document.querySelectorAll("#sessions-list > li").length === 1`)
	c.wantText("#probe-answer .pill", "200 OK") // that of the other device

	c.click("#callers .choice:first-child input", "")
	c.click("#probe button", "Send")
	c.wantText("#probe-answer .meaning", "it was revoked")
	c.wantText("#announce", "it was revoked") // for a screen reader
	c.click("#callers .choice:nth-child(2) input", "")

	c.click("#streams-open button", "Open /events")
	c.wantText(".stream[data-state=open] .events", "tick 1")
	c.click("#actions button", "Revoke this token")
	c.until("the stream of the revoked token ends", `!document.querySelector(".stream[data-state=open]") && document.querySelectorAll(".stream").length === 2`)
	c.wantText("#probe-answer", "After the revocation")
	c.wantText("#probe-answer .pill", "401 Unauthorized")
	c.click("#actions button", "Refresh") // only the access token was revoked
	c.wantText("#action-answer .pill", "200 OK")
	c.click("#actions button", "Log out")
	c.wantText("#probe-answer", "After the log-out")
	c.click("#actions button", "Refresh in two tabs")
	c.wantText("#action-answer", "Both tabs were refused.")

	if stored := eval[int](c, `localStorage.length + sessionStorage.length + document.cookie.length`); stored != 0 {
		t.Error("the page has stored something")
	}
	c.noErrors()
}

// TestConsoleWithoutHTML has the page show answers that contain HTML.
func TestConsoleWithoutHTML(t *testing.T) {
	findBrowser(t)
	const hostile = `<img src=x onerror="window.hit=1"><script>window.hit=1</script>`
	text, _ := json.Marshal(hostile)
	token := &guard.Scheme{Name: "access", Token: security.NewTokenType[security.NoClaims]("access")}
	secured := guard.Requirement{{token}}
	page, err := console.New([]guard.Operation{
		{ID: "login", Method: "POST", Path: "/login"},
		{ID: "list", Method: "GET", Path: "/sessions", Requirement: secured},
		{ID: "refused", Method: "GET", Path: "/refused", Requirement: secured},
		{ID: "html", Method: "GET", Path: "/html", Requirement: secured},
		{ID: "stream", Method: "GET", Path: "/stream", Requirement: secured, Rules: guard.Rules{Watch: true}},
		{ID: hostile, Method: "GET", Path: "/" + hostile, Requirement: secured, Rules: guard.Rules{AllowRoles: []string{hostile}}},
	}, console.WithTitle(hostile), console.WithLogIn("login"), console.WithDemoUser(hostile, hostile, 1), console.WithSessions("list", ""))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(page.Path(), page)
	answer := func(path string, status int, contentType, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("X-Text", hostile)
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+strings.ReplaceAll(hostile, `"`, `\"`)+`"`)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	answer("/login", 200, "application/json", fmt.Sprintf(`{"access_token": %s}`, text))
	answer("/sessions", 200, "application/json", fmt.Sprintf(`[{"id": %[1]s, "device": %[1]s, "address": %[1]s, "began": %[1]s}]`, text))
	answer("/refused", 401, "application/problem+json", fmt.Sprintf(`{"title": %[1]s, "detail": %[1]s}`, text))
	answer("/html", 200, "text/html", hostile)
	answer("/stream", 200, "text/event-stream", "data: "+hostile+"\n\nevent: end\ndata: "+hostile+"\n\n")
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	c := openConsole(t, server.URL+page.Path(), desktop)
	c.click("#users button", "")
	c.wantText("#tokens .raw", hostile)
	c.wantText("#sessions-list strong", hostile)
	c.contains("a problem", c.call("refused", 401), "The server says: "+hostile)
	c.contains("a challenge", c.text(".challenge"), hostile)
	c.contains("a page", c.call("html", 200), hostile)
	c.click("#streams-open button", "")
	c.wantText(".stream .events", hostile)
	c.wantText(".stream .meaning", hostile)
	c.contains("the title", c.text("h1"), hostile)
	if got := eval[string](c, `[document.images.length, document.scripts.length, String(window.hit)].join()`); got != "1,1,undefined" {
		t.Errorf("images, scripts, hit: %s, want 1,1,undefined", got)
	}
	c.noErrors()

	// The policy refuses what the page does not do, and this test would see it.
	refused := eval[string](c, `(() => {
		document.body.append(Object.assign(document.createElement("style"), {textContent: "p{}"}));
		try { document.body.innerHTML = "<p>text</p>" } catch (e) { return e.name }
	})()`)
	if refused != "TypeError" {
		t.Errorf("text becomes HTML: %s", refused)
	}
	c.until("violations are seen", `["style-src", "require-trusted-types-for"].every(d => window.violations.some(v => v.startsWith(d)))`)
}

// TestConsoleOnAPhone looks for horizontal scrolling with everything open.
func TestConsoleOnAPhone(t *testing.T) {
	findBrowser(t)
	_, address := startWithConsole(t, "memory:")
	for _, scheme := range []string{"light", "dark"} {
		c := openConsole(t, address.String(), view{360, 740, scheme})
		c.logIn("alice", "alice")
		c.click("#streams-open button", "Open /events")
		c.wantText(".stream .events", "tick 1")
		c.click("#actions button", "Refresh in two tabs")
		c.wantText("#action-answer", "Both tabs have the same")
		c.call("listUsers", 403)
		c.call("listSessions", 200)
		eval[bool](c, `document.querySelectorAll("details").forEach(e => { e.open = true }), true`)
		c.until("the forms are there", `document.querySelectorAll(".operation form").length === document.querySelectorAll(".operation").length`)
		wide := eval[[]string](c, `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > 360.5 && !e.closest("pre")).map(e => e.outerHTML.slice(0, 120))`)
		if width := eval[int](c, `document.documentElement.scrollWidth`); width != 360 || len(wide) > 0 {
			t.Errorf("%s: %d pixels wide, %q", scheme, width, wide)
		}
		c.noErrors()
	}
}

// focused describes the element that has the focus.
type focused struct {
	Text     string `json:"text"`
	Name     bool   `json:"name"`
	Outline  bool   `json:"outline"`
	InWindow bool   `json:"inWindow"`
	Body     bool   `json:"body"`
}

// press presses a key and returns what has the focus then.
func (c *consoleTab) press(keys string) focused {
	c.t.Helper()
	c.do(chromedp.KeyEvent(keys))
	return eval[focused](c, `(() => {
		const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
		const label = e.getAttribute("aria-label") || [...(e.labels ?? [])].map(l => l.textContent).join("") || e.textContent || "";
		return {
			text: e.tagName.toLowerCase() + " " + label.trim(), name: label.trim() !== "", body: e === document.body,
			outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
			inWindow: box.bottom > 0 && box.top < innerHeight && box.width > 0,
		};
	})()`)
}

// tabTo presses Tab until an element is reached whose tag and name begin with the text. On the way it
// checks that the focus is visible.
func (c *consoleTab) tabTo(want string) {
	c.t.Helper()
	seen := []string{}
	for range 120 {
		at := c.press(kb.Tab)
		seen = append(seen, at.Text)
		if !at.Body && (!at.Name || !at.Outline || !at.InWindow) {
			c.t.Errorf("%+v", at)
		}
		if strings.HasPrefix(at.Text, want) {
			return
		}
	}
	c.t.Fatalf("Tab does not reach %q: %q", want, seen)
}

// TestConsoleWithTheKeyboard uses no mouse.
func TestConsoleWithTheKeyboard(t *testing.T) {
	findBrowser(t)
	_, address := startWithConsole(t, "memory:")
	c := openConsole(t, address.String(), desktop)
	if at := c.press(kb.Tab); at.Text != "a Skip to the operations" || !at.InWindow {
		t.Errorf("the first focus: %+v", at)
	}
	c.tabTo("button alice")
	c.press(kb.Enter)
	c.wantText("#now", "alice ·")
	c.wantText("#announce", "Logged in as alice.")
	c.tabTo("button Open /events")
	c.press(" ")
	c.wantText(".stream .events", "tick 1")
	c.tabTo("input Filter")
	c.do(chromedp.KeyEvent("admin users"))
	c.until("two operations are left", `document.querySelectorAll(".operation:not([hidden])").length === 2`)
	c.tabTo("summary GET /admin/users")
	c.press(kb.Enter)
	c.tabTo("button Call")
	if at := c.press(kb.Enter); at.Text != "button Call" {
		t.Errorf("the focus has moved to %q", at.Text)
	}
	c.wantText("[data-operation=listUsers] .meaning", "it needs the role ADMIN")
	c.wantText("#announce", "GET /admin/users: 403 Forbidden. The caller is known, and may not do this: it needs the role ADMIN.")
	c.tabTo("button End this one")
	c.press(kb.Enter)
	c.wantText(".stream[data-state=ended] .meaning", "The server ended it")
	c.wantText("#announce", "401 Unauthorized")
	c.tabTo("input alice")
	c.press(kb.ArrowDown)
	c.wantText("#now", "not logged in")
	for i := 0; ; i++ { // Tab leaves the page in the end: nothing keeps the focus
		if c.press(kb.Tab).Body {
			break
		}
		if i == 120 {
			t.Fatal("the focus stays in the page")
		}
	}
	c.noErrors()
}

// TestConsoleWithAxe runs axe-core, which finds faults of accessibility such as low contrast.
func TestConsoleWithAxe(t *testing.T) {
	file := os.Getenv("AXE_CORE")
	if file == "" {
		t.Skip("AXE_CORE is not the path of axe.min.js: npm pack axe-core")
	}
	findBrowser(t)
	axe, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, address := startWithConsole(t, "memory:")
	for _, as := range []view{desktop, {1280, 900, "dark"}, {360, 740, "light"}, {360, 740, "dark"}} {
		c := openConsole(t, address.String(), as)
		check := func(state string) {
			eval[bool](c, string(axe)+"; true")
			for _, fault := range eval[[]string](c, `axe.run().then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html + " " + n.failureSummary).join("\n")))`) {
				t.Errorf("%+v, %s: %s", as, state, fault)
			}
		}
		check("nobody is logged in")
		c.logIn("alice", "alice")
		c.click("#streams-open button", "Open /events")
		c.wantText(".stream .events", "tick 1")
		c.click("#actions button", "Refresh in two tabs")
		c.wantText("#action-answer", "Both tabs have the same")
		c.call("listUsers", 403)
		c.call("listSessions", 200)
		c.click("#actions button", "Log out")
		c.wantText("#probe-answer .pill", "401")
		eval[bool](c, `document.querySelectorAll("details").forEach(e => { e.open = true }), true`)
		c.until("the forms are there", `document.querySelectorAll(".operation form").length === document.querySelectorAll(".operation").length`)
		check("everything is open")
	}
}

package securitytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// Mount returns the router of the application with the operations of the document on it, each
// behind its guard:
//
//	func(s securitytest.Setup) (http.Handler, error) {
//		return gen.GuardedHandler(gen.UnimplementedGuardedServer{}, s.Validator, authenticator, s.Options...)
//	}
//
// A request that its guard lets pass is recorded and answered there, so no handler runs behind a
// guard. A handler without its guard would run: give the router the server of generated code that
// implements nothing, and not that of the application. [Exchange] and [ServerAt] make the handler
// for routers that are not built on net/http.
type Mount func(setup Setup) (http.Handler, error)

// Setup is what a [Mount] gives to generated code.
type Setup struct {
	// Validator accepts the tokens of the fixture.
	Validator *security.Validator
	// Options are those of [WithPolicy], and the recorder. Options that the application adds stand
	// before them. A validator of requests (guard.WithSchemaValidator) is left out: the recorder is
	// in its place.
	Options []guard.Option
	// Policy is made of the two, for the functions of generated code that take a policy.
	Policy *guard.Policy
}

// MatrixOption changes a matrix.
type MatrixOption func(*matrix)

// WithBaseURL sets what the router has in front of the paths of the document, such as /api/v1.
func WithBaseURL(path string) MatrixOption { return func(m *matrix) { m.baseURL = path } }

// WithPathParameter sets the value of a path parameter, percent-encoded, where the default 1 leads
// to another operation.
func WithPathParameter(name, value string) MatrixOption {
	return func(m *matrix) { m.parameters[name] = value }
}

// WithPolicy adds the options about requests that the application gives to guard.New.
func WithPolicy(options ...guard.Option) MatrixOption {
	return func(m *matrix) { m.policy = append(m.policy, options...) }
}

// WithCSRFHeader sets the header that repeats the claim csrf, if guard.WithCSRFHeader does.
func WithCSRFHeader(name string) MatrixOption { return func(m *matrix) { m.csrfHeader = name } }

// WithSubject sets the subject of all tokens, "matrix" by default: for a hook that looks it up.
func WithSubject(subject string) MatrixOption { return func(m *matrix) { m.subject = subject } }

// WithCredentials sets the credentials of a scheme that is not for JWTs. The matrix sends each of
// them, and one that nobody has. For every alternative with the scheme one has to satisfy the
// rules.
func WithCredentials(scheme string, credentials ...Credential) MatrixOption {
	return func(m *matrix) { m.credentials[scheme] = append(m.credentials[scheme], credentials...) }
}

// Credential is one that the authenticator of the application accepts, with the facts of the
// guard.Caller that it returns.
type Credential struct {
	// Name is what the table calls it, such as "partner". It does not contain the secret.
	Name string
	// Value is the key, the opaque token, or the name and the password with a colon between them.
	Value string
	// Set puts the credential on a request in another way than Value, for client certificates.
	Set func(*http.Request)
	// Scopes, Roles and AuthTime are those of the caller.
	Scopes, Roles []string
	AuthTime      time.Time
}

// matrix is one run of [Fixture.Matrix].
type matrix struct {
	*Fixture
	operations  []guard.Operation
	baseURL     string
	parameters  map[string]string
	policy      []guard.Option
	csrfHeader  string
	subject     string
	credentials map[string][]Credential

	recorder recorder
	handler  http.Handler
	// texts are the tokens that were issued, by their description.
	texts map[string]mintedText
}

type mintedText struct {
	text string
	err  error
}

// Matrix asks every operation with every credential, and returns the answers. operations is the
// table that generated code exports as GuardedOperations. An answer that the table of operations
// does not predict fails the test: so does an operation that is mounted without its guard, and one
// that is not mounted. A new operation of the document takes part without a change of the test.
func (f *Fixture) Matrix(t testing.TB, operations []guard.Operation, mount Mount, options ...MatrixOption) *Table {
	t.Helper()
	m := &matrix{
		Fixture: f, operations: operations, parameters: map[string]string{}, csrfHeader: guard.DefaultCSRFHeader, subject: "matrix",
		credentials: map[string][]Credential{}, texts: map[string]mintedText{},
	}
	for _, option := range options {
		option(m)
	}
	if err := m.mount(mount); err != nil {
		t.Fatalf("securitytest: %v", err)
	}
	if len(operations) == 0 {
		t.Error("securitytest: there are no operations")
	}
	table := &Table{}
	for i := range operations {
		rows, problems := m.ask(t.Context(), &operations[i])
		table.Rows = append(table.Rows, rows...)
		for _, row := range rows {
			if !row.asExpected() {
				problems = append(problems, row.problem())
			}
		}
		if len(problems) > 0 {
			t.Errorf("%s %s (%s):\n\t%s%s", operations[i].Method, operations[i].Path, operations[i].ID, strings.Join(problems, "\n\t"), hint(rows))
		}
	}
	return table
}

func (m *matrix) mount(mount Mount) (err error) {
	setup := Setup{Validator: m.Validator, Options: slices.Concat(m.policy, []guard.Option{guard.WithSchemaValidator(&m.recorder)})}
	if setup.Policy, err = guard.New(m.Validator, setup.Options...); err != nil {
		return err
	}
	m.handler, err = mount(setup)
	switch {
	case err != nil:
		return err
	case m.handler == nil:
		return errors.New("the mount returned no handler")
	case !m.recorder.isInUse() && len(m.operations) > 0:
		// Handlers would run.
		return errors.New("the mount uses neither the Options nor the Policy of its setup; no request was sent")
	}
	return nil
}

// ask sends every request of an operation. problems are the credentials that it could not make.
func (m *matrix) ask(ctx context.Context, o *guard.Operation) (rows []Row, problems []string) {
	tries, problems := m.triesOf(o)
	for _, try := range tries {
		answer, schemes, err := m.send(ctx, o, &try)
		if err != nil {
			problems = append(problems, try.label+": "+err.Error())
			continue
		}
		expected := m.expect(o, &try)
		if answer == Reached && len(expected.alternatives) > 0 && !expected.holds(schemes) {
			answer = "reached by another alternative: " + cmp.Or(strings.Join(schemes, " and "), "anonymous")
		}
		rows = append(rows, Row{
			Operation: o.ID, Method: o.Method, Path: o.Path, Credential: try.label,
			Answer: answer, Expected: expected.answers, group: try.group,
		})
	}
	return rows, problems
}

// otherOperation is in front of the id in the answer of an operation that was not asked.
const otherOperation = "reached operation "

// send sends a request. It returns the answer, and the schemes of the accepted alternative.
func (m *matrix) send(ctx context.Context, o *guard.Operation, try *try) (answer string, schemes []string, err error) {
	ctx, cancel := context.WithCancel(ctx) // ends what watches the tokens of the request
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, o.Method, m.target(o), http.NoBody)
	if err := m.put(r, try); err != nil {
		return "", nil, err
	}
	m.recorder.reset()
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, r)
	reached := m.recorder.reached()
	switch {
	case len(reached) == 0:
		return fmt.Sprint(w.Code), nil, nil
	case len(reached) > 1:
		return fmt.Sprintf("reached %d times", len(reached)), nil, nil
	case reached[0].id != o.ID || reached[0].method != o.Method:
		return otherOperation + reached[0].id, nil, nil
	}
	return Reached, reached[0].schemes, nil
}

// target returns the URL of the operation, with a value for each parameter of its path.
func (m *matrix) target(o *guard.Operation) string {
	var target strings.Builder
	target.WriteString(m.baseURL)
	rest := o.Path
	for {
		before, after, found := strings.Cut(rest, "{")
		target.WriteString(before)
		name, tail, closed := strings.Cut(after, "}")
		if !found || !closed {
			return target.String()
		}
		value, ok := m.parameters[name]
		if !ok {
			value = "1"
		}
		target.WriteString(value)
		rest = tail
	}
}

// recorder takes the place of the validator of requests, which every guard calls for a request that
// it lets pass, on every router, before the router binds a parameter. It answers the request.
type recorder struct {
	mu   sync.Mutex
	seen []seen
	// inUse is set when a guard is made with the recorder.
	inUse bool
}

// seen is a request that its guard let pass.
type seen struct {
	id, method string
	// schemes are those of the accepted alternative.
	schemes []string
}

// Knows implements guard.SchemaValidator. It is called for each guard that is made.
func (r *recorder) Knows(*guard.Operation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inUse = true
	return true
}

func (r *recorder) isInUse() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inUse
}

// ValidateRequest implements guard.SchemaValidator. It refuses every request, so that its handler
// does not run.
func (r *recorder) ValidateRequest(request *http.Request, o *guard.Operation, _ guard.PathParams) error {
	s := seen{id: o.ID, method: o.Method}
	if credentials, err := guard.RequestCredentials(request.Context(), o); err == nil {
		s.schemes = credentials.Schemes()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, s)
	return security.ErrNotImplemented
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = nil
}

func (r *recorder) reached() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

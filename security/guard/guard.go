package guard

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// The model, in ten lines:
//
//	Policy         the validator and the options about requests, one for an API
//	Operation      what the document says of one operation: requirement and rules
//	Guard          one Operation under a Policy; decide is its request path
//	source         a place in the request: header, query parameter, cookie, connection
//	alternative    schemes of one element of security; all must hold, the first that holds wins
//	located        what the request has at each source, read once
//	accepted       a credential that passed every step
//	result         the accepted credentials on the context, bound to the operation
//	decision       the result, or the error and the scheme that failed
//	Response       status, header and body for every router

// Guards are the guards of the operations of one API. Generated code makes and uses them.
type Guards struct {
	policy *Policy
	guards map[*Operation]*Guard
}

// Guard decides over the requests for one operation.
type Guard struct {
	policy    *Policy
	operation *Operation
	optional  bool
	// alternatives are in document order, without the empty one.
	alternatives []alternative
	// sources are the places of all credentials, each once.
	sources []source
	// exclusivePairs are pairs of sources that must not both have a token: one is the query.
	exclusivePairs [][2]int
	// challenges are those of a request without credentials, each once.
	challenges []string
	// fault refuses every request, because the guard is not set up.
	fault error
}

// alternative is a list of schemes that let a request pass together.
type alternative []requiredScheme

// requiredScheme is one scheme of an alternative.
type requiredScheme struct {
	*Scheme
	// source is the index of the scheme's source.
	source int
	// displacedBy are the indices of header sources of the same token type, for a cookie: a header
	// that is present decides alone.
	displacedBy []int
	// challenge is the scheme's challenge without an error, "" for none.
	challenge string
	// hasRules is set where the operation or the requirement needs more than a valid credential.
	hasRules bool
	// verifier is for tokens, authenticator for other credentials.
	verifier      *security.Verifier
	authenticator SchemeAuthenticator
}

const (
	// maxSources bounds the number of sources of one operation.
	maxSources = 8
	// fewSources are as many as most operations have: a header, perhaps a cookie too.
	fewSources = 2
)

// located is what a request has at each source of a guard.
type located []locatedCredential

// decision is the result of a guard. The zero decision lets a request pass to a public operation.
type decision struct {
	// private is set where the response must not be stored, because the URL contains a token.
	private bool
	// refused says why the request is refused; its error is nil for one that passes.
	refused
	// passed is the result for the context of a request that passes.
	passed result
	// measured is for observers of decisions. It stays zero without one.
	measured measured
}

// HandlerFunc returns next behind the guard of the operation, for routers on net/http that set its
// path values. next runs only for requests that the guard lets pass, with the credential on the
// context. No byte of the body is read before. An operation without a guard is answered 500.
func (g *Guards) HandlerFunc(operation *Operation, next http.HandlerFunc) http.HandlerFunc {
	guard := g.Of(operation)
	if guard.isIdle() {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if r, ok := guard.HTTP(w, r, httpRequest{r}); ok {
			next(w, r)
		}
	}
}

// Of returns the guard of the operation. For an operation that g does not guard it returns a guard
// that refuses every request: 500.
func (g *Guards) Of(operation *Operation) *Guard {
	if guard := g.guards[operation]; guard != nil {
		return guard
	}
	return &Guard{policy: g.policy, operation: operation, fault: security.ErrUnguarded}
}

// isIdle reports whether the guard lets every request pass unchanged and nobody observes that.
func (g *Guard) isIdle() bool {
	return g.fault == nil && len(g.alternatives) == 0 && g.policy.schema == nil && !g.isObserved()
}

// HTTP decides over a request, for routers on net/http. It returns the request for the handler of
// the operation, with the credential on its context; or it has written the response, and returns
// false. params are the path parameters that the router found.
func (g *Guard) HTTP(w http.ResponseWriter, r *http.Request, params PathParams) (*http.Request, bool) {
	var d decision
	ctx := r.Context()
	g.decide(ctx, httpRequest{r}, &d)
	if d.err != nil {
		g.observe(ctx, &d, d.refused)
		g.response(ctx, d.refused).write(w)
		return nil, false
	}
	if d.private {
		w.Header().Set("Cache-Control", privateResponse)
	}
	if d.passed.guard != nil {
		if g.operation.Rules.Watch {
			ctx, _ = g.watch(ctx, &d.passed) // the context of a request ends with it
		}
		ctx = d.passed.on(ctx)
		r = r.WithContext(ctx)
	}
	if g.policy.schema != nil {
		if err := g.policy.schema.ValidateRequest(r, g.operation, params); err != nil {
			invalid := refused{err: err, token: tokenOf(ctx)}
			g.observe(ctx, &d, invalid)
			g.response(ctx, invalid).write(w)
			return nil, false
		}
	}
	g.observe(ctx, &d, refused{})
	return r, true
}

// Decision is the decision over a request, for routers that are not on net/http.
type Decision struct {
	// Context is the context for the handler, or nil where the request is refused.
	Context context.Context
	// Header has fields for the response to a request that passes, or is nil.
	Header http.Header
	// Response is the response to a request that is refused.
	Response Response
	// Stop releases the watch of the tokens when the handler is done, or is nil.
	Stop func()
}

// privateResponse is the Cache-Control where the URL contains a token (RFC 6750, section 2.3).
const privateResponse = "private, no-store"

// Check decides over a request, for routers that are not on net/http.
func (g *Guard) Check(ctx context.Context, r Request) Decision {
	var d decision
	g.decide(ctx, r, &d)
	if d.err != nil {
		g.observe(ctx, &d, d.refused)
		return Decision{Response: g.response(ctx, d.refused)}
	}
	var decision Decision
	if d.passed.guard != nil && g.operation.Rules.Watch {
		ctx, decision.Stop = g.watch(ctx, &d.passed)
	}
	decision.Context = d.passed.on(ctx)
	if d.private {
		decision.Header = http.Header{"Cache-Control": {privateResponse}}
	}
	if response := g.checkSchemaOf(decision.Context, r, &d); response != nil {
		if decision.Stop != nil {
			decision.Stop()
		}
		return Decision{Response: *response}
	}
	g.observe(ctx, &d, refused{})
	return decision
}

// decide is the request path. Its steps, in this order:
//
//	locate              read the credential at each source, once
//	refuse conflicts    a token in the query beside another token
//	alternatives        try each complete alternative in document order; the first that holds wins
//	verify              token: form, signature, claims, times, type; other kinds: the authenticator
//	origin and CSRF     for what browsers send by themselves, on requests that change something
//	revocation          ask the blacklist; then the CSRF form, which reads the body
//	rules               freshness, roles, scopes
//	hook                the function of the application for the token type
//
// The first step that fails ends the alternative. A request is anonymous only if it has no
// credential at all. d is the zero decision; decide fills it in.
func (g *Guard) decide(ctx context.Context, r Request, d *decision) {
	if g.isObserved() {
		d.measured.began = time.Now()
	}
	if g.fault != nil {
		d.err = g.fault
		return
	}
	if g.operation == nil || g.policy == nil { // the zero Guard knows no requirement
		d.err = security.ErrUnguarded
		return
	}
	if len(g.alternatives) == 0 {
		return // public
	}
	var few [fewSources]locatedCredential // memory for all of them would be cleared for each request
	at := located(few[:])
	if len(g.sources) > fewSources {
		at = make(located, len(g.sources))
	}
	if d.err = g.locate(ctx, r, at); d.err != nil {
		return
	}
	if d.err = g.refuseConflicts(at); d.err != nil {
		return
	}
	if !g.hasAny(at) {
		g.admitAnonymous(r, d)
		return
	}
	for _, alternative := range g.alternatives {
		if alternative.isComplete(at) && g.tryAlternative(ctx, r, alternative, at, d) {
			d.private, d.passed.guard = g.hasQuery(at), g
			d.refused = refused{} // by an alternative before
			return
		}
	}
	if err := g.malformed(at); err != nil {
		d.refused = refused{err: err}
	} else if d.err == nil { // no alternative is complete
		d.err = security.ErrNoCredentials
	}
}

// tryAlternative runs the steps from verify to hook for each credential of an alternative, and lists
// the accepted ones in the result. It reports whether the alternative holds. If not, the decision
// has the scheme that failed, and why.
func (g *Guard) tryAlternative(ctx context.Context, r Request, a alternative, at located, d *decision) bool {
	c := &d.passed.first
	for i := range a {
		if i > 0 {
			c.next = &acceptedCredential{}
			c = c.next
		}
		s := &a[i]
		*c = acceptedCredential{scheme: s.Scheme}
		err := g.verify(ctx, r, s, &at[s.source], c, &d.measured)
		needsForm := false
		if err == nil {
			needsForm, err = g.checkOriginAndCSRF(r, s, c)
		}
		if err == nil {
			err = g.measureRevoked(ctx, c, &d.measured)
		}
		if err == nil && needsForm {
			err = g.policy.checkCSRFForm(r, c.token)
		}
		if err == nil && s.hasRules {
			err = g.checkRules(s, c)
		}
		if err == nil {
			err = g.runHook(ctx, c)
		}
		if err != nil {
			d.addRefusal(refused{err: err, scheme: s.Scheme, token: c.token, accepted: i})
			return false
		}
	}
	if len(a) > 1 && !g.policy.differentSubjects && !d.passed.first.sameSubject() {
		d.addRefusal(refused{err: security.ErrAccessDenied.Because("tokens of different subjects", nil), scheme: a[0].Scheme})
		return false
	}
	return true
}

// locate reads the credential at each source. One that is malformed counts as present: it displaces
// others and is not anonymous, and no alternative with it is complete. A plain key in the header
// Authorization is no credential of another authentication scheme.
func (g *Guard) locate(ctx context.Context, r Request, at located) (err error) {
	for i := range g.sources {
		s := &g.sources[i]
		if s.in == inConnection {
			at[i].certificate, err = g.policy.clientCertificate(ctx, r)
			at[i].present = at[i].certificate != nil
			if err != nil {
				return err
			}
			continue
		}
		if err := s.locate(r, &at[i]); err != nil {
			at[i] = locatedCredential{present: true, malformed: err}
		}
		if at[i].present && s.isPlainKey() && g.hasOtherScheme(at[i].text) {
			at[i] = locatedCredential{}
		}
	}
	return nil
}

// malformed returns why a credential of the request is malformed, or nil.
func (g *Guard) malformed(at located) error {
	for i := range g.sources {
		if at[i].malformed != nil {
			return at[i].malformed
		}
		if g.sources[i].onlyTokens {
			if err := checkSpace(at[i].text); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuseConflicts refuses a token in the query beside another token (RFC 6750, section 2).
func (g *Guard) refuseConflicts(at located) error {
	for _, pair := range g.exclusivePairs {
		if at[pair[0]].present && at[pair[1]].present {
			return malformed("a token in the query beside another one")
		}
	}
	return nil
}

// hasAny reports whether the request has a credential at any source.
func (g *Guard) hasAny(at located) bool {
	for i := range g.sources {
		if at[i].present {
			return true
		}
	}
	return false
}

// hasQuery reports whether the request has a credential in the query.
func (g *Guard) hasQuery(at located) bool {
	for i := range g.sources {
		if at[i].present && g.sources[i].in == InQuery {
			return true
		}
	}
	return false
}

// admitAnonymous lets a request without credentials pass if the operation is optional. A header
// Authorization that no alternative understands is not anonymous; an empty one is.
func (g *Guard) admitAnonymous(r Request, d *decision) {
	if !g.optional || slices.ContainsFunc(r.Header(authorization), func(value string) bool { return strings.Trim(value, " ") != "" }) {
		d.err = security.ErrNoCredentials
		return
	}
	d.passed.guard = g
}

// isComplete reports whether every credential of the alternative is present and not displaced.
func (a alternative) isComplete(at located) bool {
	for i := range a {
		if source := &at[a[i].source]; !source.present || source.malformed != nil {
			return false
		}
		for _, header := range a[i].displacedBy {
			if at[header].present {
				return false
			}
		}
	}
	return true
}

// verify decides whether the credential is valid by itself. An authenticator may be slow or count
// its calls, so that the origin is checked before it is called.
func (g *Guard) verify(ctx context.Context, r Request, s *requiredScheme, at *locatedCredential, c *acceptedCredential, m *measured) (err error) {
	if s.Kind == KindJWT {
		c.token, err = g.verifyToken(ctx, s, at.text, m)
		if at.others != nil {
			c.token, err = g.oneSession(ctx, r, s, at, c, err, m)
		}
		return err
	}
	if at.others != nil {
		return security.ErrInvalidCredentials.Because("the same cookie with different values", nil)
	}
	if len(at.text) > security.DefaultMaxTokenSize {
		return security.ErrInvalidCredentials.Because("a longer credential than accepted", nil)
	}
	if s.isAmbient() && unsafeRequest(r) {
		if err := g.policy.checkOrigin(r); err != nil {
			return err
		}
	}
	c.value, c.caller, err = s.authenticator.authenticate(ctx, s.Name, *at)
	return err
}

// oneSession decides over a cookie that the request has several times: a browser keeps one with
// former attributes beside one with new ones. Those that verify must belong to one session. Of those
// it returns the one whose claim csrf the request repeats, else the newest. c.token and err are the
// result for the first.
func (g *Guard) oneSession(ctx context.Context, r Request, s *requiredScheme, at *locatedCredential, c *acceptedCredential, err error, m *measured) (security.AnyToken, error) {
	token := c.token
	for _, text := range at.others {
		other, otherErr := g.verifyToken(ctx, s, text, m)
		switch {
		case otherErr != nil:
			if token == nil && (&refused{err: otherErr}).rank() > (&refused{err: err}).rank() {
				err = otherErr
			}
		case token == nil:
			token, err = other, nil
		case other.Session() == "" || other.Session() != token.Session() || other.Subject() != token.Subject() || other.Issuer() != token.Issuer():
			return nil, security.ErrInvalidToken.Because("cookies of different sessions", nil)
		case checkCSRF(token, r.Header(g.policy.csrfHeader)) == nil:
		case checkCSRF(other, r.Header(g.policy.csrfHeader)) == nil || other.IssuedAt().After(token.IssuedAt()):
			token = other
		}
	}
	return token, err
}

// checkOriginAndCSRF checks a token in a cookie on an unsafe request. It reports whether the form
// must still be checked. A browser cannot send the header of the double submit when it asks for an
// upgrade, such as a WebSocket: there the origin decides.
func (g *Guard) checkOriginAndCSRF(r Request, s *requiredScheme, c *acceptedCredential) (needsForm bool, err error) {
	if c.token == nil || s.In != InCookie || !unsafeRequest(r) {
		return false, nil
	}
	if err := g.policy.checkOrigin(r); err != nil || isUpgrade(r) {
		return false, err
	}
	return g.policy.checkCSRFHeader(r, c.token, s.CSRFForm)
}

// checkRevoked asks the blacklist for a token.
func (g *Guard) checkRevoked(ctx context.Context, c *acceptedCredential) error {
	if c.token == nil {
		return nil
	}
	if g.operation.Rules.ImmediateRevocation {
		return g.policy.validator.CheckRevokedNow(ctx, c.token)
	}
	return g.policy.validator.CheckRevoked(ctx, c.token)
}

// runHook runs the hook of the token type.
func (g *Guard) runHook(ctx context.Context, c *acceptedCredential) (err error) {
	if c.token != nil {
		c.value, err = g.policy.validator.RunHook(ctx, c.token)
	}
	return err
}

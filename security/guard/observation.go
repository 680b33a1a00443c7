package guard

import (
	"context"
	"errors"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// Observation is the decision of a guard over one request, for metrics and traces. It contains
// nothing of the request.
type Observation struct {
	// Operation is the operation. Its address is the same for all requests of a guard.
	Operation *Operation
	// Scheme is the name of the security scheme: the first of the accepted alternative, or that of
	// the credential that failed. It is "" for a public operation, for an anonymous caller, and
	// where no scheme was tried.
	Scheme string
	// Status is that of the response to a request that is refused, and 0 for one that passes.
	Status int
	// Reason is why the request is refused, a fixed text as in [Refusal]; "" for one that passes.
	Reason string
	// TokenTried is set where the request had a token to verify, and Cached where the cache of
	// verified tokens had each of them.
	TokenTried, Cached bool
	// Duration is how long the decision took.
	Duration time.Duration
	// BlacklistAsked is set where the blacklist was asked, and BlacklistDuration is how long it took
	// to answer.
	BlacklistAsked    bool
	BlacklistDuration time.Duration
}

// WithDecisionObserver adds a function that is called once for each request that reaches a guard,
// also that of a public operation: when the guard has decided, and before the handler runs. Errors
// of parameters and of handlers come later and do not count; [WithObserver] is called for them. The
// context is that of the request. The function must be fast and safe for concurrent use. Package
// observe has those for OpenTelemetry. Several functions are called in the order of the options.
func WithDecisionObserver(observer func(ctx context.Context, observation Observation)) Option {
	return func(p *Policy) error {
		if observer == nil {
			return errors.New("guard: WithDecisionObserver needs a function")
		}
		p.decisionObservers = append(p.decisionObservers, observer)
		return nil
	}
}

// measured is what an observation has besides the result of the decision.
type measured struct {
	began          time.Time
	blacklistAsked bool
	blacklist      time.Duration
	// tokens counts those that were verified, and cached those of them that the cache had.
	tokens, cached int
}

// isObserved reports whether decisions are measured.
func (g *Guard) isObserved() bool { return g.policy != nil && g.policy.decisionObservers != nil }

// verifyToken decides over a token, and counts whether it was cached.
func (g *Guard) verifyToken(ctx context.Context, s *requiredScheme, text string, m *measured) (security.AnyToken, error) {
	token, cached, err := s.verifier.VerifyReportingCache(ctx, s.Token, text)
	m.tokens++
	if cached {
		m.cached++
	}
	return token, err
}

// measureRevoked is checkRevoked, and measures the time if somebody observes decisions.
func (g *Guard) measureRevoked(ctx context.Context, c *acceptedCredential, m *measured) error {
	if c.token == nil || !g.isObserved() {
		return g.checkRevoked(ctx, c)
	}
	before := time.Since(m.began)
	err := g.checkRevoked(ctx, c)
	m.blacklistAsked = true
	m.blacklist += time.Since(m.began) - before
	return err
}

// observe calls the observers of decisions. r has no error for a request that passes.
func (g *Guard) observe(ctx context.Context, d *decision, r refused) {
	if g.isObserved() {
		g.callObservers(ctx, d, r)
	}
}

func (g *Guard) callObservers(ctx context.Context, d *decision, r refused) {
	o := Observation{
		Operation: g.operation, Duration: time.Since(d.measured.began),
		TokenTried:     d.measured.tokens > 0,
		Cached:         d.measured.tokens > 0 && d.measured.cached == d.measured.tokens,
		BlacklistAsked: d.measured.blacklistAsked, BlacklistDuration: d.measured.blacklist,
	}
	scheme := r.scheme
	if r.err != nil {
		said := summarize(r.err)
		o.Status, o.Reason = said.status, reasonOf(r.err, said)
	} else {
		scheme = d.passed.first.scheme
	}
	if scheme != nil {
		o.Scheme = scheme.Name
	}
	for _, observer := range g.policy.decisionObservers {
		observer(ctx, o)
	}
}

// reasonOf returns why a request was refused, in fixed words.
func reasonOf(err error, said summary) string {
	if reason := security.Reason(err); reason != "" {
		return reason
	}
	return said.detail
}

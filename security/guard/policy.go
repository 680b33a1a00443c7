package guard

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// DefaultCSRFHeader is the header that repeats the claim csrf of a token in a cookie.
const DefaultCSRFHeader = "X-CSRF-Token"

// DefaultCSRFField is the form field that repeats it, where the document says x-guard: {csrf: form}.
const DefaultCSRFField = "csrf_token"

// Policy holds a validator and the options about requests and responses. All guards of an API share
// one. Make it with [New]. It is immutable and safe for concurrent use.
type Policy struct {
	validator *security.Validator
	// realm is a quoted-string of RFC 9110, section 5.6.4.
	realm string
	// noBasicChallenge leaves the challenge of http basic out.
	noBasicChallenge bool
	// differentSubjects accepts two tokens of different subjects in one request.
	differentSubjects    bool
	forwardedCertificate func(context.Context, func(name string) []string) (*x509.Certificate, error)
	errorHandler         ErrorHandler
	schema               SchemaValidator
	crossOrigin          *http.CrossOriginProtection
	csrfHeader           string
	csrfField            string
	logger               *slog.Logger
	limiter              *logLimiter
	observer             func(ctx context.Context, refusal Refusal)
	decisionObservers    []func(ctx context.Context, observation Observation)
}

// Option changes a policy.
type Option func(*Policy) error

// New makes a policy for the tokens that the validator accepts.
func New(validator *security.Validator, options ...Option) (*Policy, error) {
	if validator == nil || validator.Verifier("") == nil {
		return nil, errors.New("guard: a policy needs a validator; make one with security.New or security.NewValidator")
	}
	p := &Policy{
		validator: validator, realm: `"api"`, logger: slog.New(slog.DiscardHandler),
		limiter:     &logLimiter{now: time.Now, kinds: map[string]*loggedKind{}},
		crossOrigin: http.NewCrossOriginProtection(),
		csrfHeader:  http.CanonicalHeaderKey(DefaultCSRFHeader), csrfField: DefaultCSRFField,
	}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("guard: a nil option")
		}
		if err := option(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// WithRealm sets the realm of challenges (RFC 9110, section 11.5): printable ASCII, "api" by default.
func WithRealm(realm string) Option {
	return func(p *Policy) error {
		for _, c := range []byte(realm) {
			if c < 0x20 || c > 0x7e {
				return errors.New("guard: a realm is printable ASCII")
			}
		}
		p.realm = quoted(realm)
		return nil
	}
}

// WithoutBasicChallenge leaves the challenge of http basic schemes out of responses, so that
// browsers do not open a dialog for a password.
func WithoutBasicChallenge() Option {
	return func(p *Policy) error { p.noBasicChallenge = true; return nil }
}

// WithDifferentSubjects accepts tokens of different subjects for an operation that needs two tokens
// at once, such as the token of a service beside that of the user whom it serves. By default such a
// request is answered 403.
func WithDifferentSubjects() Option {
	return func(p *Policy) error { p.differentSubjects = true; return nil }
}

// WithErrorHandler sets a function that may replace the response to a refused request.
func WithErrorHandler(handler ErrorHandler) Option {
	return func(p *Policy) error {
		if handler == nil {
			return errors.New("guard: WithErrorHandler needs a handler")
		}
		p.errorHandler = handler
		return nil
	}
}

// WithLogger sets where requests that are not served are logged, except those without credentials.
// Records contain the operation, the status, the reason in fixed words and the hash of the subject,
// no token. Only the error of a handler of the application is logged with its text. Of records with
// the same reason one is logged each second, with the number of those that were not. The default is
// to log nothing.
func WithLogger(logger *slog.Logger) Option {
	return func(p *Policy) error {
		if logger == nil {
			return errors.New("guard: WithLogger needs a logger")
		}
		p.logger = logger
		return nil
	}
}

// WithSchemaValidator checks every request against the document, those of public operations too:
// after its guard has let it pass and before its parameters are bound. A request that does not
// match is answered 400, or as the validator decides, and its handler does not run.
func WithSchemaValidator(validator SchemaValidator) Option {
	return func(p *Policy) error {
		if isNil(validator) {
			return errors.New("guard: WithSchemaValidator needs a validator")
		}
		p.schema = validator
		return nil
	}
}

// WithCSRFHeader sets the header that repeats the claim csrf of a token in a cookie,
// [DefaultCSRFHeader] by default.
func WithCSRFHeader(name string) Option {
	return func(p *Policy) error {
		if name == "" {
			return errors.New("guard: WithCSRFHeader needs the name of a header")
		}
		p.csrfHeader = http.CanonicalHeaderKey(name)
		return nil
	}
}

// WithCSRFField sets the form field that repeats the claim csrf, [DefaultCSRFField] by default.
func WithCSRFField(name string) Option {
	return func(p *Policy) error {
		if name == "" {
			return errors.New("guard: WithCSRFField needs the name of a field")
		}
		p.csrfField = name
		return nil
	}
}

// WithTrustedOrigins names origins, such as https://app.example.com, whose pages may send requests
// with cookies from another site. Their scripts must still repeat the claim csrf of the token. See
// http.CrossOriginProtection.
func WithTrustedOrigins(origins ...string) Option {
	return func(p *Policy) error {
		for _, origin := range origins {
			if err := p.crossOrigin.AddTrustedOrigin(origin); err != nil {
				return errors.New("guard: a trusted origin is like https://app.example.com, without a path")
			}
		}
		return nil
	}
}

// WithForwardedCertificate sets a function that returns the client certificate of a connection that
// ends at a proxy. The function reads the header of the proxy, makes sure that nobody else has set
// it, and returns the certificate that the proxy has verified; nil if there is none. An error
// refuses the request: a security.Error keeps its status, any other is answered 503. Without the
// function no header is read for a certificate.
func WithForwardedCertificate(certificate func(ctx context.Context, header func(name string) []string) (*x509.Certificate, error)) Option {
	return func(p *Policy) error {
		if certificate == nil {
			return errors.New("guard: WithForwardedCertificate needs a function")
		}
		p.forwardedCertificate = certificate
		return nil
	}
}

// clientCertificate returns the certificate of the client if it was verified, or nil.
func (p *Policy) clientCertificate(ctx context.Context, r Request) (*x509.Certificate, error) {
	if p.forwardedCertificate != nil {
		certificate, err := p.forwardedCertificate(ctx, func(name string) []string { return r.Header(http.CanonicalHeaderKey(name)) })
		var e *security.Error
		if err != nil && !errors.As(err, &e) {
			err = security.ErrUnavailable.Because("the function for the forwarded certificate failed", err)
		}
		return certificate, err
	}
	// PeerCertificates are what the client claims. Only the chains were verified by the server.
	if state := r.TLS(); state != nil && len(state.VerifiedChains) > 0 && len(state.VerifiedChains[0]) > 0 {
		return state.VerifiedChains[0][0], nil
	}
	return nil, nil
}

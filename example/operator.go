package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/session"
)

// The operations of the operator list and end sessions, and revoke, while the service runs: no other
// process can open the file of a bolt store then.
//
// They are operations of api.yaml, so that the generated guards check the secret and the document
// describes the JSON. A separate listener serves them, on loopback by default: a proxy that publishes
// the API does not publish them. Without ADMIN_TOKEN there is no listener, and the authenticator
// refuses every secret.

// operatorPath is where the operator's operations are.
const operatorPath = "/operator/"

// operatorSecretForm is the form of ADMIN_TOKEN: that of bearer tokens (RFC 6750, section 2.1), with
// at least 32 characters.
var operatorSecretForm = regexp.MustCompile(`^[A-Za-z0-9._~+/-]{32,512}=*$`)

// operatorSecret is the SHA-256 of ADMIN_TOKEN, or nil.
type operatorSecret []byte

func newOperatorSecret(text string) (operatorSecret, error) {
	if text == "" {
		return nil, nil
	}
	if !operatorSecretForm.MatchString(text) {
		return nil, errors.New("ADMIN_TOKEN has at least 32 letters, digits and -._~+/ in front of any =: openssl rand -base64 32")
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:], nil
}

// matches compares in constant time.
func (s operatorSecret) matches(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(s, sum[:]) == 1
}

// Operator checks ADMIN_TOKEN. Failures of an address are limited as those of log-ins are.
func (a *authenticator) Operator(ctx context.Context, secret string) (*guard.Caller[guard.Principal], error) {
	if a.operator == nil {
		return nil, security.ErrInvalidCredentials.Because("there is no operator", nil)
	}
	ctx, cancel := context.WithTimeout(ctx, logInTimeout)
	defer cancel()
	attempt, err := a.operatorLimiter.begin(ctx, "operator", clientOf(ctx).network())
	if tooMany, ok := errors.AsType[*tooManyFailures](err); ok {
		return nil, security.ErrInvalidCredentials.Because(tooMany.Error(), tooMany) // see answerTooMany
	}
	if err != nil {
		return nil, err
	}
	defer attempt.end()
	if !a.operator.matches(secret) {
		attempt.fail()
		return nil, security.ErrInvalidCredentials
	}
	return &guard.Caller[guard.Principal]{Principal: guard.Principal{Subject: "operator"}}, nil
}

// operatorOnly passes on the operator's operations and hides all others.
func operatorOnly(api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(operatorPath, trustedProxies(nil).remember(http.MaxBytesHandler(api, 16<<10)))
	return mux
}

func (s *service) OperatorListSessions(ctx context.Context, _ guard.Caller[guard.Principal], request gen.OperatorListSessionsRequestObject) (gen.OperatorListSessionsResponseObject, error) {
	refuse := func(detail string) (gen.OperatorListSessionsResponseObject, error) {
		return gen.OperatorListSessions400ApplicationProblemPlusJSONResponse{ProblemApplicationProblemPlusJSONResponse: badRequest(detail)}, nil
	}
	if !validUsername(request.Params.Subject) {
		return refuse("This is not a subject.")
	}
	position, err := positionOf(request.Params.Position)
	var page session.Page
	if err == nil {
		page, err = s.sessions.ListOf(ctx, request.Params.Subject, position)
	}
	if errors.Is(err, session.ErrPosition) {
		return refuse(noPosition)
	}
	if err != nil {
		return nil, err
	}
	return gen.OperatorListSessions200JSONResponse{SessionPageJSONResponse: pageResponse(page)}, nil
}

// errIncomplete means that a revocation lacks what its kind needs.
var errIncomplete = errors.New("all kinds but all need a subject; a token and a session need an id")

func (s *service) OperatorRevoke(ctx context.Context, _ guard.Caller[guard.Principal], request gen.OperatorRevokeRequestObject) (gen.OperatorRevokeResponseObject, error) {
	err := s.revoke(ctx, *request.Body)
	if errors.Is(err, errIncomplete) {
		return gen.OperatorRevoke400ApplicationProblemPlusJSONResponse{
			ProblemApplicationProblemPlusJSONResponse: badRequest("The kinds are token, session, subject and all; " + errIncomplete.Error() + "."),
		}, nil
	}
	if err != nil {
		return nil, err
	}
	return gen.OperatorRevoke204Response{}, nil
}

func (s *service) revoke(ctx context.Context, r gen.OperatorRevocation) error {
	var subject, id string
	if r.Subject != nil {
		subject = *r.Subject
	}
	if r.Id != nil {
		id = *r.Id
	}
	hasSubject, hasID := validUsername(subject), id != "" && len(id) <= 2*maxID
	switch {
	case r.Kind == gen.OperatorRevocationKindAll:
		// A session can begin ahead of the clock by the leeway, after an earlier cut-off.
		verifier := s.validator.Verifier("")
		_, err := s.validator.RevokeIssuedBefore(ctx, verifier.Now().Add(verifier.Leeway()))
		return err
	case r.Kind == gen.OperatorRevocationKindSubject && hasSubject:
		return s.sessions.EndAll(ctx, subject)
	case r.Kind == gen.OperatorRevocationKindSession && hasSubject && hasID:
		return s.revokeSession(ctx, subject, id)
	case r.Kind == gen.OperatorRevocationKindToken && hasSubject && hasID:
		if dot := strings.LastIndexByte(id, '.'); dot > 0 { // a refresh token: its session, a dot, its generation
			return s.revokeSession(ctx, subject, id[:dot])
		}
		return s.validator.Record(ctx, s.tokenRevocation(subject, id))
	default:
		return errIncomplete
	}
}

// revokeSession ends a session. If the store has none with the id, its tokens are revoked all the
// same.
func (s *service) revokeSession(ctx context.Context, subject, id string) error {
	err := s.sessions.EndByID(ctx, subject, id)
	if errors.Is(err, session.ErrNotFound) {
		err = s.validator.Record(ctx, s.validator.SessionRevocation(subject, id))
	}
	return err
}

// tokenRevocation revokes a token of which only the id is known, for as long as a token can live.
func (s *service) tokenRevocation(subject, id string) blacklist.Revocation {
	verifier := s.validator.Verifier("")
	until := verifier.Now().Add(verifier.MaxLifetime() + verifier.Leeway() + time.Second)
	return blacklist.OfToken(blacklist.Identity{Issuer: verifier.Issuer(), Subject: subject, ID: id}, until)
}

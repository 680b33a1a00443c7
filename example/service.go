package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
)

// service implements the API of api.yaml. The document decides who may call an operation, and the
// generated guards enforce it: a method with a token argument gets a verified token.
type service struct {
	accounts  *accounts
	tokens    gen.GuardedIssuer
	validator *security.Validator
	cookies   browserCookies
	reports   *reports
}

var _ gen.GuardedServer = (*service)(nil)

// userScopes are the scopes of every access token.
var userScopes = []string{"reports"}

// logInTimeout bounds how long a log-in waits for others.
const logInTimeout = 2 * time.Second

func (s *service) Login(ctx context.Context, request gen.LoginRequestObject) (gen.LoginResponseObject, error) {
	turn, cancel := context.WithTimeout(ctx, logInTimeout)
	defer cancel()
	user, err := s.accounts.logIn(turn, clientOf(ctx), request.Body.Username, request.Body.Password)
	if errors.Is(err, errWrongPassword) {
		detail := "Wrong username or password."
		var response gen.Login401ApplicationProblemPlusJSONResponse
		response.Body = gen.Problem{Title: "Unauthorized", Status: 401, Detail: &detail}
		response.Headers = gen.UnauthorizedResponseHeaders{WWWAuthenticate: `Bearer realm="api"`, CacheControl: "no-store"}
		return response, nil
	}
	if tooMany, ok := errors.AsType[*tooManyFailures](err); ok {
		return gen.Login429ApplicationProblemPlusJSONResponse{TooManyRequestsApplicationProblemPlusJSONResponse: tooMany.response()}, nil
	}
	if err != nil {
		return nil, err
	}
	browser := request.Body.Cookies != nil && *request.Body.Cookies
	pair, err := s.issue(ctx, user, browser, security.WithFresh())
	if err != nil {
		return nil, err
	}
	if browser {
		return s.cookies.set(pair)
	}
	return gen.Login200JSONResponse{TokenPairJSONResponse: tokenResponse(pair)}, nil
}

// issue issues a pair of tokens. The option is for a new session or for one that continues.
func (s *service) issue(ctx context.Context, user account, browser bool, option security.TokenOption) (security.TokenPair, error) {
	options := []security.TokenOption{option, security.WithRoles(user.role), security.WithScopes(userScopes...)}
	if browser {
		options = append(options, security.WithCSRF())
	}
	return s.tokens.IssueTokenPair(ctx, user.username, claimsOf(user), options...)
}

// Refresh consumes the token first: of two requests with the same token only one gets a new pair.
func (s *service) Refresh(ctx context.Context, token gen.RefreshToken, _ gen.RefreshRequestObject) (gen.RefreshResponseObject, error) {
	if err := s.validator.Consume(ctx, token); err != nil {
		return nil, err
	}
	// Roles and claims come from the account and not from the old token, so that they are up to date.
	user, ok := s.accounts.find(token.Subject())
	if !ok {
		return nil, security.ErrInvalidToken
	}
	browser := token.CSRF() != "" // the old token was issued for a cookie, so the new ones are too
	pair, err := s.issue(ctx, user, browser, security.WithSession(token))
	if err != nil {
		return nil, err
	}
	if browser {
		return s.cookies.set(pair)
	}
	return gen.Refresh200JSONResponse{TokenPairJSONResponse: tokenResponse(pair)}, nil
}

func (s *service) Logout(ctx context.Context, token gen.RefreshToken, _ gen.LogoutRequestObject) (gen.LogoutResponseObject, error) {
	if err := s.validator.RevokeSession(ctx, token); err != nil {
		return nil, err
	}
	if token.CSRF() != "" {
		return s.cookies.clear(), nil
	}
	return gen.Logout204Response{}, nil
}

func (s *service) RevokeCurrentToken(ctx context.Context, token gen.AccessToken, _ gen.RevokeCurrentTokenRequestObject) (gen.RevokeCurrentTokenResponseObject, error) {
	if err := s.validator.Revoke(ctx, token); err != nil {
		return nil, err
	}
	return gen.RevokeCurrentToken204Response{}, nil
}

func (s *service) GetProtected(_ context.Context, token gen.AccessToken, _ gen.GetProtectedRequestObject) (gen.GetProtectedResponseObject, error) {
	info := gen.GetProtected200JSONResponse{
		Identity: token.Subject(), Type: token.Type(), Fresh: token.Fresh(), Exp: token.ExpiresAt().Unix(), Jti: token.ID(),
	}
	if role := token.Role(); role != "" {
		info.Role = &role
	}
	return info, nil
}

func (s *service) GetGreeting(_ context.Context, token *gen.AccessToken, _ gen.GetGreetingRequestObject) (gen.GetGreetingResponseObject, error) {
	name := "stranger"
	if token != nil {
		name = token.Claims().Name
	}
	return gen.GetGreeting200JSONResponse{Message: "Hello, " + name + "!"}, nil
}

func (s *service) ChangeEmail(_ context.Context, token gen.AccessToken, request gen.ChangeEmailRequestObject) (gen.ChangeEmailResponseObject, error) {
	email := request.Body.Email
	if at := strings.IndexByte(email, '@'); at < 1 || at == len(email)-1 || len(email) > 254 {
		detail := "This is not an e-mail address."
		return gen.ChangeEmail400ApplicationProblemPlusJSONResponse{
			ProblemApplicationProblemPlusJSONResponse: gen.ProblemApplicationProblemPlusJSONResponse{Title: "Bad Request", Status: 400, Detail: &detail},
		}, nil
	}
	if !s.accounts.changeEmail(token.Subject(), email) {
		return nil, security.ErrInvalidToken
	}
	return gen.ChangeEmail204Response{}, nil
}

func (s *service) ListUsers(context.Context, gen.AccessToken, gen.ListUsersRequestObject) (gen.ListUsersResponseObject, error) {
	users := gen.ListUsers200JSONResponse{}
	for _, a := range s.accounts.list() {
		users = append(users, gen.User{Username: a.username, Role: a.role, Email: &a.email})
	}
	return users, nil
}

// EndSessions ignores which credential was accepted: the rules of the operation hold for both.
func (s *service) EndSessions(ctx context.Context, _ gen.AccessOrBasicCredential, request gen.EndSessionsRequestObject) (gen.EndSessionsResponseObject, error) {
	if _, err := s.validator.RevokeSubject(ctx, request.Username); err != nil {
		return nil, err
	}
	return gen.EndSessions204Response{}, nil
}

func claimsOf(a account) gen.UserClaims {
	return gen.UserClaims{Name: strings.ToUpper(a.username[:1]) + a.username[1:]}
}

// tokenResponse is the response of RFC 6749, section 5.1.
func tokenResponse(pair security.TokenPair) gen.TokenPairJSONResponse {
	return gen.TokenPairJSONResponse{
		Body: gen.TokenPair{
			AccessToken: pair.Access.Text(), RefreshToken: pair.Refresh.Text(), TokenType: "Bearer",
			ExpiresIn: int64(pair.Access.ExpiresIn() / time.Second),
		},
		Headers: gen.TokenPairResponseHeaders{CacheControl: "no-store"},
	}
}

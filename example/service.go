package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/session"
)

// service implements the API of api.yaml. The document decides who may call an operation, and the
// generated guards enforce it: a method with a token argument gets a verified token.
type service struct {
	accounts  *accounts
	sessions  *gen.GuardedSessions
	validator *security.Validator
	cookies   browserCookies
	reports   *reports
}

var _ gen.GuardedServer = (*service)(nil)

// userScopes are the scopes of every access token.
var userScopes = []string{"reports"}

// logInTimeout bounds how long a log-in waits for others.
const logInTimeout = 2 * time.Second

// Login opens the attempt before it checks the password: if the password is changed meanwhile, no
// session begins with the former one.
func (s *service) Login(ctx context.Context, request gen.LoginRequestObject) (gen.LoginResponseObject, error) {
	username := request.Body.Username
	if !validUsername(username) {
		return wrongPassword(), nil
	}
	attempt, err := s.sessions.Open(ctx, username)
	if err != nil {
		return nil, err
	}
	turn, cancel := context.WithTimeout(ctx, logInTimeout)
	defer cancel()
	_, err = s.accounts.logIn(turn, clientOf(ctx).network(), username, request.Body.Password)
	if errors.Is(err, errWrongPassword) {
		return wrongPassword(), nil
	}
	if tooMany, ok := errors.AsType[*tooManyFailures](err); ok {
		return gen.Login429ApplicationProblemPlusJSONResponse{TooManyRequestsApplicationProblemPlusJSONResponse: tooMany.response()}, nil
	}
	if err != nil {
		return nil, err
	}
	login := loginOf(ctx, *request.Body)
	pair, err := attempt.Begin(ctx, login)
	if errors.Is(err, security.ErrInvalidCredentials) {
		return wrongPassword(), nil
	}
	if err != nil {
		return nil, err
	}
	if login.CSRF {
		return s.cookies.set(pair)
	}
	return gen.Login200JSONResponse{TokenPairJSONResponse: tokenResponse(pair)}, nil
}

// loginOf returns what the request says about its session.
func loginOf(ctx context.Context, body gen.Credentials) session.Login {
	login := session.Login{Lifetime: sessionLifetime}
	login.CSRF = body.Cookies != nil && *body.Cookies // tokens in cookies need the claim
	if body.RememberMe != nil && *body.RememberMe {
		login.Lifetime = rememberedLifetime
	}
	name := ""
	if body.Device != nil {
		name = *body.Device
	}
	login.Device = deviceOf(ctx, name)
	return login
}

func wrongPassword() gen.Login401ApplicationProblemPlusJSONResponse {
	detail := "Wrong username or password."
	var response gen.Login401ApplicationProblemPlusJSONResponse
	response.Body = gen.Problem{Title: "Unauthorized", Status: 401, Detail: &detail}
	response.Headers = gen.UnauthorizedResponseHeaders{WWWAuthenticate: `Bearer realm="api"`, CacheControl: "no-store"}
	return response
}

func (s *service) Refresh(ctx context.Context, token gen.RefreshToken, _ gen.RefreshRequestObject) (gen.RefreshResponseObject, error) {
	pair, err := s.sessions.Refresh(ctx, token, deviceOf(ctx, ""))
	if err != nil {
		return nil, err
	}
	if token.CSRF() != "" { // the old token was issued for a cookie, so the new ones are too
		return s.cookies.set(pair)
	}
	return gen.Refresh200JSONResponse{TokenPairJSONResponse: tokenResponse(pair)}, nil
}

func (s *service) Logout(ctx context.Context, token gen.RefreshToken, _ gen.LogoutRequestObject) (gen.LogoutResponseObject, error) {
	if err := s.sessions.End(ctx, token); err != nil {
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
	if err := s.sessions.EndAll(ctx, request.Username); err != nil {
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

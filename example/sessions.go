package main

import (
	"context"
	"errors"
	"time"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/session"
)

// The lifetimes of sessions. A refresh does not prolong them.
const (
	sessionLifetime    = 12 * time.Hour
	rememberedLifetime = 30 * 24 * time.Hour
)

// load returns what the tokens of a session contain. Roles and claims come from the account and not
// from an older token, so that they are up to date.
func (a *accounts) load(_ context.Context, of session.Info) (gen.GuardedSessionGrant, error) {
	user, ok := a.find(of.Subject)
	if !ok {
		return gen.GuardedSessionGrant{}, session.ErrSubjectGone
	}
	return gen.GuardedSessionGrant{
		AccessClaims:  claimsOf(user),
		AccessOptions: []security.TokenOption{security.WithRoles(user.role), security.WithScopes(userScopes...)},
	}, nil
}

// deviceOf returns the device of a request. The name is "" unless the user gave one.
func deviceOf(ctx context.Context, name string) session.Device {
	from := clientOf(ctx)
	device := session.Device{Name: name, UserAgent: from.userAgent}
	if from.address.IsValid() {
		device.Address = from.address.String()
	}
	return device
}

// maxID is the longest id of a session that is looked up, maxPosition the longest position.
const (
	maxID       = 64
	maxPosition = 256
)

func (s *service) ListSessions(ctx context.Context, token gen.AccessToken, request gen.ListSessionsRequestObject) (gen.ListSessionsResponseObject, error) {
	position, err := positionOf(request.Params.Position)
	var page session.Page
	if err == nil {
		page, err = s.sessions.List(ctx, token, position)
	}
	if errors.Is(err, session.ErrPosition) {
		return gen.ListSessions400ApplicationProblemPlusJSONResponse{ProblemApplicationProblemPlusJSONResponse: badRequest(noPosition)}, nil
	}
	if err != nil {
		return nil, err
	}
	return gen.ListSessions200JSONResponse{SessionPageJSONResponse: pageResponse(page)}, nil
}

func (s *service) EndSession(ctx context.Context, token gen.AccessToken, request gen.EndSessionRequestObject) (gen.EndSessionResponseObject, error) {
	err := session.ErrNotFound
	if len(request.Id) <= maxID {
		err = s.sessions.EndByID(ctx, token.Subject(), request.Id)
	}
	if errors.Is(err, session.ErrNotFound) {
		detail := "You have no such session."
		return gen.EndSession404ApplicationProblemPlusJSONResponse{
			ProblemApplicationProblemPlusJSONResponse: gen.ProblemApplicationProblemPlusJSONResponse{Title: "Not Found", Status: 404, Detail: &detail},
		}, nil
	}
	if err != nil {
		return nil, err
	}
	return gen.EndSession204Response{}, nil
}

func (s *service) EndOtherSessions(ctx context.Context, token gen.AccessToken, _ gen.EndOtherSessionsRequestObject) (gen.EndOtherSessionsResponseObject, error) {
	if _, err := s.sessions.EndOthers(ctx, token); err != nil {
		return nil, err
	}
	return gen.EndOtherSessions204Response{}, nil
}

// ChangePassword ends the other sessions after the change: otherwise a log-in with the former
// password could come in between.
func (s *service) ChangePassword(ctx context.Context, token gen.AccessToken, request gen.ChangePasswordRequestObject) (gen.ChangePasswordResponseObject, error) {
	if !validPassword(request.Body.NewPassword) {
		return gen.ChangePassword400ApplicationProblemPlusJSONResponse{
			ProblemApplicationProblemPlusJSONResponse: badRequest("The new password has less than 8 or more than 72 bytes, or a NUL."),
		}, nil
	}
	turn, cancel := context.WithTimeout(ctx, logInTimeout)
	defer cancel()
	user, err := s.accounts.logIn(turn, clientOf(ctx).network(), token.Subject(), request.Body.CurrentPassword)
	if err == nil {
		err = s.accounts.changePassword(turn, user, request.Body.NewPassword)
	}
	if errors.Is(err, errWrongPassword) {
		detail := "The current password is wrong."
		return gen.ChangePassword403ApplicationProblemPlusJSONResponse{Title: "Forbidden", Status: 403, Detail: &detail}, nil
	}
	if tooMany, ok := errors.AsType[*tooManyFailures](err); ok {
		return gen.ChangePassword429ApplicationProblemPlusJSONResponse{TooManyRequestsApplicationProblemPlusJSONResponse: tooMany.response()}, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = s.sessions.EndOthers(ctx, token)
	if errors.Is(err, security.ErrTokenRevoked) { // this session ended meanwhile, so there is none to keep
		err = s.sessions.EndAll(ctx, token.Subject())
	}
	if err != nil {
		return nil, err
	}
	return gen.ChangePassword204Response{}, nil
}

const noPosition = "This is not the position of a page."

// positionOf returns the parameter position, or "" for the first page.
func positionOf(parameter *gen.Position) (string, error) {
	switch {
	case parameter == nil:
		return "", nil
	case len(*parameter) > maxPosition:
		return "", session.ErrPosition
	}
	return *parameter, nil
}

func badRequest(detail string) gen.ProblemApplicationProblemPlusJSONResponse {
	return gen.ProblemApplicationProblemPlusJSONResponse{Title: "Bad Request", Status: 400, Detail: &detail}
}

func pageResponse(page session.Page) gen.SessionPageJSONResponse {
	body := gen.SessionPage{Sessions: []gen.Session{}, Next: optional(page.Next)}
	for _, listed := range page.Sessions {
		body.Sessions = append(body.Sessions, gen.Session{
			Id: listed.ID, Began: listed.Began, LastSeen: listed.LastSeen, ExpiresAt: listed.ExpiresAt, Current: listed.Current,
			Device: optional(listed.Device.Name), UserAgent: optional(listed.Device.UserAgent), Address: optional(listed.Device.Address),
		})
	}
	return gen.SessionPageJSONResponse{Body: body, Headers: gen.SessionPageResponseHeaders{CacheControl: "no-store"}}
}

// optional returns nil for "".
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

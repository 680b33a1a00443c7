package main

import (
	"context"
	"crypto/subtle"
	"sync"

	"github.com/oapi-guard/oapi-guard/example/existing/api"
)

// server implements the API.
type server struct {
	auth *auth

	mu    sync.Mutex
	notes map[string][]api.Note // by user
}

var _ api.StrictServerInterface = (*server)(nil)

// users stands for a database.
var users = map[string]struct{ password, role string }{
	"alice": {"wonderland", "user"},
	"root":  {"rabbit-hole", "admin"},
}

func (s *server) Login(ctx context.Context, request api.LoginRequestObject) (api.LoginResponseObject, error) {
	user, ok := users[request.Body.Name]
	if subtle.ConstantTimeCompare([]byte(user.password), []byte(request.Body.Password)) != 1 || !ok {
		return api.Login401Response{}, nil
	}
	token, err := s.auth.issue(ctx, request.Body.Name, user.role)
	if err != nil {
		return nil, err
	}
	return api.Login200TextResponse(token), nil
}

func (s *server) Logout(ctx context.Context, _ api.LogoutRequestObject) (api.LogoutResponseObject, error) {
	if err := s.auth.logOut(ctx); err != nil {
		return nil, err
	}
	return api.Logout204Response{}, nil
}

func (s *server) ListNotes(ctx context.Context, _ api.ListNotesRequestObject) (api.ListNotesResponseObject, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(api.ListNotes200JSONResponse{}, s.notes[callerOf(ctx)]...), nil
}

func (s *server) AddNote(ctx context.Context, request api.AddNoteRequestObject) (api.AddNoteResponseObject, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := callerOf(ctx)
	s.notes[name] = append(s.notes[name], *request.Body)
	return api.AddNote204Response{}, nil
}

func (s *server) ListAllNotes(context.Context, api.ListAllNotesRequestObject) (api.ListAllNotesResponseObject, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := api.ListAllNotes200JSONResponse{}
	for _, name := range []string{"alice", "root"} {
		all = append(all, s.notes[name]...)
	}
	return all, nil
}

package blacklist

import "context"

// None is the blacklist of an application that revokes nothing: a stolen token is accepted until it
// expires, and logging out does not affect tokens. It has to be chosen explicitly, so that no
// application lacks a blacklist by accident.
type None struct{}

var _ Blacklist = None{}

// Revoke returns [ErrNotRecorded].
func (None) Revoke(context.Context, Revocation) (bool, error) { return false, ErrNotRecorded }

// IsRevoked returns false.
func (None) IsRevoked(context.Context, Identity) (bool, error) { return false, nil }

// InProcess says that look-ups do not wait.
func (None) InProcess() {}

package blacklist

import (
	"context"
	"fmt"
)

// None is the blacklist of an application that revokes nothing: a stolen token is good until it expires, and logging out
// does nothing to tokens. Revoking is an error that wraps [ErrUnavailable]. It has to be asked for by name, so that no
// application is without a blacklist by accident.
type None struct{}

var _ Blacklist = None{}

// Revoke returns an error: nothing can be revoked.
func (None) Revoke(context.Context, Revocation) (bool, error) {
	return false, fmt.Errorf("%w: there is no blacklist", ErrUnavailable)
}

// IsRevoked returns false.
func (None) IsRevoked(context.Context, Identity) (bool, error) { return false, nil }

// InProcess marks that look-ups never wait.
func (None) InProcess() {}

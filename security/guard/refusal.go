package guard

import (
	"errors"

	"github.com/oapi-guard/oapi-guard/security"
)

// addRefusal keeps the refusal that the client learns when several alternatives fail. ErrUnavailable
// outweighs the others, because that alternative might hold. Else it is that of the alternative to
// which the credential fits best, the first of equals.
func (d *decision) addRefusal(next refused) {
	if d.scheme == nil || next.rank() > d.rank() {
		d.refused = next
	}
}

// rank orders refusals: by ErrUnavailable, then by the credentials that the alternative accepted
// before, then by fit.
func (r *refused) rank() int {
	if errors.Is(r.err, security.ErrUnavailable) {
		return 1000
	}
	return 10*r.accepted + fit(r.err)
}

// fit tells how well a credential fits the alternative that refused it with the error.
func fit(err error) int {
	_, verified := security.RefusedIdentity(err)
	switch {
	case errors.Is(err, security.ErrWrongTokenType), verified && errors.Is(err, security.ErrInvalidToken):
		return 2 // the key fits, and type or audience do not
	case errors.Is(err, security.ErrInvalidToken), errors.Is(err, security.ErrInvalidCredentials):
		return 1
	}
	return 3 // a credential of this alternative, which has expired, is revoked or does not suffice
}

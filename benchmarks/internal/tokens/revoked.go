package tokens

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/blacklist"
)

// revoked is the number of revoked tokens, sessions and subjects. No benchmark presents their
// tokens.
const revoked = 1000

// NewMemory returns a blacklist in memory that contains them, as of the issuer.
func (i *Issuer) NewMemory(ctx context.Context) (*blacklist.Memory, error) {
	list, err := blacklist.NewMemory(blacklist.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	return list, RevokeOthers(ctx, stack.Config{Issuer: i.Name, Blacklist: list})
}

// RevokeOthers revokes tokens, sessions, all tokens of subjects, and all tokens of another
// issuer, none of which a benchmark presents. An empty blacklist would need no look-ups. The
// peers know only revoked tokens.
func RevokeOthers(ctx context.Context, c stack.Config) error {
	now := time.Now()
	end := now.Add(Lifetime)
	for i := range revoked {
		id := blacklist.Identity{
			Issuer: c.Issuer, Subject: fmt.Sprintf("other-%06d", i), Session: fmt.Sprintf("session-%06d", i),
			ID: fmt.Sprintf("token-%06d", i), SessionStart: now,
		}
		for _, r := range []blacklist.Revocation{
			blacklist.OfToken(id, end), blacklist.OfSession(id, end), blacklist.OfSubject(id.Issuer, id.Subject, now, end),
		} {
			if _, err := c.Blacklist.Revoke(ctx, r); err != nil {
				return err
			}
		}
		if c.Redis != nil {
			if err := c.Redis.Set(ctx, golangjwt.RevocationKey(id.ID), 1, Lifetime).Err(); err != nil {
				return err
			}
		}
	}
	_, err := c.Blacklist.Revoke(ctx, blacklist.OfIssuer("other", now, end))
	return err
}

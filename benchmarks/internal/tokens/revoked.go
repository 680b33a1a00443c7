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

// revoked is how many tokens, sessions and subjects are revoked that nobody presents tokens of.
const revoked = 1000

// NewMemory returns a blacklist in memory that holds them.
func NewMemory(ctx context.Context) (*blacklist.Memory, error) {
	list, err := blacklist.NewMemory(blacklist.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	return list, RevokeOthers(ctx, stack.Config{Blacklist: list})
}

// RevokeOthers revokes what nobody presents: tokens, sessions, all tokens of subjects, and all of
// another issuer. A blacklist that holds nothing need not look anything up. The peers know
// revoked tokens only.
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

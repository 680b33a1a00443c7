package security

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// VerifierOption changes a verifier.
type VerifierOption func(*Verifier) error

// WithAudience sets the audiences of the application. An access token must name at least one of them
// (RFC 9068, section 4). An [Issuer] writes all of them. The default is the name of the issuer, for
// an application that issues tokens only for itself. Other types of token have an audience of their
// own; see [RFC9068].
func WithAudience(audience ...string) VerifierOption {
	return func(v *Verifier) error {
		if len(audience) == 0 || slices.Contains(audience, "") {
			return errors.New("security: WithAudience needs audiences, none of them empty")
		}
		v.audience = slices.Clone(audience)
		return nil
	}
}

// WithLeeway sets how far clocks may differ, for exp, nbf and iat: 0 to 5 minutes, 30 seconds by
// default.
func WithLeeway(d time.Duration) VerifierOption {
	return func(v *Verifier) error {
		if d < 0 || d > maxLeeway {
			return fmt.Errorf("security: the leeway is between 0 and %s", maxLeeway)
		}
		v.leeway = d
		return nil
	}
}

// WithMaxLifetime sets the longest accepted time between iat and exp, 30 days by default.
func WithMaxLifetime(d time.Duration) VerifierOption {
	return func(v *Verifier) error {
		if d < time.Second {
			return errors.New("security: the longest lifetime is at least a second")
		}
		v.maxLifetime = d
		return nil
	}
}

// WithRetention sets how long the blacklist stores the revocation of a session, of a subject and of
// all sessions: 30 days by default, or the longest lifetime if that is longer. It must not be below
// the longest session that anybody issues under this issuer, also where this verifier sees only
// short access tokens: a session that is refreshed after its revocation is forgotten lives again.
func WithRetention(d time.Duration) VerifierOption {
	return func(v *Verifier) error {
		v.retention = d
		return positive("retention", d)
	}
}

// WithTokenText stores the text of a token in it, for services that forward it; see [Token.Text].
// The text is then in memory, in the cache too, where a memory dump shows it.
func WithTokenText() VerifierOption {
	return func(v *Verifier) error { v.keepsText = true; return nil }
}

// WithNeverExpiring accepts tokens without exp. An [Issuer] issues them with [WithoutExpiry]. The
// blacklist then stores revocations for ever. A stolen token that nobody knows to be stolen is
// valid for ever too.
func WithNeverExpiring() VerifierOption {
	return func(v *Verifier) error { v.neverExpiring = true; return nil }
}

// WithMaxTokenSize sets the longest accepted token text in bytes, 8 KiB by default. A longer one is
// refused before any of it is decoded.
func WithMaxTokenSize(bytes int) VerifierOption {
	return func(v *Verifier) error {
		if bytes < 64 {
			return errors.New("security: no token fits into less than 64 bytes")
		}
		v.maxSize = bytes
		return nil
	}
}

// WithClock sets the clock, time.Now by default, of the verifier and of the issuer and validator
// that use it. It is for tests.
func WithClock(now func() time.Time) VerifierOption {
	return func(v *Verifier) error {
		if now == nil {
			return errors.New("security: WithClock needs a clock")
		}
		v.now = now
		return nil
	}
}

// WithLogger sets where the issuer and the validator that use the verifier log: sessions that begin
// or continue, revocations, and the reuse of refresh tokens. Records contain hashed ids and fixed
// texts, no token and no text of an error. The default is to log nothing.
func WithLogger(logger *slog.Logger) VerifierOption {
	return func(v *Verifier) error {
		if logger == nil {
			return errors.New("security: WithLogger needs a logger")
		}
		v.logger = logger
		return nil
	}
}

// WithName sets the verifier's name, [OwnVerifier] by default, by which a document names it. The
// blacklist knows tokens by their issuer, whatever the name.
func WithName(name string) VerifierOption {
	return func(v *Verifier) error {
		if name == "" {
			return errors.New("security: a verifier's name is not empty")
		}
		v.name = name
		return nil
	}
}

// WithPublicNamespace sets the namespace of public claims (RFC 7519, section 4.2), a URL that ends
// with a slash. A public claim is written flat, under the namespace and its path, and read back as
// a tree; see [WithPublicClaims].
func WithPublicNamespace(namespace string) VerifierOption {
	return func(v *Verifier) error {
		if u, err := url.Parse(namespace); err != nil || u.Host == "" || !strings.HasSuffix(namespace, "/") {
			return errors.New("security: the namespace of public claims is like https://claims.example.com/")
		}
		v.names.Namespace = namespace
		return nil
	}
}

// WithPrivatePrefix sets the prefix of private claims: with "app", the claim name is written
// app_name. Claims without it are not read.
func WithPrivatePrefix(prefix string) VerifierOption {
	return func(v *Verifier) error {
		if prefix == "" || payload.IsReserved(prefix) {
			return errors.New("security: the prefix of private claims is a word that is not a reserved claim")
		}
		v.names.Prefix = prefix + "_"
		return nil
	}
}

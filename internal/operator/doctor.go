package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// Report collects what a check-up finds.
type Report struct {
	Findings []Finding
}

// Add adds a finding.
func (r *Report) Add(area, level, text, fix string) {
	r.Findings = append(r.Findings, Finding{area, level, text, fix})
}

// Failed reports whether an error was found, or a warning if strict is set.
func (r *Report) Failed(strict bool) bool {
	for _, finding := range r.Findings {
		if finding.Level == LevelError || strict && finding.Level == LevelWarning {
			return true
		}
	}
	return false
}

// overdue is how long a step of a rotation may be due.
const overdue = 7 * 24 * time.Hour

// CheckKeyFile checks a key file.
func (r *Report) CheckKeyFile(path string, now time.Time) {
	const area = "keys"
	file, err := OpenKeyFile(path)
	if err != nil {
		r.Add(area, LevelError, err.Error(), "")
		return
	}
	list, next := file.List(now)
	if file.Set.SigningKey() < 0 {
		r.Add(area, LevelError, "no key of the file can sign", "oapi-guard keys import a private key")
	}
	for _, key := range list {
		r.Add(area, LevelOK, fmt.Sprintf("%s key %s %s", key.Algorithm, key.ID, key.State), "")
	}
	plan := file.Set.Next()
	if !plan.Safe.IsZero() && now.Sub(plan.Safe) > overdue {
		r.Add(area, LevelWarning, fmt.Sprintf("the rotation waits for the step %s since %s", next.Step, plan.Safe.UTC().Format(time.RFC3339)),
			"oapi-guard keys rotate --file "+path)
	}
}

// CheckStore opens a store and checks that it works. The warnings of the store are findings.
func (r *Report) CheckStore(ctx context.Context, c StoreConfig) {
	const area = "store"
	warnings := &warningHandler{}
	c.Logger = slog.New(warnings)
	opened, err := open(ctx, c)
	if err != nil {
		r.Add(area, LevelError, err.Error(), "")
		return
	}
	pinger, _ := opened.Blacklist.(interface{ Ping(context.Context) error })
	if err := errors.Join(pinger.Ping(ctx), opened.close()); err != nil {
		r.Add(area, LevelError, "the store does not work: "+cause(err).Error(), "")
	} else {
		r.Add(area, LevelOK, "the store answers, can be written and has its mark", "")
	}
	for _, warning := range warnings.taken() {
		text, fix, _ := strings.Cut(warning, ": ")
		r.Add(area, LevelWarning, text, fix)
	}
}

// CheckProvider reads the keys of an identity provider: those of an issuer, by discovery, or those at
// the address of a JWK set.
func (r *Report) CheckProvider(ctx context.Context, address string, discover bool, client *http.Client) {
	const area = "provider"
	warnings := &warningHandler{}
	options := []keys.RemoteOption{keys.WithLogger(slog.New(warnings))}
	if client != nil {
		options = append(options, keys.WithHTTPClient(client))
	}
	find, fix := keys.NewRemote, "curl the address: it has to answer with a JWK set of public keys"
	if discover {
		find, fix = keys.Discover, "curl the address with /.well-known/openid-configuration behind it: its issuer has to be the same, letter by letter"
	}
	remote, err := find(ctx, address, options...)
	if err != nil {
		r.Add(area, LevelError, printable(address)+": "+providerError(address, err), fix)
		return
	}
	defer func() { _ = remote.Close() }()
	set, err := remote.Current(ctx)
	if err != nil {
		r.Add(area, LevelError, printable(address)+": "+providerError(address, err), fix)
		return
	}
	r.Add(area, LevelOK, fmt.Sprintf("%s publishes %s", printable(address), printable(set.String())), "")
	for _, warning := range warnings.taken() {
		r.Add(area, LevelWarning, printable(address)+": "+printable(warning), "")
	}
}

// providerError returns the text of an error without the address, which stands in front of it.
func providerError(address string, err error) string {
	text := strings.ReplaceAll(err.Error(), "keys: ", "")
	return printable(strings.TrimPrefix(text, address+": "))
}

// CheckAdmin calls the admin endpoint of a service.
func (r *Report) CheckAdmin(ctx context.Context, address, secret string) {
	const area = "admin endpoint"
	admin, err := OpenAdmin(address, secret)
	if err == nil {
		_, err = admin.Sessions(ctx, "oapi-guard-doctor", "")
		err = errors.Join(err, admin.Close())
	}
	if err != nil {
		r.Add(area, LevelError, err.Error(), "")
		return
	}
	r.Add(area, LevelOK, "the admin endpoint answers and takes the secret", "")
}

// warningHandler keeps the warnings and errors that are logged.
type warningHandler struct {
	mu    sync.Mutex
	texts []string
}

// Enabled implements slog.Handler.
func (h *warningHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

// Handle implements slog.Handler.
func (h *warningHandler) Handle(_ context.Context, record slog.Record) error {
	text := record.Message
	for _, prefix := range []string{"redisstore: ", "sqlstore: ", "keys: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	record.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(" (%s: %s)", a.Key, a.Value)
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.texts = append(h.texts, text)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *warningHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h *warningHandler) WithGroup(string) slog.Handler { return h }

// taken returns the texts.
func (h *warningHandler) taken() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.texts
}

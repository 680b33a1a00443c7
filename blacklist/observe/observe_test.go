package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/blacklisttest"
)

// recorder is a meter that keeps records as text. It replaces an SDK, which would be a large
// dependency.
type recorder struct {
	noop.Meter
	records []string
}

type provider struct {
	noop.MeterProvider
	recorder *recorder
}

func (p provider) Meter(string, ...metric.MeterOption) metric.Meter { return p.recorder }

func (r *recorder) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return counter{name: name, recorder: r}, nil
}

func (r *recorder) Float64Histogram(name string, _ ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return histogram{name: name, recorder: r}, nil
}

type counter struct {
	noop.Int64Counter
	name     string
	recorder *recorder
}

func (c counter) Add(_ context.Context, n int64, options ...metric.AddOption) {
	set := metric.NewAddConfig(options).Attributes()
	c.recorder.records = append(c.recorder.records, fmt.Sprintf("%s %d %s", c.name, n, set.Encoded(encoder{})))
}

type histogram struct {
	noop.Float64Histogram
	name     string
	recorder *recorder
}

func (h histogram) Record(_ context.Context, seconds float64, options ...metric.RecordOption) {
	set := metric.NewRecordConfig(options).Attributes()
	h.recorder.records = append(h.recorder.records, fmt.Sprintf("%s %v %s", h.name, seconds >= 0 && seconds < 60, set.Encoded(encoder{})))
}

// scripted returns a fixed answer and error.
type scripted struct {
	answer bool
	err    error
	closed int
}

func (s *scripted) IsRevoked(context.Context, blacklist.Identity) (bool, error) {
	return s.answer, s.err
}
func (s *scripted) Revoke(context.Context, blacklist.Revocation) (bool, error) {
	return s.answer, s.err
}
func (s *scripted) Close() error { s.closed++; return nil }

var errDown = errors.New("down")

func TestWrapRecordsCalls(t *testing.T) {
	id := blacklist.Identity{Issuer: "https://issuer.example", ID: "secret-id", Subject: "alice"}
	for _, tt := range []struct {
		name   string
		answer bool
		err    error
		check  string // attributes of the look-up
		revoke string // attributes of the revocation
	}{
		{name: "false", answer: false, check: "oapiguard.outcome=not_revoked", revoke: "oapiguard.outcome=recorded,oapiguard.revocation.kind=token"},
		{name: "true", answer: true, check: "oapiguard.outcome=revoked", revoke: "oapiguard.outcome=in_force_before,oapiguard.revocation.kind=token"},
		{name: "error", err: errDown, check: "oapiguard.outcome=error", revoke: "oapiguard.outcome=error,oapiguard.revocation.kind=token"},
	} {
		r := &recorder{}
		list := &scripted{answer: tt.answer, err: tt.err}
		observed, err := Wrap(list, provider{recorder: r})
		if err != nil {
			t.Fatal(err)
		}
		if revoked, err := observed.IsRevoked(t.Context(), id); revoked != tt.answer || err != tt.err {
			t.Errorf("%s: IsRevoked = %v, %v", tt.name, revoked, err)
		}
		if before, err := observed.Revoke(t.Context(), blacklist.Revocation{Kind: blacklist.Token, Identity: id}); before != tt.answer || err != tt.err {
			t.Errorf("%s: Revoke = %v, %v", tt.name, before, err)
		}
		want := []string{
			"oapiguard.blacklist.checks 1 " + tt.check,
			"oapiguard.blacklist.check.duration true " + tt.check,
			"oapiguard.blacklist.revocations 1 " + tt.revoke,
			"oapiguard.blacklist.revoke.duration true " + tt.revoke,
		}
		if !slices.Equal(r.records, want) {
			t.Errorf("%s: recorded %q, want %q", tt.name, r.records, want)
		}
		for _, secret := range []string{id.Subject, id.ID} {
			if strings.Contains(strings.Join(r.records, ""), secret) {
				t.Errorf("%s: %q was recorded", tt.name, secret)
			}
		}
		if _, ok := blacklist.As[blacklist.InProcess](observed); ok {
			t.Error("the wrapper implements InProcess, the wrapped blacklist does not")
		}
		if closer, ok := observed.(interface{ Close() error }); !ok || closer.Close() != nil || list.closed != 1 {
			t.Error("Close did not close the wrapped blacklist")
		}
	}
}

func TestWrapKeepsInProcess(t *testing.T) {
	if observed, err := Wrap(blacklist.None{}, noop.NewMeterProvider()); err != nil {
		t.Error(err)
	} else if _, ok := blacklist.As[blacklist.InProcess](observed); !ok {
		t.Error("the wrapper does not implement InProcess, the wrapped blacklist does")
	}
}

// locator is a scripted blacklist.Locator.
type locator struct{ *scripted }

func (locator) Locate(id blacklist.Identity) *blacklist.Located {
	return &blacklist.Located{Identity: id}
}

func (l locator) IsRevokedAt(context.Context, *blacklist.Located) (bool, error) {
	return l.answer, l.err
}

// TestWrapKeepsLocators: look-ups by places are recorded like the others, and only of a list that has
// them.
func TestWrapKeepsLocators(t *testing.T) {
	r := &recorder{}
	list := &scripted{answer: true, err: errDown}
	plain, err := Wrap(list, provider{recorder: r})
	if err != nil {
		t.Fatal(err)
	}
	observed, err := Wrap(locator{list}, provider{recorder: r})
	if err != nil {
		t.Fatal(err)
	}
	wrapper := blacklist.LocatorOf(observed)
	if wrapper == nil || blacklist.LocatorOf(plain) != nil {
		t.Fatal("only the wrapper of a Locator is one")
	}
	revoked, err := wrapper.IsRevokedAt(t.Context(), wrapper.Locate(blacklist.Identity{Issuer: "issuer", ID: "a"}))
	if !revoked || err != errDown {
		t.Errorf("IsRevokedAt = %v, %v", revoked, err)
	}
	want := []string{"oapiguard.blacklist.checks 1 oapiguard.outcome=error", "oapiguard.blacklist.check.duration true oapiguard.outcome=error"}
	if !slices.Equal(r.records, want) {
		t.Errorf("recorded %q, want %q", r.records, want)
	}
}

// TestWrappedMemoryConforms runs the suite of blacklists, also with look-ups by places.
func TestWrappedMemoryConforms(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, now func() time.Time) blacklist.Blacklist {
		memory, err := blacklist.NewMemory(blacklist.WithClock(now), blacklist.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		observed, err := Wrap(memory, noop.NewMeterProvider())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = memory.Close() })
		return observed
	})
}

func TestWrapRefusesNil(t *testing.T) {
	if _, err := Wrap(nil, noop.NewMeterProvider()); err == nil {
		t.Error("no error for a nil blacklist")
	}
	if _, err := Wrap(blacklist.None{}, nil); err == nil {
		t.Error("no error for a nil provider")
	}
}

// encoder writes attributes as key=value, sorted by key.
type encoder struct{}

func (encoder) Encode(iterator attribute.Iterator) string {
	var parts []string
	for iterator.Next() {
		kv := iterator.Attribute()
		parts = append(parts, string(kv.Key)+"="+kv.Value.AsString())
	}
	return strings.Join(parts, ",")
}

func (encoder) ID() attribute.EncoderID { return attribute.EncoderID{} }

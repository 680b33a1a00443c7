package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// recorder keeps what is recorded as text; an SDK would be a large dependency for that.
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

// scripted answers as told.
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

func TestWrap(t *testing.T) {
	id := blacklist.Identity{Verifier: "own", ID: "secret-id", Subject: "alice"}
	for _, tt := range []struct {
		answer bool
		err    error
		check  string
		revoke string
	}{
		{false, nil, "outcome=not_revoked", "kind=token,outcome=recorded"},
		{true, nil, "outcome=revoked", "kind=token,outcome=in_force_before"},
		{false, errDown, "outcome=error", "kind=token,outcome=error"},
	} {
		r := &recorder{}
		list := &scripted{answer: tt.answer, err: tt.err}
		observed, err := Wrap(list, provider{recorder: r})
		if err != nil {
			t.Fatal(err)
		}
		if revoked, err := observed.IsRevoked(t.Context(), id); revoked != tt.answer || err != tt.err {
			t.Errorf("IsRevoked says %v, %v", revoked, err)
		}
		if before, err := observed.Revoke(t.Context(), blacklist.Revocation{Kind: blacklist.Token, Identity: id}); before != tt.answer || err != tt.err {
			t.Errorf("Revoke says %v, %v", before, err)
		}
		want := []string{
			"oapiguard.blacklist.checks 1 " + tt.check,
			"oapiguard.blacklist.check.duration true " + tt.check,
			"oapiguard.blacklist.revocations 1 " + tt.revoke,
			"oapiguard.blacklist.revoke.duration true " + tt.revoke,
		}
		if !slices.Equal(r.records, want) {
			t.Errorf("recorded %q, want %q", r.records, want)
		}
		if strings.Contains(strings.Join(r.records, ""), "alice") {
			t.Error("the subject was recorded")
		}
		if _, ok := observed.(blacklist.InProcess); ok {
			t.Error("in process, although the blacklist is not")
		}
		if closer, ok := observed.(interface{ Close() error }); !ok || closer.Close() != nil || list.closed != 1 {
			t.Error("closing does not close the blacklist")
		}
	}
	if observed, err := Wrap(blacklist.None{}, noop.NewMeterProvider()); err != nil {
		t.Error(err)
	} else if _, ok := observed.(blacklist.InProcess); !ok {
		t.Error("not in process, although the blacklist is")
	}
	for _, err := range []error{second(Wrap(nil, noop.NewMeterProvider())), second(Wrap(blacklist.None{}, nil))} {
		if err == nil {
			t.Error("nil was taken")
		}
	}
}

func second[T any](_ T, err error) error { return err }

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

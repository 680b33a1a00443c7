package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	blacklistobserve "github.com/oapi-guard/oapi-guard/blacklist/observe"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/observe"
)

// defaultMetrics is where /metrics is served: the port that OpenTelemetry uses for Prometheus.
const defaultMetrics = "127.0.0.1:9464"

// newMetrics returns a provider of meters, and the handler from which Prometheus reads what they
// record, besides metrics of the process and of Go.
func newMetrics() (metric.MeterProvider, http.Handler, error) {
	registry := prometheus.NewRegistry()
	for _, collector := range []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := registry.Register(collector); err != nil {
			return nil, nil, err
		}
	}
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	service := resource.NewSchemaless(semconv.ServiceName("reference-api"))
	return sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(service)), mux, nil
}

// observeDecisions returns the options of the guards that record metrics and span attributes.
func observeDecisions(meters metric.MeterProvider) ([]guard.Option, error) {
	decisions, err := observe.Decisions(meters)
	if err != nil {
		return nil, err
	}
	refusals, err := observe.Refusals(meters)
	if err != nil {
		return nil, err
	}
	return []guard.Option{decisions, refusals, observe.SpanAttributes()}, nil
}

// observeStore records the look-ups and revocations of the store, and the state of its copy.
func observeStore(s *store, meters metric.MeterProvider) error {
	if s.copied != nil {
		stop, err := blacklistobserve.Replica(s.copied, meters)
		if err != nil {
			return err
		}
		s.closers = append([]io.Closer{closer(stop)}, s.closers...)
	}
	observed, err := blacklistobserve.Wrap(s.Blacklist, meters)
	if err != nil {
		return err
	}
	s.Blacklist = observed
	return nil
}

// closer is a function that closes something.
type closer func() error

// Close implements io.Closer.
func (c closer) Close() error { return c() }

// listenForMetrics listens on the address for /metrics. It returns nil for "off", and if another
// process, such as a second example, has the default address.
func listenForMetrics(addr string, anywhere bool, logger *slog.Logger) (net.Listener, error) {
	if addr == "off" {
		return nil, nil
	}
	listener, err := listen(orDefault(addr, defaultMetrics), anywhere)
	if addr == "" && errors.Is(err, syscall.EADDRINUSE) {
		logger.Warn("no metrics are served: another process has the address; set METRICS_ADDR", "address", defaultMetrics)
		return nil, nil
	}
	return listener, err
}

// withAge adds the age of the copy to the response to a readiness probe.
func withAge(ready http.Handler, copied *replica.Replica) http.Handler {
	if copied == nil {
		return ready
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ready.ServeHTTP(w, r)
		if stats := copied.Stats(); stats.Ready {
			_, _ = fmt.Fprintf(w, "replica: age %.3f s, bound %.3f s\n", stats.Age.Seconds(), stats.Bound.Seconds())
		}
	})
}

// Package observability tests what the library exports against the rules and the parsers of others:
// OpenTelemetry's naming conventions, Grafana's dashboards and the query language of Prometheus.
package observability

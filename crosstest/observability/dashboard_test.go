package observability

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// query is an expression of the dashboard or of an alert.
type query struct{ where, expression string }

// dashboardQueries reads the dashboard strictly and returns its queries.
func dashboardQueries(t *testing.T) []query {
	t.Helper()
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile("../../example/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := new(dashboard.Dashboard).UnmarshalJSONStrict(text); !isEmpty(err) {
		t.Fatalf("the dashboard is not what Grafana reads: %v", err)
	}
	// The strict reader reports errors, and leaves the panels out of the result.
	var board dashboard.Dashboard
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	if err := board.Validate(); err != nil {
		t.Fatalf("the dashboard is not valid: %v", err)
	}
	var queries []query
	for _, either := range board.Panels {
		if either.Panel == nil {
			continue // a row
		}
		if either.Panel.Description == nil || *either.Panel.Description == "" {
			t.Errorf("panel %s has no description", *either.Panel.Title)
		}
		for _, target := range either.Panel.Targets {
			q, ok := target.(prometheus.Dataquery)
			if !ok {
				pointer, isPointer := target.(*prometheus.Dataquery)
				if !isPointer {
					t.Fatalf("panel %s has a %T", *either.Panel.Title, target)
				}
				q = *pointer
			}
			queries = append(queries, query{"panel " + *either.Panel.Title, q.Expr})
		}
	}
	if len(queries) < 20 {
		t.Errorf("%d queries, want at least 20", len(queries))
	}
	return queries
}

// isEmpty reports whether there is no error. The strict reader of Grafana returns an empty list of
// errors in place of nil.
func isEmpty(err error) bool {
	var list cog.BuildErrors
	return err == nil || errors.As(err, &list) && len(list) == 0
}

// TestDashboardIsReadStrictly adds a field that Grafana does not know.
func TestDashboardIsReadStrictly(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile("../../example/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, changed string }{
		{name: "of the dashboard", old: `"schemaVersion"`, changed: `"unknown": 1, "schemaVersion"`},
		{name: "of a panel", old: `"gridPos"`, changed: `"unknown": 1, "gridPos"`},
		{name: "of a query", old: `"legendFormat"`, changed: `"unknown": 1, "legendFormat"`},
	} {
		var board dashboard.Dashboard
		if err := board.UnmarshalJSONStrict(bytes.ReplaceAll(text, []byte(tt.old), []byte(tt.changed))); isEmpty(err) {
			t.Errorf("an unknown field %s is accepted", tt.name)
		}
	}
}

// alertQueries reads the alerts and returns their expressions.
func alertQueries(t *testing.T) []query {
	t.Helper()
	groups, errs := rulefmt.ParseFile("../../example/alerts.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Fatal(err)
	}
	var queries []query
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			queries = append(queries, query{"alert " + rule.Alert, rule.Expr})
		}
	}
	if len(queries) < 5 {
		t.Errorf("%d alerts, want at least 5", len(queries))
	}
	return queries
}

// series are the names of time series that Prometheus stores, with the labels of each.
func series(t *testing.T, page string) map[string][]string {
	t.Helper()
	text := expfmt.NewTextParser(model.UTF8Validation)
	families, err := text.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for name, family := range families {
		labels := []string{"job", "instance"} // Prometheus adds them
		for _, metric := range family.Metric {
			for _, label := range metric.Label {
				labels = append(labels, label.GetName())
			}
		}
		if family.GetType() == dto.MetricType_HISTOGRAM {
			all[name+"_bucket"] = append(labels, "le")
			all[name+"_sum"], all[name+"_count"] = labels, labels
			continue
		}
		all[name] = labels
	}
	return all
}

// variable is a variable of Grafana in a query.
var variable = regexp.MustCompile(`\$\w+`)

// checkQuery parses a query and checks that the series exist that it reads, with their labels.
func checkQuery(t *testing.T, q query, exposed map[string][]string) (read []string) {
	t.Helper()
	expression := strings.ReplaceAll(q.expression, "$__rate_interval", "5m")
	expression = variable.ReplaceAllString(expression, ".*")
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		t.Errorf("%s: %v", q.where, err)
		return nil
	}
	var labels []string // of all series of the query
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		known, exists := exposed[selector.Name]
		if !exists {
			t.Errorf("%s: the example has no %s", q.where, selector.Name)
		}
		read, labels = append(read, selector.Name), append(labels, known...)
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name != model.MetricNameLabel && !slices.Contains(known, matcher.Name) {
				t.Errorf("%s: %s has no label %s", q.where, selector.Name, matcher.Name)
			}
		}
		return nil
	})
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if aggregate, ok := node.(*parser.AggregateExpr); ok {
			for _, label := range aggregate.Grouping {
				if !slices.Contains(labels, label) {
					t.Errorf("%s: no series has the label %s", q.where, label)
				}
			}
		}
		return nil
	})
	if len(read) == 0 {
		t.Errorf("%s reads no series", q.where)
	}
	return read
}

// TestDashboardAndAlerts runs the example, makes it do everything that has a metric, and compares
// what the dashboard and the alerts read with what /metrics has. The page has no id, token or
// address.
func TestDashboardAndAlerts(t *testing.T) {
	e := startExample(t)
	secrets := e.use()
	page := e.page()
	exposed := series(t, page)
	var read []string
	for _, q := range append(dashboardQueries(t), alertQueries(t)...) {
		read = append(read, checkQuery(t, q, exposed)...)
	}
	for name := range exposed {
		if strings.HasPrefix(name, "oapiguard_") && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") && !slices.Contains(read, name) {
			t.Logf("neither the dashboard nor an alert reads %s", name)
		}
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(page, secret) {
			t.Errorf("%s is exported", secret)
		}
	}
	documented(t, exposed)
}

// documented checks that the page on observability names each metric of the example, and none that
// it does not have.
func documented(t *testing.T, exposed map[string][]string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	inDocs := map[string]bool{}
	for _, name := range regexp.MustCompile("`(oapiguard_[a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		inDocs[name[1]] = true
	}
	found := map[string]bool{}
	for name, labels := range exposed {
		name = strings.TrimSuffix(name, "_bucket")
		if !strings.HasPrefix(name, "oapiguard_") || strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count") {
			continue
		}
		found[name] = true
		if !inDocs[name] {
			t.Errorf("docs/observability.md does not name %s", name)
		}
		for _, label := range labels {
			if strings.HasPrefix(label, "oapiguard_") {
				found[label] = true
			}
		}
	}
	for name := range inDocs {
		if !found[name] {
			t.Errorf("docs/observability.md names %s, which the example does not have", name)
		}
	}
}

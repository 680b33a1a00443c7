package observability

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	_ "modernc.org/sqlite" // the driver sqlite

	blacklistobserve "github.com/oapi-guard/oapi-guard/blacklist/observe"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/observe"
	sessionobserve "github.com/oapi-guard/oapi-guard/session/observe"
	"github.com/oapi-guard/oapi-guard/store/sqlstore"
)

// exportedData is what an application exports: metrics and the attributes of spans.
type exportedData struct {
	metrics    []metricdata.Metrics
	attributes map[attribute.Key]bool
	all        string
}

// pragmas are those that the store asks for.
const pragmas = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"

// export runs an application with all instruments, and reads metrics and spans back from the memory
// of the SDK.
func export(t *testing.T) exportedData {
	t.Helper()
	reader, spans := sdkmetric.NewManualReader(), tracetest.NewSpanRecorder()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	db := must(sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "store.db")+pragmas))(t)
	check(t, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite))
	store := must(sqlstore.New(t.Context(), db, sqlstore.SQLite))(t)
	copied := must(replica.New(store))(t)
	stop := must(blacklistobserve.Replica(copied, meters))(t)
	t.Cleanup(func() { check(t, errors.Join(stop(), copied.Close(), store.Close(), db.Close())) })
	check(t, copied.Ready(t.Context()))
	list := must(blacklistobserve.Wrap(copied, meters))(t)
	set := must(keys.NewSet(must(keys.NewHMAC(keys.HS256, []byte("0123456789abcdef0123456789abcdef")))(t)))(t)
	authority := must(security.New("https://marked-issuer.example", set, list))(t)
	_ = must(sessionobserve.Sessions(meters))(t)

	access := security.NewTokenType[security.NoClaims]("access")
	operation := &guard.Operation{ID: "getOrder", Requirement: guard.Requirement{{{Name: "access", Token: access}}}}
	policy := must(guard.New(authority.Validator, must(observe.Decisions(meters))(t), must(observe.Refusals(meters))(t), observe.SpanAttributes()))(t)
	handler := must(guard.NewGuards(policy, nil, operation))(t).HandlerFunc(operation, func(http.ResponseWriter, *http.Request) {})
	token := must(authority.Issuer.IssueAccessToken(t.Context(), "marked-subject", nil, security.WithClientID("marked-client")))(t).Text()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	send := func(authorization string) {
		ctx, span := tracer.Start(t.Context(), "GET /orders/{id}")
		defer span.End()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/orders/marked-order", nil)
		r.RemoteAddr = "198.51.100.77:4711"
		r.Header.Set("Authorization", authorization)
		handler(httptest.NewRecorder(), r)
	}
	send("Bearer " + token)
	send("Bearer " + token[:len(token)-4] + "AAAA")
	send("Basic marked-credential")
	verified := must(authority.Verifier.Verify(t.Context(), access, token))(t)
	check(t, authority.Validator.Revoke(t.Context(), verified))
	send("Bearer " + token)

	var metrics metricdata.ResourceMetrics
	check(t, reader.Collect(t.Context(), &metrics))
	data := exportedData{attributes: map[attribute.Key]bool{}, all: fmt.Sprintf("%+v", metrics.ScopeMetrics)}
	for _, scope := range metrics.ScopeMetrics {
		data.metrics = append(data.metrics, scope.Metrics...)
	}
	for _, span := range spans.Ended() {
		data.all += fmt.Sprintf("%s %+v %+v", span.Name(), span.Attributes(), span.Events())
		for _, a := range span.Attributes() {
			data.attributes[a.Key] = true
		}
	}
	for _, m := range data.metrics {
		for _, set := range attributeSets(t, m) {
			for _, a := range set.ToSlice() {
				data.attributes[a.Key] = true
			}
		}
	}
	return data
}

func attributeSets(t *testing.T, m metricdata.Metrics) (sets []attribute.Set) {
	t.Helper()
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, point := range data.DataPoints {
			sets = append(sets, point.Attributes)
		}
	case metricdata.Gauge[float64]:
		for _, point := range data.DataPoints {
			sets = append(sets, point.Attributes)
		}
	case metricdata.Histogram[float64]:
		for _, point := range data.DataPoints {
			sets = append(sets, point.Attributes)
		}
	default:
		t.Errorf("%s is a %T", m.Name, data)
	}
	return sets
}

// The rules of the registry of semantic conventions, and of its documents on names and on metrics.
var (
	nameForm = regexp.MustCompile(`^[a-z][a-z0-9]*([._][a-z0-9]+)*$`)
	unitForm = regexp.MustCompile(`^(s|1|\{[a-z_]+\})$`)
)

// conventional are the attributes of the conventions themselves.
var conventional = []attribute.Key{semconv.HTTPResponseStatusCodeKey}

// faults returns what breaks a rule in the name of a metric or of an attribute, among all names.
func faults(name string, all []string) (found []string) {
	if !nameForm.MatchString(name) || !strings.Contains(name, ".") {
		found = append(found, "is not lower case in a namespace")
	}
	if !strings.HasPrefix(name, "oapiguard.") && !slices.Contains(conventional, attribute.Key(name)) {
		found = append(found, "is neither in the namespace oapiguard nor of the conventions")
	}
	flat := func(name string) string { return strings.ReplaceAll(name, ".", "_") }
	for _, other := range all {
		if strings.HasPrefix(other, name+".") {
			found = append(found, "is a namespace too, of "+other)
		}
		if other != name && flat(other) == flat(name) {
			found = append(found, "is the same as "+other+" in Prometheus")
		}
	}
	return found
}

// faultsOfMetric returns what breaks a rule of metrics.
func faultsOfMetric(m metricdata.Metrics) (found []string) {
	last := m.Name[strings.LastIndexByte(m.Name, '.')+1:]
	plural := strings.HasSuffix(last, "s") && last != "status"
	if !unitForm.MatchString(m.Unit) {
		found = append(found, "has the unit "+m.Unit)
	}
	if !strings.HasSuffix(m.Description, ".") {
		found = append(found, "has a description without a period")
	}
	if strings.HasSuffix(last, "total") || last == strings.Trim(m.Unit, "{}") {
		found = append(found, "has a suffix that exporters add")
	}
	sum, isSum := m.Data.(metricdata.Sum[int64])
	switch {
	case isSum && sum.IsMonotonic && (!plural || !strings.HasPrefix(m.Unit, "{")):
		found = append(found, "is a counter, and no plural of things that are counted")
	case (!isSum || !sum.IsMonotonic) && plural:
		found = append(found, "is a plural, and no counter")
	case !isSum && m.Unit != "s":
		found = append(found, "is a duration that is not in seconds")
	}
	return found
}

// TestNamesFollowTheConventions checks the names, units and descriptions of everything that is
// exported. No id, token or address is there.
func TestNamesFollowTheConventions(t *testing.T) {
	data := export(t)
	var metrics, attributes []string
	for _, m := range data.metrics {
		metrics = append(metrics, m.Name)
	}
	for key := range data.attributes {
		attributes = append(attributes, string(key))
	}
	if len(metrics) < 16 || len(attributes) < 10 {
		t.Errorf("%d metrics, %d attributes: %v, %v", len(metrics), len(attributes), metrics, attributes)
	}
	for _, m := range data.metrics {
		for _, fault := range append(faults(m.Name, metrics), faultsOfMetric(m)...) {
			t.Errorf("metric %s %s", m.Name, fault)
		}
	}
	for _, name := range attributes {
		for _, fault := range faults(name, attributes) {
			t.Errorf("attribute %s %s", name, fault)
		}
	}
	for _, secret := range []string{"marked-", "eyJ", "198.51.100", "Bearer", "Basic"} {
		if strings.Contains(data.all, secret) {
			t.Errorf("%s is exported", secret)
		}
	}
}

// TestFaultsAreFound has names that break a rule.
func TestFaultsAreFound(t *testing.T) {
	for _, name := range []string{"outcome", "oapiguard.Outcome", "oapiguard.outcome.", "oapiguard..outcome", "other.outcome", "oapiguard.replica", "oapiguard.replica_age"} {
		if len(faults(name, []string{"oapiguard.replica.age", "oapiguard.replica.size"})) == 0 {
			t.Errorf("%s has no fault", name)
		}
	}
	monotonic := metricdata.Sum[int64]{IsMonotonic: true}
	for _, m := range []metricdata.Metrics{
		{Name: "oapiguard.checks", Unit: "check", Description: "Text.", Data: monotonic},
		{Name: "oapiguard.checks", Unit: "{check}", Description: "Text", Data: monotonic},
		{Name: "oapiguard.check", Unit: "{check}", Description: "Text.", Data: monotonic},
		{Name: "oapiguard.checks_total", Unit: "{check}", Description: "Text.", Data: monotonic},
		{Name: "oapiguard.entries", Unit: "{entry}", Description: "Text.", Data: metricdata.Sum[int64]{}},
		{Name: "oapiguard.age", Unit: "ms", Description: "Text.", Data: metricdata.Gauge[float64]{}},
	} {
		if len(faultsOfMetric(m)) == 0 {
			t.Errorf("%s in %s has no fault", m.Name, m.Unit)
		}
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return value
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

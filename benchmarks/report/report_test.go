package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the report is now into testdata")

// TestReport compares the table and the picture of a small run with the committed ones.
func TestReport(t *testing.T) {
	raw, err := os.ReadFile("testdata/raw.txt")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := run([]string{"-out", dir}, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"table.md", "table.svg"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, got, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what it was (go test ./report -update):\n%s", name, got)
		}
	}
}

// TestFigures checks the arithmetic with figures that are easy to calculate by hand.
func TestFigures(t *testing.T) {
	file, err := os.Open("testdata/raw.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := parse(file)
	if err != nil {
		t.Fatal(err)
	}
	table := r.table()
	for _, want := range []string{
		"A &lt;Processor> &amp; more, 2 cores, linux/amd64, go1.26.4, Redis 7.0.15, 2026-01-02.",
		"Medians of 2 rounds;",
		"### HS256, 1 token, 1 caller\n",
		"### HS256, 100,000 tokens, 64 callers\n",
		"### 1,000 operations\n",
		"### HS256, 1,000 tokens, 64 connections, revocations in Redis\n",
		"| floor | 1,100 | (1,000 to 1,200) | 224 | 7 | 1.00 |  |  |  |\n",
		"| oapi-guard | 3,100 | (3,000 to 3,200) | 1,731 | 18 | 2.82 | 2,000 | 1.00 |  |\n",
		"| hand-written | 8,600 | (6,000 to 11,200) | 4,842 | 72 | 7.82 | 7,500 | 3.75 |  |\n",
		// Nothing is compared with an addition that is smaller than the noise.
		"| oapi-guard | 800 | (800 to 800) | 224 | 7 | 0.89 | -100 |  |  |\n",
		"| oapi-guard-replica | 1,500 | (1,500 to 1,500) | 224 | 7 | 1.50 | 500 | 0.06 | 0.05 |\n",
		// The load: requests per second, latencies and processor time.
		"| floor | 40,000 | (40,000 to 40,000) | 1,500 | 3,000 | 20.0 | (20 to 20) |  |  |  |\n",
		"| oapi-guard-replica | 38,500 | (38,000 to 39,000) | 1,600 | 3,200 | 21.0 | (21 to 21) | 1.0 | 0.06 | 0.05 |\n",
		"| fiber-jwt | 30,000 | (30,000 to 30,000) | 2,000 | 4,000 | 18.5 | (18 to 18) | -1.5 | -0.08 | -0.07 |\n",
		"| oapi-guard | 70,000 | 4,000 | (4,000 to 4,000) | 12.0 | 4.0 | 1,400 | 1,000 |\n",
		// The ratios of what is added.
		"| Shared revocation, 64 callers | oapi-guard-replica 500 ns | oapi-guard-memory 400 ns | 1.25 |\n",
		"| Shared revocation, 64 callers | oapi-guard-replica 500 ns | hand-written-cache 10,000 ns | 0.05 (1/20.0) |\n",
		"| Token seen before, 1 caller | oapi-guard 2,000 ns | hand-written 7,500 ns | 0.27 (1/3.8) |\n",
		// What a stack does not.
		"| hand-written-cache | verified once a minute, cached without a limit | the claims, and the text of the token | none; with Redis asked for each request: token |\n",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no %q:\n%s", want, table)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3}, {[]float64{4, 2}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 9, 2}, 3},
	} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median of %v = %v, want %v", tt.values, got, tt.want)
		}
	}
}

// TestEscaping checks that names in the raw output stay text.
func TestEscaping(t *testing.T) {
	raw := strings.NewReplacer("hand-written", "<script>|&amp", "A <Processor>", "A <script>").Replace(mustRead(t, "testdata/raw.txt"))
	r, err := parse(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if table := r.table(); !strings.Contains(table, `| &lt;script>\|&amp;amp | 8,600 |`) {
		t.Errorf("the name is not escaped in the table:\n%s", table)
	}
	picture, err := r.svg()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(picture, []byte("<script")) {
		t.Errorf("the name is not escaped in the picture:\n%s", picture)
	}
	var texts []string
	decoder := xml.NewDecoder(bytes.NewReader(picture))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := token.(xml.CharData); ok {
			texts = append(texts, string(data))
		}
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{"A &lt;script> &amp; more", "A token that the server has seen before", "2.0", "0.50", "−1.5"} {
		if !strings.Contains(all, want) {
			t.Errorf("the picture has no %q:\n%s", want, all)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const good = "BenchmarkServe/alg=A/stack=floor-2 1 10 ns/op 1 B/op 1 allocs/op\n" +
		"BenchmarkServe/alg=A/stack=oapi-guard-2 1 20 ns/op 1 B/op 1 allocs/op\n"
	if _, err := parse(strings.NewReader(good)); err != nil {
		t.Fatalf("the output that the rows change is not valid: %v", err)
	}
	for _, tt := range []struct{ name, raw, want string }{
		{"nothing", "PASS\n", "no benchmark"},
		{"not a result", good + "BenchmarkServe/alg=A/stack=goa-2 1 x ns/op\n", "raw output:3"},
		{"no stack", good + "BenchmarkServe/alg=A-2 1 10 ns/op 1 B/op 1 allocs/op\n", "says no stack"},
		{"no memory", good + "BenchmarkServe/alg=A/stack=goa-2 1 10 ns/op\n", "has no "},
		{"no processor time", strings.NewReplacer("Serve", "Load", "ns/op", "req/s", "B/op", "p50-ns", "allocs/op", "p99-ns").Replace(good), "has no cpu-ns/op"},
		{"no floor", strings.ReplaceAll(good, "floor", "goa"), "was not measured on floor"},
		{"no oapi-guard", strings.ReplaceAll(good, "oapi-guard", "goa"), "was not measured on floor and oapi-guard"},
		{"rounds", good + "BenchmarkServe/alg=A/stack=floor-2 1 10 ns/op 1 B/op 1 allocs/op\n", "1 rounds of oapi-guard and 2 of floor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := run([]string{"-out", dir}, strings.NewReader(tt.raw)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if files, _ := os.ReadDir(dir); len(files) > 0 {
				t.Errorf("files were written: %v", files)
			}
		})
	}
}

func mustRead(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

# make help lists the targets. They need Go, make and git. scripts/services.sh installs what the tests need besides: it says
# so first, and INSTALL_SERVICES=no forbids it.
.DEFAULT_GOAL := help

# The race detector needs a C compiler; where there is none the tests run without it. It need not watch the code of SQLite,
# which is translated from C and several times slower then.
RACE := $(shell test "$$(go env CGO_ENABLED)" = 1 && command -v "$$(go env CC)" >/dev/null 2>&1 && \
	echo "-race -gcflags=modernc.org/...=-race=false")

# The tests that the race detector skips.
WITHOUT_RACE := ^Test(DamagedFile|ManagerConformance|KilledService|MemoryFreesMemory|Mutations|RealDocuments|Twice|Uncompiled)

# The tools are pinned. Newer versions find new faults, and an update is a separate change.
GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT := go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOVULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0

# How long each fuzz target runs.
FUZZTIME ?= 30s

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## build and serve the example (ADDR=127.0.0.1:8080)
	@go run ./example

.PHONY: test
# The tests of redisstore take longest, so they begin first.
test: ## run all tests, with a real redis-server and PostgreSQL (REDIS_SERVER=PATH, POSTGRES_BIN=DIR, INSTALL_SERVICES=no)
	@scripts/services.sh
	go test $(RACE) -shuffle=on -timeout 15m ./store/redisstore ./...
	$(if $(RACE),go test -count=1 -timeout 15m -run '$(WITHOUT_RACE)' ./store/sqlstore ./store/... ./blacklist ./example ./internal/codegen)
	cd crosstest && go test -count=1 ./...
	cd benchmarks && go test -count=1 ./...

.PHONY: interop
# INTEROP=required is for the machines of CI. Without it a program that cannot be installed is skipped,
# but where all were installed, one that does not run is a failure.
interop: ## try the tokens with verifiers and a provider of other projects (INTEROP=required)
	@if scripts/interop.sh; then INTEROP=required; elif [ "$(INTEROP)" = required ]; then exit 1; fi; export INTEROP; \
	set -x; cd crosstest && go test -count=1 -v ./interop

.PHONY: check
# go vet also reads generated code, which golangci-lint leaves out.
check: check-generate ## formatting, linters, go.mod, generated code, workflows
	@files=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); test -z "$$files" || { echo "not formatted (gofmt -w):"; echo "$$files"; exit 1; }
	@for module in . crosstest benchmarks; do \
		(set -x && cd $$module && $(GOLANGCI_LINT) run ./... && go vet ./... && go mod tidy -diff && go mod verify) || exit 1; \
	done
	$(ACTIONLINT) -shellcheck= -pyflakes=

.PHONY: vuln
vuln: ## look for known vulnerabilities in what the library imports (needs vuln.go.dev)
	$(GOVULNCHECK) ./...

.PHONY: fuzz
fuzz: ## run each fuzz target (FUZZTIME=30s)
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

.PHONY: generate
generate: ## write gen/ from api.yaml, and what is generated in example/ and crosstest/
	go generate . ./example/...
	cd crosstest && go generate .

.PHONY: check-generate
check-generate: ## fail where gen/, example/ and crosstest/ are not what their documents generate
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	go run ./cmd/oapi-guard generate --config oapi-guard.yaml --output "$$dir" && \
	diff -r "$$dir" gen || { echo "gen/ is not up to date: make generate"; exit 1; }
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	go build -o "$$dir/generator" ./cmd/oapi-guard && \
	for api in crosstest/api/*/; do \
		"$$dir/generator" generate --config "$$api/oapi-guard.yaml" --output "$$dir/$$(basename "$$api")" || exit 1; \
	done && \
	(cd crosstest && go run ./adapters -output "$$dir" api/*/) && \
	rm "$$dir/generator" && \
	diff -r -x oapi-guard.yaml -x spec.yaml "$$dir" crosstest/api || { echo "crosstest/api/ is not up to date: make generate"; exit 1; }
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cp go.mod "$$dir" && \
	go build -o "$$dir/" ./cmd/oapi-guard github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen && \
	cp -r example/existing example/pages "$$dir" && rm "$$dir"/*/api/*.gen.go && \
	(cd "$$dir/existing" && ../oapi-codegen --config oapi-codegen.yaml api.yaml && ../oapi-guard generate --config after/oapi-guard.yaml) && \
	(cd "$$dir/pages" && ../oapi-guard generate) && \
	diff -r "$$dir/existing" example/existing && diff -r "$$dir/pages" example/pages || { echo "example/ is not up to date: make generate"; exit 1; }
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	go run ./cmd/oapi-guard generate --config example/clients/oapi-guard.yaml --output "$$dir" && \
	diff -r "$$dir" example/clients/api || { echo "example/clients/api/ is not up to date: make generate"; exit 1; }
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cp crosstest/deepmap/*.go "$$dir" && \
	go run ./cmd/oapi-guard generate --config crosstest/deepmap/oapi-guard.yaml --output "$$dir" && \
	diff "$$dir/guard.gen.go" crosstest/deepmap/guard.gen.go || { echo "crosstest/deepmap/ is not up to date: make generate"; exit 1; }

.PHONY: chaos
# CHAOS are flags of the program; `go run ./internal/chaos -help` lists them.
chaos: ## break servers, networks and clocks under copies for 38 minutes, into internal/chaos/results/ (CHAOS="-run trim")
	@scripts/services.sh
	go run ./internal/chaos -out internal/chaos/results $(CHAOS)

.PHONY: bench
bench: ## measure the hot path beside its peers, into benchmarks/results/
	@scripts/services.sh
	benchmarks/run.sh

.PHONY: bench-packages
bench-packages: ## run the benchmarks of the packages
	go test -run '^$$' -bench . -benchmem ./security/... ./example ./blacklist/... ./store/...

.PHONY: clean
clean: ## remove what the example keeps (the signing keys: everybody is logged out)
	rm -rf .data

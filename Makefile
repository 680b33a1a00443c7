# make help lists the targets. Everything that they need beyond Go, make and git they install themselves.
.DEFAULT_GOAL := help

# The race detector needs a C compiler; where there is none the tests run without it.
RACE := $(shell test "$$(go env CGO_ENABLED)" = 1 && command -v "$$(go env CC)" >/dev/null 2>&1 && echo -race)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## build and serve the example (ADDR=127.0.0.1:8080)
	@go run ./example

.PHONY: test
test: ## run all tests, with a real redis-server (REDIS_SERVER=PATH, INSTALL_SERVICES=no)
	@scripts/services.sh
	go test $(RACE) -shuffle=on -timeout 15m ./...
	$(if $(RACE),go test -run Damaged ./store/boltstore)
	cd crosstest && go test -count=1 ./...
	cd benchmarks && go test -count=1 ./...

.PHONY: check
check: check-generate ## formatting, vet, linters, go.mod, generated code
	@files=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); test -z "$$files" || { echo "not formatted (gofmt -w):"; echo "$$files"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go mod tidy -diff
	go mod verify
	cd crosstest && go vet ./... && go mod tidy -diff && go mod verify
	cd benchmarks && go vet ./... && go mod tidy -diff && go mod verify

.PHONY: generate
generate: ## write gen/ from api.yaml, and crosstest/api/ from its documents
	go generate .
	cd crosstest && go generate .

.PHONY: check-generate
check-generate: ## fail where gen/ and crosstest/api/ are not what their documents generate
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
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cp crosstest/deepmap/*.go "$$dir" && \
	go run ./cmd/oapi-guard generate --config crosstest/deepmap/oapi-guard.yaml --output "$$dir" && \
	diff "$$dir/guard.gen.go" crosstest/deepmap/guard.gen.go || { echo "crosstest/deepmap/ is not up to date: make generate"; exit 1; }

.PHONY: bench
bench: ## measure the hot path beside its peers, into benchmarks/results/
	@scripts/services.sh
	benchmarks/run.sh

.PHONY: bench-packages
bench-packages: ## run the benchmarks of the packages
	go test -run '^$$' -bench . -benchmem ./security/... ./example ./blacklist/... ./store/...

.PHONY: clean
clean: ## remove what the example keeps (the signing key: everybody is logged out)
	rm -rf .data

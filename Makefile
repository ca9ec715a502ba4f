# The two commands of the README are `make run` and `make test`; both need Go alone.
# Everything else is for those who work on Strait. `make help` lists it.

GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOTESTSUM   ?= gotest.tools/gotestsum@v1.13.0
# A number of runs, a few seconds each; with a duration, Go's fuzzer may report its own
# deadline as a failure when the time is up.
FUZZTIME    ?= 12000x
DEMO_FOR    ?= 10s
# With FLAKES, a file, a failed test is run up to three times more, by itself, and is noted in
# the file; not after a data race, a panic, or more than ten failures, subtests counted.
FLAKES      ?=
PROTOC_GEN_GO := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12

# $(call gotest,packages,flags of go test)
gotest = $(if $(FLAKES),$(GO) run $(GOTESTSUM) --format standard-quiet --hide-summary skipped --packages '$(1)' \
  --rerun-fails=3 --rerun-fails-max-failures 10 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race \
  --rerun-fails-report $(FLAKES) --jsonfile $(FLAKES).json -- $(2) || exit 1; $(call whole,$(2)),$(GO) test $(2) $(1))
# A package that fails outside its tests, as for a goroutine that is left, would pass in
# the second run, which has none of them: it is run again as a whole.
whole = left=$$(sed -n '/no tests to run/s/.*"Package":"\([^"]*\)".*/\1/p' $(FLAKES).json | sort -u); \
  if [ -n "$$left" ]; then echo "$$left: failed outside its tests" | tee -a $(FLAKES); $(GO) test $(1) $$left; fi

.DEFAULT_GOAL := help
.PHONY: help build run test check fmt-check vet staticcheck race fuzz generated cross demo test-outside outside-python outside-spin outside-net outside-lab outside-browser compare proto docs bench-queue bench-edge clean

help: ## this list
	@awk 'BEGIN{FS=":.*## "} /^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## one static binary, bin/strait
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/strait ./cmd/strait

run: build ## start the gateway with its defaults: echo on :7777
	./bin/strait serve

test: ## all tests, hermetic, with Go alone
	$(GO) vet ./...
	$(call gotest,./...,-shuffle=on)

check: fmt-check vet staticcheck race fuzz generated cross ## every gate that is not a plain test

fmt-check: ## fail on files that gofmt would change
	@out=$$(git ls-files -z '*.go' | xargs -0 gofmt -l); if [ -n "$$out" ]; then echo "not formatted, run gofmt -w on:"; echo "$$out"; exit 1; fi

vet:
	$(GO) vet ./...
	$(GO) vet -tags outside ./...

staticcheck: ## staticcheck, also over the tests behind the outside tag
	$(GO) run $(STATICCHECK) -tags outside ./...

race: ## all tests under the race detector, shuffled (needs a C compiler)
	export CGO_ENABLED=1; $(call gotest,./...,-race -shuffle=on -timeout 15m)

fuzz: ## every fuzz target for FUZZTIME
	@set -e; n=0; \
	for d in $$(git ls-files -z '*_test.go' | xargs -0 grep -lE '^func Fuzz' | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$d/*_test.go | cut -c6- | sort -u); do \
	    echo "fuzz $$d $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$d; n=$$((n+1)); \
	  done; \
	done; test $$n -gt 0; echo "$$n fuzz targets ran"

generated: ## fail when generated files are not what their sources give (needs protoc)
	$(MAKE) --no-print-directory proto docs
	@out=$$(git status --porcelain -- proto examples/echo-python docs/configuration.md docs/transports.md); if [ -n "$$out" ]; then echo "generated files differ from what is committed:"; echo "$$out"; exit 1; fi

cross: ## the client SDK for macOS and Windows, the gateway for macOS
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) build ./client/... ./examples/arena/player
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) build ./client/... ./examples/arena/player
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/strait
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/strait

demo: ## gateway, arena and two bots, until ctrl-C
	$(GO) build -o bin/demo ./examples/demo
	./bin/demo

test-outside: outside-python outside-spin outside-net outside-lab outside-browser ## proofs by foreign tools (.ci/run says what to install)
	$(GO) run ./examples/demo -for $(DEMO_FOR)
	$(MAKE) --no-print-directory cross

outside-python: ## the echo backend in Python behind the gateway
	$(call gotest,./examples/echo-python/...,-count=1 -tags outside)

outside-spin: ## the model of the ring's parking, searched exhaustively
	@command -v spin >/dev/null || { echo "spin is missing: apt-get install spin"; exit 1; }
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cp queue/parking.pml $$dir && cd $$dir && \
	spin -a parking.pml && gcc -O2 -o pan pan.c && ./pan -a | tee out.txt && grep -q 'errors: 0' out.txt

# STRAIT_TEST_OUTSIDE turns every skip of these tests into a failure.
outside-net: ## attacks and roaming between network namespaces, ngtcp2 as a client (root)
	export STRAIT_TEST_OUTSIDE=1; $(call gotest,./e2e,-count=1 -timeout 10m -run 'Outside|IPv6')

outside-lab: ## the emulated links, measured, and comparisons on them, on an idle machine (root)
	export STRAIT_TEST_OUTSIDE=1; $(call gotest,./compare/lab ./compare/grid,-count=1 -p 1)
	export STRAIT_TEST_OUTSIDE=1; $(call gotest,./cmd/strait,-count=1 -run '^TestCompare')

outside-browser: ## the report, looked at by Chromium
	export STRAIT_TEST_OUTSIDE=1; $(call gotest,./compare/report/...,-count=1)

proto: ## regenerate Go and Python from proto/*.proto
	@command -v protoc >/dev/null || { echo "protoc is missing: apt-get install protobuf-compiler"; exit 1; }
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && GOBIN=$$dir $(GO) install $(PROTOC_GEN_GO) && \
	PATH="$$dir:$$PATH" protoc -I proto --go_out=proto/straitv1 --go_opt=paths=source_relative \
	  --go_opt=Msession.proto=strait/proto/straitv1 --go_opt=Mupstream.proto=strait/proto/straitv1 session.proto upstream.proto && \
	protoc -I proto --python_out=examples/echo-python upstream.proto

docs: ## regenerate docs/configuration.md and the scenarios in docs/transports.md
	$(GO) run ./cmd/strait config docs > docs/configuration.md.new && mv docs/configuration.md.new docs/configuration.md
	$(GO) test ./compare/scenario -run TestDocumentationIsCurrent -update

bench-queue: ## the ring beside a channel, a mutex and a linked queue
	$(GO) test -run '^$$' -bench Throughput -benchtime 10x ./queue

compare: build ## transports side by side on emulated networks, about 5 minutes (root, or a user namespace)
	./bin/strait compare --html compare.html --json compare.json

bench-edge: ## the gateway beside nginx and HAProxy, as bench-edge.html too (.ci/run does not run it)
	$(GO) run ./bench/edge -html bench-edge.html

clean: ## remove what was built
	rm -rf bin

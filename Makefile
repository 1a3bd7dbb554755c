# Everything is called through these targets; "make help" lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT := $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format='-X main.commit=%H -X main.date=%cd' 2>/dev/null)
MODULES := functions infra bench examples/contender-go
GOTEST := go test -timeout 30m
TOOL := GOWORK=off go tool -modfile="$(CURDIR)/.ci/tools.mod"

# What the caller's environment says to Go could build something else, or
# nothing: another system, module mode or toolchain. Flags that do neither are
# kept.
GOFLAGS := -mod=readonly $(filter -buildvcs=% -overlay=% -p=% -modcacherw -v -x,$(GOFLAGS))
export GOFLAGS
export GOWORK := $(CURDIR)/go.work
unexport GOOS GOARCH GOAMD64 GOARM64 GOEXPERIMENT GO111MODULE GOROOT CGO_ENABLED CDPATH
ifneq ($(filter-out local path auto,$(GOTOOLCHAIN)),)
unexport GOTOOLCHAIN
endif

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: bench
bench: build ## measure 128, 512 and 1,769 MB on this machine (needs only Go and make)
	bin/fanout run --memory 128,512,1769 --client lean,stock --concurrency 1,64

.PHONY: perf
perf: build ## compare the S3 clients: CPU per object and per GB, wall time, ratios (PARTS=clients,floor,large is shorter; also wrk, if it is installed)
	for c in baseline transfermanager; do \
		CGO_ENABLED=0 go build -trimpath -tags lambda.norpc -ldflags '-s -w' -o build/$$c/bootstrap ./bench/$$c || exit 1; done
	bin/fanout perf --parts $(PARTS)

PARTS = clients,floor,large,large-objects # large-objects take two hours, the others a quarter of one

.PHONY: sweep
sweep: build ## compare concurrency auto with fixed concurrencies
	bin/fanout perf --parts auto --rounds 21

.PHONY: build
build: GOFLAGS += $(shell test -t 2 && echo -v) # name what is compiled to whoever waits for it
build: ## build bin/fanout, bin/local and this machine's function package
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION) $(COMMIT)' -o bin/fanout ./bench
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/local ./functions/cmd/local
	go run ./functions/cmd/package -o build -arch host fetch

.PHONY: test-build
test-build: build ## check that Go settings which could interfere do not change the binaries
	sha256sum bin/fanout bin/local build/fetch-*.zip >build/sums
	$(AWKWARD) $(MAKE) build
	sha256sum --check --quiet build/sums

AWKWARD = GOFLAGS='-mod=mod -tags=awkward -race' GOWORK=off GOOS=windows GOARCH=386 GOAMD64=v4 GOEXPERIMENT=nogreenteagc \
	CGO_ENABLED=1 GO111MODULE=off GOTOOLCHAIN=go1.20.1 GOROOT=/nowhere CDPATH=/tmp

.PHONY: package
package: ## build the Lambda packages, x86_64 and arm64, as zips in build/
	go run ./functions/cmd/package -o build fetch fetch-lean

.PHONY: release
release: ## write the release to build/release: archives for linux/amd64 and arm64, SBOMs, checksums
	.ci/release

.PHONY: test
test: ## run all tests, with the race detector
	$(GOTEST) -race $(foreach m,$(MODULES),./$(m)/...)
	$(GOTEST) -run Socket ./functions/store/lean # its system calls are others with the race detector

.PHONY: test-arm64
test-arm64: ## run the arm64 package under qemu (needs qemu-user-static)
	$(GOTEST) -count=1 -tags qemu -run ARM64 ./bench

.PHONY: test-awscli
test-awscli: .venv/awscli/installed ## use the sandbox with the AWS CLI (needs Python 3; installs into .venv)
	$(GOTEST) -count=1 -tags awscli -run AWSCLI ./bench

.venv/awscli/installed: .ci/awscli.txt
	python3 -m venv .venv/awscli
	.venv/awscli/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.PHONY: test-release
test-release: release ## run the release's command on a file system without anything else (needs qemu-user-static)
	$(GOTEST) -count=1 -tags archive -run Archive ./bench

.PHONY: test-runtimes
test-runtimes: ## test handlers of managed runtimes in the sandbox (needs Python 3, Node.js and a JDK)
	$(GOTEST) -count=1 -tags runtimes -run 'TestPython|TestNode|TestJava|TestManaged|TestRuntime' ./bench ./bench/internal/sandbox

.PHONY: test-page
test-page: ## test the report's page in Chromium (needs chromium)
	$(GOTEST) -count=1 -tags chromium -run Chromium ./bench/internal/report/page

.PHONY: pictures
pictures: ## draw the README's pictures from RESULTS=FOLDER into docs/ (needs chromium)
	FANOUT_RESULTS=$(abspath $(RESULTS)) $(GOTEST) -count=1 -tags chromium -run ChromiumPictures ./bench/internal/report/page

.PHONY: calibration
calibration: ## show how well a sandbox is calibrated by another that plays AWS (25 minutes, best on a quiet machine)
	$(GOTEST) -count=1 -v -timeout 1h -tags calibration -run 'TestCalibration$$' ./bench

.PHONY: fuzz
fuzz: ## run every fuzz target for 20 seconds
	.ci/fuzz 20s

.PHONY: fuzz-short
fuzz-short: ## run every fuzz target for 3 seconds
	.ci/fuzz 3s

# Packages whose operators "make mutate" changes: what results depend on.
MUTATE := functions/fetch functions/store/lean bench/internal/trial bench/internal/stats bench/internal/cost bench/internal/report

.PHONY: mutate
mutate: ## run mutation tests, which list changes of the code that no test notices (see docs/testing.md)
	.ci/mutate $(MUTATE)

.PHONY: lint
lint: ## run the linters (pinned in .ci/tools.mod)
	for m in $(MODULES); do (cd $$m && $(TOOL) golangci-lint run --allow-parallel-runners ./...) || exit 1; done

.PHONY: notices
notices: ## write THIRD_PARTY_NOTICES.txt: the licenses of the code in the binaries
	go run ./bench/notices

.PHONY: notices-check
notices-check: ## check that THIRD_PARTY_NOTICES.txt is up to date
	go run ./bench/notices -check

.PHONY: ci-deps
ci-deps: ## install the Debian packages that CI needs (as root)
	.ci/deps

# What CI checks side by side, and what needs the machine for itself, since it
# measures, or writes into bin and build. The files included add their own.
CI_TOGETHER = lint test-page fuzz-short
CI_ALONE = test test-arm64 test-awscli test-runtimes test-release

.PHONY: ci
ci: ci-deps ## run every check that a change must pass
	$(MAKE) build notices-check test-build
	$(MAKE) --jobs=2 --output-sync=target $(CI_TOGETHER)
	$(MAKE) $(CI_ALONE)

# Contenders in other languages, and the tools they are built with.
.PHONY: contenders
contenders: ## build the contenders whose tools this machine has (python, node, rust, cpp, java), and say what the others need
	@for c in $(CONTENDERS); do command -v $${c#*:} >/dev/null && { $(MAKE) --no-print-directory $${c%:*} || exit 1; } || \
		echo "no $${c%:*} contender: $${c#*:} not found"; done

CONTENDERS = python:python3 node:npm rust:cargo cpp:cmake java:mvn
HOST := $(if $(filter aarch64,$(shell uname -m)),arm64,x86_64)

# Linters of contenders that are not installed when these are built.
SCORECARD_LINTERS = $(if $(shell command -v npm),functions/node/node_modules/.package-lock.json) $(if $(wildcard functions/cpp/cpp.mk),.venv/cpp/installed)

.PHONY: scorecard
scorecard: build package contenders .venv/lizard/installed $(SCORECARD_LINTERS) ## compare the languages, including builds, and write docs/languages.md (needs Python 3)
	go run ./bench/scorecard $(SCORECARD)

.venv/lizard/installed: .ci/lizard.txt
	python3 -m venv .venv/lizard
	.venv/lizard/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.PHONY: clean
clean: ## remove all build output
	rm -rf bin build cdk.out

include infra/infra.mk functions/rust/rust.mk functions/python/python.mk functions/node/node.mk functions/cpp/cpp.mk functions/java/java.mk

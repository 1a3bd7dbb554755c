# Everything is called through these targets; "make help" lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
MODULES := functions infra bench
TOOL := GOWORK=off go tool -modfile=$(CURDIR)/.ci/tools.mod

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: bench
bench: build ## main job: measure 128, 512 and 1,769 MB on this machine (needs Go and make)
	bin/fanout run --memory 128,512,1769 --client tuned --concurrency 1,64

.PHONY: build
build: ## build bin/fanout and this machine's function package
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/fanout ./bench
	go build -trimpath -o bin/local ./functions/cmd/local
	go run ./functions/cmd/package -o build -arch host fetch

.PHONY: package
package: ## build the Lambda packages, x86_64 and arm64, as zips in build/
	go run ./functions/cmd/package -o build fetch

.PHONY: test
test: ## run all tests
	go test -race $(foreach m,$(MODULES),./$(m)/...)

.PHONY: lint
lint: ## run the linters (pinned in .ci/tools.mod)
	for m in $(MODULES); do (cd $$m && $(TOOL) golangci-lint run ./...) || exit 1; done

.PHONY: clean
clean: ## remove what was built
	rm -rf bin build cdk.out

include infra/infra.mk

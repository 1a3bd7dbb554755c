# Targets of the CDK app, included by the root's Makefile. They install what
# they need by lock files, into node_modules and .venv.
#
# CDK is `npx cdk` in the version of package.json, the one that the README
# names; the app itself needs nothing from npm, it is Go with its Node part
# inside.
CDK := npx cdk
CDK_QUIET := CDK_DISABLE_VERSION_CHECK=1 CDK_DISABLE_CLI_TELEMETRY=true \
	JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20 AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED=true

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

# .venv/e2e and .venv/lint, for their requirements have no version of boto3 in common.
.venv/%/installed: infra/%/requirements.txt
	python3 -m venv .venv/$*
	.venv/$*/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# What checks the templates with the CDK's own library, which the app has in its
# Go module, and the state machine's definition.
infra/lint/%/node_modules/.package-lock.json: infra/lint/%/package.json infra/lint/%/package-lock.json
	npm ci --prefix infra/lint/$* --no-audit --no-fund
	@touch $@

.PHONY: deploy
deploy: node_modules/.package-lock.json ## deploy the stack to the AWS account of your credentials (CONTEXT="-c KEY=VALUE ...")
	$(CDK_QUIET) $(CDK) deploy --outputs-file build/outputs.json $(CONTEXT)

.PHONY: destroy
destroy: node_modules/.package-lock.json ## remove the deployed stack, including objects and logs
	$(CDK_QUIET) $(CDK) destroy $(CONTEXT)

.PHONY: infra-test
infra-test: ## test the CDK app and the seeder (needs Node)
	$(GOTEST) -race ./infra/... ./functions/cmd/seed

CI_TOGETHER += template-lint
CI_ALONE += e2e

# First, before Rust or the CDK are built.
.PHONY: e2e-tools
e2e-tools:
	@python3 infra/e2e/tools.py

.PHONY: e2e
e2e: e2e-tools node_modules/.package-lock.json .venv/e2e/installed ## deploy to a local AWS as the README says (E2E="--without rust")
	.venv/e2e/bin/python infra/e2e/e2e.py README.md $(E2E)

.PHONY: e2e-sabotage
e2e-sabotage: e2e-tools node_modules/.package-lock.json .venv/e2e/installed ## check that e2e fails if the seeder's delete does nothing
	.venv/e2e/bin/python infra/e2e/e2e.py --sabotage README.md; \
	code=$$?; [ $$code = 3 ] || { echo "error: e2e ended with $$code; want 3, something left behind" >&2; exit 1; }

.PHONY: template-lint
template-lint: $(addsuffix /node_modules/.package-lock.json,infra/lint/asl infra/lint/nag) .venv/lint/installed ## check all templates
	infra/lint/lint.sh

.PHONY: infra-lock
infra-lock: ## resolve infra/*/requirements.in again (needs uv)
	for d in e2e lint; do uv pip compile --quiet --generate-hashes --python-version 3.11 \
		--custom-compile-command "make infra-lock" infra/$$d/requirements.in -o infra/$$d/requirements.txt || exit 1; done

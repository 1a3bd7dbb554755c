# Targets of the Node.js contender, included by the root's Makefile. Nothing else
# needs them; they install what they need by a lock file, into
# functions/node/node_modules.
NODE_SOURCES := $(wildcard $(addprefix functions/node/,build package-lock.json *.mjs fetch/*.mjs))

.PHONY: node
node: build/node/built ## build the Node.js contender into build/ (needs Node.js 20.15 or newer)

build/node/built: $(NODE_SOURCES)
	functions/node/build
	@touch $@

functions/node/node_modules/.package-lock.json: functions/node/package-lock.json
	npm ci --prefix functions/node --no-audit --no-fund
	@touch $@

.PHONY: lint-node
lint-node: functions/node/node_modules/.package-lock.json ## check the Node.js contender's format, lint, types and unit tests
	cd functions/node && npm run --silent lint && npm run --silent test

.PHONY: test-node
test-node: build node lint-node ## test the Node.js contender, and put both its clients through the contract
	bin/fanout check --contender node=build/node.zip,runtime=nodejs24.x,handler=index.handler --client lean,tuned

CI_TOGETHER += node lint-node
CI_ALONE += test-node

# Targets of the C++ contender, included by the root's Makefile. Nothing else
# needs them. The linters are installed by a lock file, into .venv/cpp.
CPP := .venv/cpp/bin

.PHONY: cpp
cpp: ## build the C++ contender into build/ (needs g++, CMake and OpenSSL's headers)
	functions/cpp/build

.venv/cpp/installed: functions/cpp/requirements-dev.txt
	python3 -m venv .venv/cpp
	$(CPP)/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.PHONY: lint-cpp
lint-cpp: .venv/cpp/installed ## check the C++ contender's format, lint and unit tests (needs GoogleTest, too)
	$(CPP)/clang-format --dry-run --Werror functions/cpp/src/* functions/cpp/tests/*
	functions/cpp/build tests
	ctest --test-dir build/cmake/cpp-tests --output-on-failure --parallel 2
	$(CPP)/clang-tidy -p build/cmake/cpp-tests --quiet functions/cpp/src/*.cc

.PHONY: test-cpp
test-cpp: build cpp ## check the C++ contender against the contract
	bin/fanout check --contender cpp=build/cpp/$(HOST)/bootstrap

.PHONY: cpp-lock
cpp-lock: ## resolve the C++ contender's linters again (needs uv)
	cd functions/cpp && uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make cpp-lock" requirements-dev.in -o requirements-dev.txt

CI_TOGETHER += cpp lint-cpp
CI_ALONE += test-cpp

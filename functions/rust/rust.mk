# Targets of the Rust contender, included by the root's Makefile. Nothing else
# needs them, or cargo.
RUST := --manifest-path functions/rust/Cargo.toml

.PHONY: rust
rust: ## build the Rust contender into build/ (needs cargo)
	functions/rust/build

.PHONY: test-rust
test-rust: ## check the Rust contender's format, lint and tests (needs cargo with rustfmt and clippy)
	cargo fmt $(RUST) --check
	cargo clippy $(RUST) --locked --all-targets -- --deny warnings
	cargo test $(RUST) --locked

.PHONY: check
check: build ## test this machine's functions against the contract: Go's, and Rust's if there is cargo
	bin/fanout check
	$(CHECK_RUST)

# Where there is cargo, CI has a second contender.
CI_ALONE += check
ifneq ($(shell command -v cargo),)
CHECK_RUST = bin/fanout check --contender rust=functions/rust/target/release/bootstrap
check e2e: rust
CI_TOGETHER += rust test-rust
endif

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
check: build ## put Go's functions through the contract, and Rust's where make rust built it
	bin/fanout check --contender go=$(wildcard build/fetch/*/bootstrap) $(if $(wildcard functions/rust/target/release/bootstrap),--contender rust=functions/rust/target/release/bootstrap)

# In CI where there is cargo.
ci: check
ifneq ($(shell command -v cargo),)
ci: rust test-rust
check: rust
endif

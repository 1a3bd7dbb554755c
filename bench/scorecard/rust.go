package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

func rust(jobs int) language {
	const target = "aarch64-unknown-linux-gnu"
	install := "install Rust: https://rustup.rs"
	return language{
		name: "Rust", contender: "rust", tools: []tool{{"cargo", install}, {"rustc", install}},
		version: []string{"rustc", "--version"}, code: "build/rust/ARCH/bootstrap",
		variants: []variant{{
			name: "Rust", about: "aws-sdk-s3, tokio, lambda_runtime",
			handler: []string{"functions/rust/src/*.rs"}, split: splitRust,
			dependencies: crates,
			build: build{
				prepare: [][]string{{"cargo", "fetch", "--locked"}},
				command: []string{"cargo", "build", "--release", "--locked", "-j", fmt.Sprint(jobs)},
				env:     []string{"CARGO_TARGET_DIR=DIR/target"}, folder: "functions/rust",
				changed: "functions/rust/src/fetch.rs", line: "\n#[allow(dead_code)]\nconst SCORECARD_%d: usize = 1;\n",
			},
			zip: "rust-ARCH.zip",
			arm64: []string{ // aws-lc, the SDK's cryptography, is C
				"rustup target add " + target,
				"apt-get install gcc-aarch64-linux-gnu",
				"CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc make rust",
			},
			format: check{folder: "functions/rust", command: []string{"cargo", "fmt", "--check"}, found: `(?m)^Diff in `},
			lint: check{
				folder: "functions/rust", found: `(?m)^\{"reason":"compiler-message".*"level":"(warning|error)".*$`,
				command: []string{"cargo", "clippy", "--locked", "--all-targets", "--message-format=json", "-j", fmt.Sprint(jobs)},
			},
		}},
	}
}

// splitRust parts a Rust file from the tests at its end.
func splitRust(text string) (program, tests string) {
	const mark = "\n#[cfg(test)]\n"
	at := strings.Index(text, mark)
	if at < 0 {
		return text, ""
	}
	return text[:at+1], text[at+1:]
}

// crates counts those in the function, and what builds them.
func crates(ctx context.Context, m *measurer) (direct, total int, err error) {
	out, err := m.exec(ctx, "functions/rust", nil, "cargo", "metadata", "--locked", "--no-deps", "--format-version", "1")
	if err != nil {
		return 0, 0, err
	}
	var metadata struct {
		Packages []struct{ Dependencies []struct{ Kind *string } }
	}
	if err := json.Unmarshal(out, &metadata); err != nil || len(metadata.Packages) != 1 {
		return 0, 0, fmt.Errorf("cargo metadata: %d packages: %w", len(metadata.Packages), err)
	}
	for _, d := range metadata.Packages[0].Dependencies {
		if d.Kind == nil { // neither for tests nor for a build script
			direct++
		}
	}
	out, err = m.exec(ctx, "functions/rust", nil, "cargo", "tree", "--locked", "-e", "normal,build", "--prefix", "none", "-f", "{p}")
	if err != nil {
		return 0, 0, err
	}
	all := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		all[strings.TrimSuffix(lines.Text(), " (*)")] = true
	}
	return direct, len(all) - 1, nil // without itself
}

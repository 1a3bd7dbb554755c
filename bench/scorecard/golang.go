package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"fanout/functions/outputs"
	"fanout/functions/store"
)

const goContender = outputs.GoContender

// golang has a column with the SDK, and one without it.
func golang(root string, jobs int) language {
	shared := []string{"functions/fetch/*.go", "functions/cmd/fetch/main.go", "functions/store/store*.go"}
	folders := []string{"functions/fetch", "functions/store", "functions/cmd/fetch"}
	tools := filepath.Join(root, ".ci", "tools.mod")
	one := func(name, about, client, tags, zip string, more ...string) variant {
		return variant{
			name: name, about: about, client: client,
			handler: append(append([]string{}, shared...), more...), tests: shared,
			dependencies: func(ctx context.Context, m *measurer) (int, int, error) { return m.goModules(ctx, tags) },
			build: build{
				command: []string{"go", "build", "-p", fmt.Sprint(jobs), "-trimpath", "-tags", tags, "-ldflags", "-s -w", "-o", "../build/go-bootstrap",
					"./cmd/fetch"},
				// Each has a cache of its own, empty at first; DIR stands for the measurement's folder.
				env: []string{"GOWORK=off", "CGO_ENABLED=0", "GOCACHE=DIR/gocache-" + zip}, folder: "functions",
				changed: "functions/fetch/handler.go", line: "\nconst scorecard%d = 1\n",
			},
			zip:    zip + "-ARCH.zip",
			arm64:  []string{"go run ./functions/cmd/package -o build -arch arm64 fetch"},
			format: check{folder: ".", command: append([]string{"gofmt", "-l"}, folders...), found: `(?m)^.+$`},
			lint: check{
				folder: "functions", env: []string{"GOWORK=off"}, found: `(?m)^[^ ]+\.go:\d+`,
				command: []string{"go", "tool", "-modfile=" + tools, "golangci-lint", "run", "--allow-parallel-runners", "--show-stats=false",
					"--output.text.print-issued-lines=false", "./fetch/...", "./store/...", "./cmd/fetch/..."},
			},
		}
	}
	l := language{
		name: "Go", contender: goContender, tools: []tool{{"go", "install Go: https://go.dev/dl"}},
		version: []string{"go", "env", "GOVERSION"}, clients: []string{store.Lean, store.Tuned, store.Stock},
		variants: []variant{
			one("Go, SDK", "the handler with aws-sdk-go-v2 (clients `tuned` and `stock`)", store.Tuned, "lambda.norpc", "fetch",
				"functions/cmd/fetch/sdk.go", "functions/store/sdk/*.go"),
			one("Go, lean", "the handler with this repository's own HTTP client and signer", store.Lean, "lambda.norpc,nosdk", "fetch-lean",
				"functions/store/lean/*.go"),
		},
	}
	l.variants[0].tests = append(append([]string{}, shared...), "functions/store/sdk/*.go")
	l.variants[1].tests = append(append([]string{}, shared...), "functions/store/lean/*.go")
	return l
}

// goModules counts the modules that are in the function, and those that its own
// packages import.
func (m *measurer) goModules(ctx context.Context, tags string) (direct, total int, err error) {
	out, err := m.exec(ctx, "functions", []string{"GOWORK=off"},
		"go", "list", "-tags", tags, "-deps", "-json=ImportPath,Imports,Module", "./cmd/fetch")
	if err != nil {
		return 0, 0, err
	}
	type listed struct {
		ImportPath string
		Imports    []string
		Module     *struct {
			Path string
			Main bool
		}
	}
	module, imported := map[string]string{}, map[string]bool{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, 0, fmt.Errorf("go list: %w", err)
		}
		switch {
		case p.Module == nil: // the standard library
		case p.Module.Main:
			for _, path := range p.Imports {
				imported[path] = true
			}
		default:
			module[p.ImportPath] = p.Module.Path
		}
	}
	all, own := map[string]bool{}, map[string]bool{}
	for path, name := range module {
		all[name] = true
		if imported[path] {
			own[name] = true
		}
	}
	return len(own), len(all), nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"fanout/functions/store"
)

// node has both its clients in one package, which is the same for every
// architecture: nothing in it is native.
func node(root string) language {
	biome := filepath.Join(root, "functions", "node", "node_modules", ".bin", "biome")
	const install = "install Node.js: https://nodejs.org"
	return language{
		name: "Node.js", contender: "node", tools: []tool{{"node", install}, {"npm", install}},
		version: []string{"node", "--version"}, code: "build/node.zip", managed: ",runtime=nodejs24.x,handler=index.handler",
		clients: []string{store.Lean, store.Tuned},
		variants: []variant{{
			name: "Node.js", about: "its own client on node:tls (`lean`), and @aws-sdk/client-s3 (`tuned`)", client: store.Lean,
			handler:      []string{"functions/node/*.mjs", "functions/node/fetch/*.mjs"},
			tests:        []string{"functions/node/test/*.mjs"},
			dependencies: func(context.Context, *measurer) (int, int, error) { return npmPackages("functions/node") },
			build: build{
				prepare: [][]string{{"functions/node/build"}, {"rm", "-rf", "build/node", "build/node.zip"}}, // npm keeps what it downloads
				command: []string{"functions/node/build"}, env: []string{"npm_config_prefer_offline=true"}, folder: ".",
				changed: "functions/node/fetch/handler.mjs", line: "\nexport const scorecard%d = 1;\n",
			},
			zip: "node.zip",
			format: check{
				folder: "functions/node", command: []string{biome, "format", "--max-diagnostics=none", "."},
				found: `(?m)^\S+ format ━`,
			},
			lint: check{
				folder: "functions/node", command: []string{biome, "lint", "--max-diagnostics=none", "."},
				found: `(?m)^\S+ lint/\S+ .*━`,
			},
		}},
	}
}

// npmPackages counts a folder's dependencies, but for those of development.
func npmPackages(folder string) (direct, total int, err error) {
	text, err := os.ReadFile(folder + "/package-lock.json")
	if err != nil {
		return 0, 0, err
	}
	var lock struct {
		Packages map[string]struct {
			Dev          bool
			Dependencies map[string]string
		}
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return 0, 0, fmt.Errorf("%s/package-lock.json: %w", folder, err)
	}
	for path, p := range lock.Packages {
		switch {
		case path == "":
			direct = len(p.Dependencies)
		case strings.Contains(path, "node_modules/") && !p.Dev:
			total++
		}
	}
	return direct, total, nil
}

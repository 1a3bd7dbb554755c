package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"fanout/functions/store"
)

// python has both its clients in one package. The tools come from make python,
// which installs them by lock file.
func python(root string) language {
	bin := filepath.Join(root, ".venv", "python", "bin")
	return language{
		name: "Python", contender: "python", tools: []tool{{"python3", "apt-get install python3-venv"}},
		version: []string{"python3", "--version"}, code: "build/python/ARCH", managed: ",runtime=python3.13,handler=handler.handler",
		clients: []string{store.Lean, store.Tuned},
		variants: []variant{{
			name: "Python", about: "its own client on asyncio (`lean`), and boto3 (`tuned`)", client: store.Lean,
			handler: []string{"functions/python/handler.py", "functions/python/fetch/*.py"},
			tests:   []string{"functions/python/tests/*.py"},
			dependencies: func(context.Context, *measurer) (direct, total int, err error) {
				if total, err = lockedNames("functions/python/requirements.txt", "=="); err != nil {
					return 0, 0, err
				}
				direct, err = pythonDirect("functions/python/pyproject.toml")
				return direct, total, err
			},
			build: build{
				// pip keeps what it downloads: the first build is for that.
				prepare: [][]string{{filepath.Join(bin, "python"), "functions/python/build"}, {"rm", "-rf", "build/python"}},
				command: []string{filepath.Join(bin, "python"), "functions/python/build"}, folder: ".",
				changed: "functions/python/fetch/handler.py", line: "\nSCORECARD_%d = 1\n",
			},
			zip: "python-ARCH.zip", arm64: []string{"make python"},
			format: check{
				folder: "functions/python", command: []string{filepath.Join(bin, "ruff"), "format", "--check", "."}, found: `(?m)^Would reformat: `,
			},
			lint: check{
				folder: "functions/python", command: []string{filepath.Join(bin, "ruff"), "check", "--output-format", "concise", "."},
				found: `(?m)^\S+:\d+:\d+: `,
			},
		}},
	}
}

// pythonDirect counts the dependencies in pyproject.toml, which has one in a line.
func pythonDirect(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	list := regexp.MustCompile(`(?ms)^dependencies = \[\n(.*?)^\]`).FindSubmatch(text)
	if list == nil {
		return 0, fmt.Errorf("%s: no list of dependencies", file)
	}
	return len(regexp.MustCompile(`(?m)^\s*"`).FindAll(list[1], -1)), nil
}

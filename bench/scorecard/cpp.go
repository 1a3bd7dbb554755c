package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"

	"fanout/functions/store"
)

// cpp has one client, its own: the SDK for C++ is in no package registry.
func cpp(root string) language {
	var sources []string
	for _, pattern := range []string{"src/*.cc", "src/*.h", "tests/*.cc"} {
		found, _ := filepath.Glob("functions/cpp/" + pattern) // the pattern is a good one
		sources = append(sources, found...)
	}
	return language{
		name: "C++", contender: "cpp",
		tools:   []tool{{"c++", "apt-get install g++"}, {"cmake", "apt-get install cmake"}},
		version: []string{"c++", "--version"}, code: "build/cpp/ARCH/bootstrap", clients: []string{store.Lean},
		variants: []variant{{
			name: "C++", about: "its own client on OpenSSL (`lean`)", client: store.Lean,
			handler:      []string{"functions/cpp/src/*.cc", "functions/cpp/src/*.h"},
			tests:        []string{"functions/cpp/tests/*.cc"},
			dependencies: cmakePackages,
			build: build{
				command: []string{"functions/cpp/build"}, folder: ".",
				changed: "functions/cpp/src/fetcher.cc", line: "\n[[maybe_unused]] static const int scorecard%d = 1;\n",
			},
			zip: "cpp-ARCH.zip", arm64: []string{"make cpp"}, arm64Note: "on such a machine",
			// Its linter needs a build of its own: make lint-cpp.
			format: check{
				folder: ".", found: `(?m)^[^ ]+: error: `,
				command: append([]string{filepath.Join(root, ".venv", "cpp", "bin", "clang-format"), "--dry-run", "--Werror"}, sources...),
			},
		}},
	}
}

// cmakePackages counts what CMakeLists.txt asks for: each is linked, and brings
// no other.
func cmakePackages(context.Context, *measurer) (direct, total int, err error) {
	text, err := os.ReadFile("functions/cpp/CMakeLists.txt")
	if err != nil {
		return 0, 0, err
	}
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\s*find_package\((\w+)`).FindAllSubmatch(text, -1) {
		if name := string(m[1]); name != "GTest" { // of the tests
			found[name] = true
		}
	}
	return len(found), len(found), nil
}

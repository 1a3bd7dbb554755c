package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// repository is where the tools run.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	return root
}

// What the table says of a language that is here is true: its files are, and are
// neither none nor in two places, and its dependencies can be counted.
func TestLanguages(t *testing.T) {
	root := repository(t)
	m := &measurer{options: options{jobs: 1}, dir: t.TempDir()}
	for _, l := range languages(root, 1) {
		if why := l.missing(); strings.HasSuffix(why, "is not there") {
			continue // the page names it
		}
		for _, v := range l.variants {
			handler, tests, err := v.sources()
			if err != nil || len(handler) == 0 || len(tests) == 0 {
				t.Errorf("%s: %d files, %d of tests: %v", v.name, len(handler), len(tests), err)
			}
			for name := range handler {
				if tests[name] != "" {
					t.Errorf("%s: %s is counted twice", v.name, name)
				}
			}
			if _, err := os.Stat(v.build.changed); err != nil {
				t.Errorf("%s: %v", v.name, err)
			}
			if l.contender == "rust" && l.missing() != "" {
				continue // cargo counts them
			}
			direct, total, err := v.dependencies(t.Context(), m)
			if err != nil || direct < 1 || total < direct {
				t.Errorf("%s: %d direct dependencies of %d: %v", v.name, direct, total, err)
			}
		}
	}
}

// A language is measured, or named with the reason why not.
func TestChosen(t *testing.T) {
	repository(t)
	all := []language{
		{name: "Go", contender: "go"},
		{name: "Fortran", contender: "fortran"}, // not in this repository
		{name: "Rust", contender: "rust", tools: []tool{{"no-such-compiler", "install it"}}},
	}
	for _, tt := range []struct {
		name    string
		only    []string
		here    []string
		missing []absent
		err     string
	}{
		{name: "all", here: []string{"Go"}, missing: []absent{
			{"Fortran", "functions/fortran is not there"}, {"Rust", "no-such-compiler not found: install it"},
		}},
		{name: "some", only: []string{"go"}, here: []string{"Go"}, missing: []absent{
			{"Fortran", "not asked for"}, {"Rust", "not asked for"},
		}},
		{name: "an unknown one", only: []string{"cobol"}, err: `language "cobol": must be one of go, fortran, rust`},
		{name: "one that is missing", only: []string{"rust"}, err: "no-such-compiler not found"},
	} {
		here, missing, err := chosen(all, tt.only)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
			}
			continue
		}
		var names []string
		for _, l := range here {
			names = append(names, l.name)
		}
		if err != nil || !slices.Equal(names, tt.here) || !slices.Equal(missing, tt.missing) {
			t.Errorf("%s: %q, missing %v, %v", tt.name, names, missing, err)
		}
	}
}

func TestSplitRust(t *testing.T) {
	for _, tc := range []struct{ text, program, tests string }{
		{"fn a() {}\n\n#[cfg(test)]\nmod tests {}\n", "fn a() {}\n\n", "#[cfg(test)]\nmod tests {}\n"}, // as they are written
		{"fn a() {}\n", "fn a() {}\n", ""},                             // a file without tests
		{"// #[cfg(test)] is said\n", "// #[cfg(test)] is said\n", ""}, // no module
	} {
		if program, tests := splitRust(tc.text); program != tc.program || tests != tc.tests {
			t.Errorf("%q: %q and %q", tc.text, program, tests)
		}
	}
}

// Languages add up, as C++ has headers beside its sources.
func TestSCC(t *testing.T) {
	got, err := sccCode([]byte(`[{"Name":"C++","Code":90,"Complexity":7,"Count":2},{"Name":"C Header","Code":10,"Complexity":1,"Count":3}]`))
	if want := (code{lines: 100, complexity: 8, files: 5}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestLizard(t *testing.T) {
	const report = `5,3,68,3,5,"add@21-25@a.rs","a.rs","add","add x, y",21,25
3,1,38,2,3,"f@2-3@a.rs","a.rs","f","f ""quoted""",29,31
9,12,38,2,3,"g@2-3@a.rs","a.rs","g","g",29,31
`
	var got code
	if err := got.addFunctions([]byte(report)); err != nil || got != (code{functions: 3, middle: 3, worst: 12}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"1\n", "1,two\n", "\"\n"} {
		if err := got.addFunctions([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// A checker's findings are counted from either output; a failure without any is
// one of the checker's.
func TestFindings(t *testing.T) {
	m := &measurer{}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, script string
		want         int
		fails        bool
	}{
		{"none", "true", 0, false},
		{"two, and a status that says so", "echo bad: a; echo bad: b; exit 1", 2, false},
		{"on standard error", "echo bad: a >&2; exit 1", 1, false},
		{"the checker crashes", "echo panic >&2; exit 2", 0, true},
	} {
		got, err := m.findingsOf(t.Context(), check{folder: ".", command: []string{sh, "-c", tt.script}, found: `bad: `})
		if got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%s: %d, %v", tt.name, got, err)
		}
	}
	for _, command := range [][]string{nil, {"no-such-checker"}} {
		if got, err := m.findingsOf(t.Context(), check{command: command}); got != notMeasured || err != nil {
			t.Errorf("%q: %d, %v", command, got, err)
		}
	}
}

// The clients of a language are told to fanout run, which else asks it for all.
func TestFlag(t *testing.T) {
	t.Chdir(t.TempDir())
	l := language{name: "X", contender: "x", code: "boot", managed: ",runtime=r,handler=h", clients: []string{"lean", "tuned"}}
	if _, err := l.flag(); err == nil || !strings.Contains(err.Error(), "make x") {
		t.Errorf("not built: %v", err)
	}
	if err := os.WriteFile("boot", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := l.flag(); err != nil || got != "x=boot,runtime=r,handler=h,client=lean,client=tuned" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{
		"go1.26.8\n":                           "1.26.8",
		"rustc 1.95.0 (abc 2026-04-14)\n":      "1.95.0",
		"Python 3.11.7\n":                      "3.11.7",
		"v22.12.0\n":                           "22.12.0",
		"c++ (Debian 12.2.0-14) 12.2.0\nCopyr": "12.2.0",
		"javac 17.0.13\n":                      "17.0.13",
	} {
		if got := string(version.Find([]byte(text))); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fanout/bench/internal/hint"
	"fanout/functions/lambda"
)

// fakes is a folder of interpreters that say they are of these versions, and warn
// of a locale before, as a shell does that starts one for a version manager; one
// without a version fails, as a version manager's does.
func fakes(t testing.TB, versions map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, version := range versions {
		path := filepath.Join(dir, name)
		text := fmt.Sprintf("#!/bin/sh\necho warning: setlocale >&2\necho %s\necho %s\n", path, version)
		switch {
		case version == "":
			text = "#!/bin/sh\necho not installed >&2\nexit 127\n"
		case name == "java":
			text = fmt.Sprintf("#!/bin/sh\necho '    java.home = %s'\necho '    java.version = %s'\n", dir, version)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The interpreter of the runtime's version is taken, or else the nearest.
func TestFindInterpreter(t *testing.T) {
	for _, tt := range []struct {
		name, runtime string
		path          map[string]string
		want          string // its version
	}{
		{"the same", "python3.13", map[string]string{"python3.13": "3.13.1", "python3": "3.11.7"}, "3.13.1"},
		{"the same, as python3", "python3.13", map[string]string{"python3": "3.13.0"}, "3.13.0"},
		{"a release candidate", "python3.14", map[string]string{"python3.14": "3.14.0"}, "3.14.0"},
		{"an older one", "python3.13", map[string]string{"python3": "3.11.7"}, "3.11.7"},
		{"the nearest", "python3.13", map[string]string{"python3": "3.9.2", "python3.12": "3.12.1", "python3.10": "3.10.0"}, "3.12.1"},
		{"of two as near the newer", "python3.13", map[string]string{"python3.12": "3.12.9", "python3.14": "3.14.0"}, "3.14.0"},
		{"a version manager's that is not installed", "python3.13", map[string]string{"python3.13": "", "python3": "3.12.4"}, "3.12.4"},
		{"no Python 2", "python3.13", map[string]string{"python": "2.7.18"}, ""},
		{"none", "python3.13", nil, ""},
		{"another Node.js", "nodejs22.x", map[string]string{"node": "20.20.2", "node22": "22.1.0"}, "22.1.0"},
		{"Debian's name for it", "nodejs22.x", map[string]string{"nodejs": "18.20.4"}, "18.20.4"},
		{"a nightly", "nodejs24.x", map[string]string{"node": "24.0.0-nightly2025"}, "24.0.0-nightly2025"},
		{"no Node.js", "nodejs24.x", map[string]string{"node": ""}, ""},
	} {
		t.Setenv("PATH", fakes(t, tt.path))
		rt, err := lambda.ParseRuntime(tt.runtime)
		if err != nil {
			t.Fatal(err)
		}
		found, err := findInterpreter(rt)
		if found.version != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %+v, %v", tt.name, found, err)
		}
		next, _ := hint.Of(err, "")
		if err != nil && (!strings.HasPrefix(next, "apt-get install ") || !strings.Contains(err.Error(), tt.runtime)) {
			t.Errorf("%s: %v, hint %q", tt.name, err, next)
		}
	}
	// Of several places for Java, JAVA_HOME is the first.
	home := t.TempDir()
	t.Setenv("JAVA_HOME", home)
	t.Setenv("PATH", fakes(t, map[string]string{"java": "99.0.1"}))
	if err := os.Rename(fakes(t, map[string]string{"java": "99.0.1"}), filepath.Join(home, "bin")); err != nil {
		t.Fatal(err)
	}
	if all := candidates(tools[lambda.Java], "25"); len(all) < 2 || all[0] != filepath.Join(home, "bin", "java") {
		t.Errorf("JAVA_HOME does not come first: %q", all)
	}
}

// An interpreter is asked without what the caller's environment tells it: the
// function's processes would not find what only that leads to, such as an
// interface client, and a debugger's words are no version.
func TestAskedAsFunctionsRun(t *testing.T) {
	names := []string{"PYTHONPATH", "PYTHONHOME", "NODE_OPTIONS", "NODE_PATH", "FORCE_COLOR", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS",
		"_JAVA_OPTIONS"}
	for _, name := range names {
		t.Setenv(name, "the caller's")
	}
	t.Setenv("A_VERSION_MANAGER", "kept")
	got, err := outputOf("/bin/sh", "-c", `echo "$`+strings.Join(names, "$")+`$A_VERSION_MANAGER$PYTHONNOUSERSITE"`)
	if want := "kept1\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// A missing interpreter is told before anything is there to be cleaned up.
func TestNoInterpreter(t *testing.T) {
	cfg := testConfig(t)
	cfg.Functions[0].Code, cfg.Functions[0].Runtime, cfg.Functions[0].Handler = t.TempDir(), "nodejs24.x", "index.handler"
	cfg.Dir = filepath.Join(t.TempDir(), "none")
	t.Setenv("PATH", "/nowhere")
	_, err := Start(cfg)
	if err == nil || !strings.Contains(err.Error(), "runtime nodejs24.x: there is no Node.js on this machine") {
		t.Errorf("%v", err)
	}
}

// The parts of a client are taken of their newest versions, from Maven's cache.
func TestJavaClient(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	root := t.TempDir()
	put := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cache := func(name, version string) string {
		return filepath.Join(home, ".m2/repository/com/amazonaws", name, version, name+"-"+version+".jar")
	}
	put(cache(javaJars[0], "2.9.0"))
	put(cache(javaJars[0], "2.10.1"))
	put(filepath.Join(filepath.Dir(cache(javaJars[0], "2.10.1")), javaJars[0]+"-2.10.1-sources.jar"))
	put(cache(javaJars[1], "1.2.3"))
	if jars, version := javaClient(root, nil); version != "" {
		t.Errorf("without its serialization: %q, %q", jars, version)
	}
	put(cache(javaJars[2], "1.1.5"))
	jars, version := javaClient(root, nil)
	want := []string{cache(javaJars[0], "2.10.1"), cache(javaJars[1], "1.2.3"), cache(javaJars[2], "1.1.5")}
	if version != "2.10.1" || !slices.Equal(jars, want) {
		t.Errorf("%q, %q", version, jars)
	}
	own := filepath.Join(root, "lib", javaJars[0]+"-2.4.1-linux-x86_64.jar")
	if jars, version := javaClient(root, []string{own}); version != "2.4.1" || jars != nil {
		t.Errorf("in the package: %q, %q", version, jars)
	}
	put(filepath.Join(root, "com/amazonaws/services/lambda/runtime/api/client/AWSLambda.class"))
	if jars, version := javaClient(root, nil); version == "" || jars != nil {
		t.Errorf("in a package of one jar: %q, %q", version, jars)
	}
}

// What the function's JAVA_TOOL_OPTIONS say is not said otherwise.
func TestJavaFlags(t *testing.T) {
	for options, want := range map[string]string{
		"":                        "-XX:MaxHeapSize=445644k -XX:+UseSerialGC -XX:+TieredCompilation -XX:TieredStopAtLevel=1",
		"-XX:TieredStopAtLevel=4": "-XX:MaxHeapSize=445644k -XX:+UseSerialGC",
		"-XX:+UseParallelGC":      "-XX:MaxHeapSize=445644k -XX:+TieredCompilation -XX:TieredStopAtLevel=1",
		"-Dmine=1 -Xmx300m":       "-XX:+UseSerialGC -XX:+TieredCompilation -XX:TieredStopAtLevel=1",
		"-XX:MaxRAMPercentage=75": "-XX:+UseSerialGC -XX:+TieredCompilation -XX:TieredStopAtLevel=1",
		"-XX:-TieredCompilation":  "-XX:MaxHeapSize=445644k -XX:+UseSerialGC",
	} {
		c := &settings{Function: Function{MemoryMB: 512, Env: map[string]string{"JAVA_TOOL_OPTIONS": options}}}
		if got := strings.Join(javaFlags(c), " "); got != want {
			t.Errorf("%q: %s, want %s", options, got, want)
		}
	}
}

package stack

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fanout/functions/lambda"
)

// packedAll makes a zip with all these files, for everyone to read, and gives
// it the name.
func packedAll(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		header := &zip.FileHeader{Name: file, Method: zip.Deflate}
		header.SetMode(0o644)
		if file == "bootstrap" {
			header.SetMode(0o755)
		}
		f, err := w.CreateHeader(header)
		if err == nil {
			_, err = f.Write([]byte(files[file]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), name)
	if err := errors.Join(w.Close(), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

// The languages of the series side by side: each function has the runtime and
// the handler of its contender, and the same rights and limits as any other.
func TestAllContenders(t *testing.T) {
	script, handler := map[string]string{"bootstrap": "#!/bin/sh"}, "def handler(event, context): ..."
	tpl := parse(t, synth(t, map[string]any{
		"memories": "512", "contenders": "go,rust,python,node,java", "concurrency": "8",
		"contenderZip.rust.arm64": packedAll(t, "rust.zip", script), "contenderZip.rust.x86_64": packedAll(t, "rust.zip", script),
		"contenderZip.python": packedAll(t, "python.zip", map[string]string{"app.py": handler}), "contenderRuntime.python": "python3.13",
		"contenderHandler.python": "app.handler",
		"contenderZip.node.any":   packedAll(t, "node.zip", map[string]string{"index.mjs": "export"}), "contenderRuntime.node": "nodejs24.x",
		"contenderHandler.node":    "index.handler",
		"contenderZip.java.x86_64": packedAll(t, "java.jar", map[string]string{"fanout/Handler.class": "\xca\xfe"}),
		"contenderRuntime.java":    "java25",
		"contenderHandler.java":    "fanout.Handler::handleRequest",
		"contenderZip.java.arm64":  packedAll(t, "java.zip", map[string]string{"lib/handler.jar": "PK"}),
	}))
	want := map[string]string{"": "provided.al2023 bootstrap", "Rust": "provided.al2023 bootstrap", "Python": "python3.13 app.handler",
		"Node": "nodejs24.x index.handler", "Java": "java25 fanout.Handler::handleRequest"}
	own := tpl.Resources["Fetch512Arm"].Properties
	for name, runs := range want {
		for _, arch := range []string{"Arm", "X86"} {
			id := referred(tpl.Outputs["Fetch512"+arch+name+"Arn"].Value)
			p := tpl.Resources[id].Properties
			if got, _ := p["Runtime"].(string); got+" "+p["Handler"].(string) != runs {
				t.Errorf("%s runs %v %v, want %s", id, p["Runtime"], p["Handler"], runs)
			}
			if compact(p["MemorySize"]) != compact(own["MemorySize"]) || compact(p["Timeout"]) != compact(own["Timeout"]) {
				t.Errorf("%s has %v MB and %v s", id, p["MemorySize"], p["Timeout"])
			}
			rights := strings.ReplaceAll(tpl.statements(referred(p["Role"])), id+"Logs", "Fetch512ArmLogs")
			if rights != tpl.statements("Fetch512ArmRole") {
				t.Errorf("%s may %s", id, rights)
			}
		}
	}
	// One package is one asset, whatever runs it.
	code := func(id string) string { return compact(tpl.Resources[id].Properties["Code"]) }
	if one, other := code("Fetch512ArmPython"), code("Fetch512X86Python"); one != other {
		t.Errorf("one package became %s and %s", one, other)
	}
	if code := code("Fetch512X86Java"); !strings.Contains(code, ".jar") {
		t.Errorf("a jar became %s", code)
	}
}

// elfHead is the least of a native module for a machine.
func elfHead(machine elf.Machine) string {
	head := make([]byte, 64)
	copy(head, elf.ELFMAG)
	binary.LittleEndian.PutUint16(head[18:], uint16(machine))
	return string(head)
}

// What Lambda would say at the first invocation alone.
func TestCheckManagedZip(t *testing.T) {
	arm, x86 := elfHead(elf.EM_AARCH64), elfHead(elf.EM_X86_64)
	for _, test := range []struct {
		name, runtime, handler string
		files                  map[string]string
		reason                 string // no reason: it is good
	}{
		{"a module", "python3.13", "app.handler", map[string]string{"app.py": "x"}, ""},
		{"zipped from within its folder", "python3.13", "app.handler", map[string]string{"./app.py": "x"}, ""},
		{"a module in a folder", "python3.13", "src/app.handler", map[string]string{"src/app.py": "x"}, ""},
		{"a module in a package", "python3.13", "src.app.handler", map[string]string{"src/app.py": "x"}, ""},
		{"a package", "python3.13", "app.handler", map[string]string{"app/__init__.py": "x"}, ""},
		{"compiled", "python3.13", "app.handler", map[string]string{"app.pyc": "x"}, ""},
		{"a folder too deep", "python3.13", "app.handler", map[string]string{"python/app.py": "x"},
			"handler app.handler: no app.py, app/__init__.py"},
		{"another language", "python3.13", "index.handler", map[string]string{"index.js": "x"}, "handler index.handler: no index.py"},
		{"a bootstrap alone", "python3.13", "app.handler", map[string]string{"bootstrap": "#!/bin/sh"}, "no app.py"},
		{"empty", "python3.13", "app.handler", nil, "no app.py"},

		{"a script", "nodejs24.x", "index.handler", map[string]string{"index.js": "x"}, ""},
		{"a module by its ending", "nodejs24.x", "index.handler", map[string]string{"index.mjs": "x"}, ""},
		{"… and no module", "nodejs24.x", "src/index.api.handler", map[string]string{"src/index.cjs": "x"}, ""},
		{"not compiled", "nodejs24.x", "index.handler", map[string]string{"index.ts": "x"}, "no index.js, index.mjs, index.cjs"},

		{"a class", "java25", "a.b.Handler::handleRequest", map[string]string{"a/b/Handler.class": "x"}, ""},
		{"a class by its interface", "java25", "a.b.Handler", map[string]string{"a/b/Handler.class": "x"}, ""},
		{"a class in a library", "java25", "a.b.Handler", map[string]string{"lib/handler.jar": "PK"}, ""},
		{"its source", "java25", "a.b.Handler", map[string]string{"a/b/Handler.java": "x"}, "no a/b/Handler.class"},
		{"a library in the wrong place", "java25", "a.b.Handler", map[string]string{"handler.jar": "PK"}, "no a/b/Handler.class"},

		{"native code", "python3.13", "app.handler", map[string]string{"app.py": "x", "a.cpython-313-x86_64-linux-gnu.so": x86}, ""},
		{"native code for both", "python3.13", "app.handler", map[string]string{"app.py": "x", "a.so": arm, "b.so": x86}, ""},
		{"native code for the other", "python3.13", "app.handler", map[string]string{"app.py": "x", "lib/libz.so.1.3": arm},
			"its native code is for EM_AARCH64, such as lib/libz.so.1.3"},
		{"a Node.js addon for the other", "nodejs24.x", "index.handler", map[string]string{"index.js": "x", "build/a.node": arm},
			"for EM_AARCH64"},
		{"native by its name alone", "python3.13", "app.handler", map[string]string{"app.py": "x", "notes.so": "text"}, ""},
	} {
		t.Run(test.runtime+" "+test.name, func(t *testing.T) {
			rt, err := lambda.ParseRuntime(test.runtime)
			if err != nil {
				t.Fatal(err)
			}
			c := Contender{Name: "x", Runtime: rt, Handler: test.handler}
			err = c.checkZip(packedAll(t, "x.zip", test.files), lambda.X86)
			if test.reason == "" && err != nil || test.reason != "" && (err == nil || !strings.Contains(err.Error(), test.reason)) {
				t.Errorf("%v, want %q", err, test.reason)
			}
		})
	}
	python, err := lambda.ParseRuntime("python3.13")
	if err != nil {
		t.Fatal(err)
	}
	secret := packedAs(t, "app.py", []byte("x"), 0o600)
	err = Contender{Name: "x", Runtime: python, Handler: "app.handler"}.checkZip(secret, lambda.X86)
	if err == nil || !strings.Contains(err.Error(), "app.py cannot be read by everyone (-rw-------): chmod 644") {
		t.Errorf("readable by its owner alone: %v", err)
	}
}

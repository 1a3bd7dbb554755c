package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree writes files, by path and text, into a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// packageOf is a package as go list describes it.
func packageOf(t *testing.T, root, dir, module string) listed {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"Dir": filepath.Join(root, dir), "Module": map[string]any{"Path": module, "Version": "v1.0.0", "Dir": root},
	})
	if err != nil {
		t.Fatal(err)
	}
	var l listed
	if err := json.Unmarshal(text, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// Which files of a module are its licences.
func TestCollect(t *testing.T) {
	root := tree(t, map[string]string{
		"LICENSE.txt": "all of it\r\n", "NOTICE": "who", "PATENTS": "what", "COPYING.LESSER": "more",
		"licenses/ftl.txt": "one of two", "license.go": "package x", "licensing-server.md": "how to run it", "README": "x",
		"taken/LICENSE-APACHE": "taken over", "taken/deep/a.go": "package deep",
		"other/LICENSE": "not linked in",
	})
	modules := map[string]*module{}
	if err := collect(modules, "p", []listed{packageOf(t, root, "taken/deep", "example.com/m")}); err != nil {
		t.Fatal(err)
	}
	m := modules["example.com/m v1.0.0"]
	want := []string{"COPYING.LESSER", "LICENSE.txt", "NOTICE", "PATENTS", "licenses/ftl.txt", "taken/LICENSE-APACHE"}
	if got := slices.Sorted(maps.Keys(m.texts)); !slices.Equal(got, want) || m.texts["LICENSE.txt"] != "all of it" {
		t.Errorf("%q, want %q; the first is %q", got, want, m.texts["LICENSE.txt"])
	}
}

// Code that nobody may pass on is an error; this repository's own is not asked.
func TestCollectNoLicence(t *testing.T) {
	root := tree(t, map[string]string{"a.go": "package a"})
	foreign := packageOf(t, root, ".", "example.com/m")
	err := collect(map[string]*module{}, "p", []listed{foreign})
	if err == nil || !strings.Contains(err.Error(), "example.com/m v1.0.0: no licence") {
		t.Errorf("no licence: %v", err)
	}
	own := packageOf(t, root, ".", "fanout/bench")
	own.Module.Main = true
	if err := collect(map[string]*module{}, "p", []listed{own, {Dir: root}}); err != nil {
		t.Errorf("our own: %v", err)
	}
}

// A text that several modules share stands there once, under all their names.
func TestNotices(t *testing.T) {
	text := string(notices(map[string]*module{
		"b v1": {name: "b v1", programs: []string{"fanout"}, texts: map[string]string{"LICENSE": "same"}},
		"a v2": {name: "a v2", programs: []string{"fanout", "fetch"}, texts: map[string]string{"LICENSE": "same", "sub/NOTICE": "another"}},
	}))
	for _, want := range []string{
		"  a v2: fanout, fetch\n  b v1: fanout\n",
		rule + "\na v2 (LICENSE)\nb v1 (LICENSE)\n" + rule + "\n\nsame\n",
		rule + "\na v2 (sub/NOTICE)\n" + rule + "\n\nanother\n",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("not once:\n%s\nin\n%s", want, text)
		}
	}
}

// What make notices writes, make notices-check takes; after a change it does
// not.
func TestCheck(t *testing.T) {
	t.Chdir("../..")
	path := filepath.Join(t.TempDir(), "notices")
	if err := run(t.Context(), []string{"-o", path}, os.Stderr); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-check", "-o", path}, os.Stderr); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	if err := os.WriteFile(path, []byte("older"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"-check", "-o", path}, os.Stderr)
	if err == nil || !strings.Contains(err.Error(), "a dependency has changed") {
		t.Errorf("changed: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != "older" {
		t.Errorf("the check wrote %q, %v", text, err)
	}
}

package sandbox

import (
	"archive/zip"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fanout/bench/internal/hint"
	"fanout/functions/lambda"
)

// entry is a file of an archive.
type entry struct {
	name, text string
	mode       fs.FileMode
}

// archiveOf writes a zip of these files.
func archiveOf(t testing.TB, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte(e.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "code.zip")
	if err := errors.Join(w.Close(), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

// A bootstrap runs alone, from a folder and from a zip, and finds there what
// came with it.
func TestPackages(t *testing.T) {
	const script = "#!/bin/sh\nexec ./lib/probe\n"
	text, err := os.ReadFile(probe(t, lambda.HostArchitecture()))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err = errors.Join(os.Mkdir(filepath.Join(dir, "lib"), 0o755),
		os.WriteFile(filepath.Join(dir, "bootstrap"), []byte(script), 0o755),
		os.WriteFile(filepath.Join(dir, "lib", "probe"), text, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	packed := archiveOf(t, entry{"bootstrap", "twice: the last one counts", 0o644}, entry{"lib/", "", fs.ModeDir | 0o755},
		entry{"lib/real", string(text), 0o755}, entry{"lib/probe", "real", fs.ModeSymlink | 0o777}, entry{"bootstrap", script, 0o755})
	for name, code := range map[string]string{"alone": filepath.Join(dir, "bootstrap"), "folder": dir, "zip": packed} {
		f := startTest(t, func(c *Config) {
			c.Functions[0].Code, c.Functions[0].Arch = code, lambda.HostArchitecture()
			// Another memory size of it: unpacked once.
			second := c.Functions[0]
			second.Name, second.MemoryMB = "second", 1024
			c.Functions = append(c.Functions, second)
		})
		r := f.invoke(`{"mode":"env"}`)
		root := r.Env["LAMBDA_TASK_ROOT"]
		if _, err := os.Stat(filepath.Join(root, "lib", "probe")); err != nil || (root == dir) == (name == "zip") {
			t.Errorf("%s: LAMBDA_TASK_ROOT %q, %v", name, root, err)
		}
		if _, ran := r.Env["AWS_EXECUTION_ENV"]; ran {
			t.Errorf("%s: AWS_EXECUTION_ENV is a managed runtime's", name)
		}
		if name == "zip" {
			info, err := os.Stat(filepath.Join(root, "bootstrap"))
			if err != nil || info.Mode() != 0o555 {
				t.Errorf("%s: bootstrap %v, %v: want it read-only", name, info.Mode(), err)
			}
			if found, _ := filepath.Glob(filepath.Join(f.dir, "task-*")); len(found) != 1 {
				t.Errorf("%s: unpacked as %q", name, found)
			}
		}
	}
}

// A folder is measured where a link leads to it, too.
func TestLinkedFolder(t *testing.T) {
	dir, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "app.py"), []byte("12345"), 0o600), os.Symlink(dir, link)); err != nil {
		t.Fatal(err)
	}
	there, err := openPack(dir, lambda.Runtime{})
	linked, err2 := openPack(link, lambda.Runtime{})
	if err := errors.Join(err, err2); err != nil || linked.path != link || linked.size != 5 || linked.sha256 != there.sha256 {
		t.Errorf("%+v, not as %+v: %v", linked, there, err)
	}
}

// What is no package is refused, with what to do.
func TestNoPackage(t *testing.T) {
	big := archiveOf(t, entry{"bootstrap", "", 0o755}, entry{"zeros", strings.Repeat("\x00", maxUnpacked+1), 0o644})
	bare, text := t.TempDir(), filepath.Join(t.TempDir(), "app.py")
	broken := filepath.Join(t.TempDir(), "broken.zip")
	large := t.TempDir()
	zeros := filepath.Join(large, "zeros")
	err := errors.Join(os.WriteFile(text, []byte("def handler(e, c): pass\n"), 0o600), os.WriteFile(broken, []byte("PK\x03\x04\x00"), 0o600),
		os.WriteFile(zeros, nil, 0o600), os.Truncate(zeros, maxUnpacked+1))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, code, runtime, err, hint string }{
		{"nothing", "/nowhere", "", "no such file", "check the path"},
		{"a folder without a bootstrap", bare, "", "no bootstrap in it", "add ,runtime=R,handler=H"},
		{"a zip without a bootstrap", archiveOf(t, entry{"app.py", "", 0o644}), "", "no bootstrap in it", "add ,runtime=R,handler=H"},
		{"a bootstrap without its execute bit", archiveOf(t, entry{"bootstrap", "#!/bin/sh\n", 0o644}), "", "not executable", "chmod +x"},
		{"a path that leads out", archiveOf(t, entry{"../bootstrap", "", 0o755}), "", `a file called "../bootstrap"`, "relative"},
		{"an absolute path", archiveOf(t, entry{"/tmp/bootstrap", "", 0o755}), "", `a file called "/tmp/bootstrap"`, "relative"},
		{"a path of Windows", archiveOf(t, entry{`a\bootstrap`, "", 0o755}), "", `a file called`, "with /"},
		{"a link that leads out", archiveOf(t, entry{"a", "/tmp", fs.ModeSymlink | 0o777}, entry{"a/b", "", 0o644}), "", "a/b: ", "again"},
		{"more than Lambda takes", big, "", "more than the 250 MB", "leave out"},
		{"a folder of more", large, "", "package " + large + ": more than the 250 MB", "leave out"},
		{"a damaged zip", broken, "", "a damaged zip", "make it again"},
		{"a file alone, for a managed runtime", text, "python3.13", "a text without a #! line, not a package for python3.13", "name the folder"},
		{"a pipe", "/dev/null", "", "not a regular file", "a folder"},
	} {
		cfg := testConfig(t)
		cfg.Functions[0].Code, cfg.Functions[0].Arch, cfg.Functions[0].Runtime = tt.code, lambda.HostArchitecture(), tt.runtime
		if tt.runtime != "" {
			cfg.Functions[0].Handler = "app.handler"
			t.Setenv("PATH", fakes(t, map[string]string{"python3": "3.13.1"}))
		}
		s, err := Start(cfg)
		if err == nil {
			err = errors.Join(errors.New("taken"), s.Close())
		}
		next, _ := hint.Of(err, "")
		if !strings.Contains(err.Error(), tt.err) || !strings.Contains(next, tt.hint) {
			t.Errorf("%s: %v, hint %q; want %q, %q", tt.name, err, next, tt.err, tt.hint)
		}
		if left, _ := filepath.Glob(filepath.Join(cfg.Dir, "*")); len(left) > 0 {
			t.Errorf("%s: %q is left", tt.name, left)
		}
	}
}

// Whatever an archive holds: nothing is written outside of its folder.
func FuzzUnpack(f *testing.F) {
	for _, path := range []string{
		archiveOf(f, entry{"bootstrap", "#!/bin/sh\n", 0o755}),
		archiveOf(f, entry{"a", "..", fs.ModeSymlink | 0o777}, entry{"a/b", "x", 0o644}),
		archiveOf(f, entry{"a/", "", fs.ModeDir}, entry{"a", "x", 0o644}),
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		path, inside := filepath.Join(dir, "code.zip"), filepath.Join(dir, "inside")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := openPack(path, lambda.Runtime{})
		if err == nil && p.kind == archive {
			_, err = p.open(inside)
		}
		if next, _ := hint.Of(err, ""); err != nil && next == "" {
			t.Errorf("%v: no hint", err)
		}
		if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) > 2 {
			t.Errorf("%q", found)
		}
	})
}

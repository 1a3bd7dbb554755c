package bootstrap

import (
	"archive/zip"
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// archive is a package with one file.
func archive(t *testing.T, name, program string) *fstest.MapFile {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(program)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: b.Bytes()}
}

func TestEmbedded(t *testing.T) {
	cut := archive(t, "bootstrap", strings.Repeat("program", 1000))
	cut.Data = cut.Data[:len(cut.Data)/2]
	packages := fstest.MapFS{
		"fetch-x86_64.zip": archive(t, "bootstrap", "for x86_64"),
		"fetch-arm64.zip":  archive(t, "bootstrap", "for arm64"),
		"cut-arm64.zip":    cut,
		"other-arm64.zip":  archive(t, "program", "by another name"),
	}
	for _, c := range []struct{ command, arch, want, err string }{
		{"fetch", "x86_64", "for x86_64", ""},
		{"fetch", "arm64", "for arm64", ""},
		{"other", "x86_64", "", "this release contains no other for x86_64"},
		{"cut", "arm64", "", "read the embedded package: zip: not a valid zip file"},
		{"other", "arm64", "", "read the embedded package: open bootstrap: file does not exist"},
	} {
		program, err := embedded(packages, c.command)(c.arch)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if string(program) != c.want || message != c.err {
			t.Errorf("%s for %s: got %q, error %q; want %q, error %q", c.command, c.arch, program, message, c.want, c.err)
		}
	}
	// None of a command: its bootstrap is a file, on whatever architecture.
	if embedded(packages, "seed") != nil || embedded(packages, "fet") != nil || Embedded("fetch") != nil {
		t.Error("a bootstrap that is not embedded: got a function, want nil")
	}
}

// TestPath: a bootstrap is found from the command, not from the folder that it
// is called in.
func TestPath(t *testing.T) {
	t.Chdir(t.TempDir())
	got := Path("fetch", "arm64")
	if want := filepath.Join("build", "fetch", "arm64", "bootstrap"); !filepath.IsAbs(got) || !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want an absolute path that ends in %s", got, want)
	}
}

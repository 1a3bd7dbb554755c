package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

// The same source gives the same zip, also from another folder, and the zip
// holds what Lambda wants: an executable called bootstrap, static, for the
// right processor.
func TestPackageIsReproducible(t *testing.T) {
	first, second, copied := t.TempDir(), t.TempDir(), t.TempDir()
	if err := run(t.Context(), []string{"-o", first, "fetch"}); err != nil {
		t.Fatal(err)
	}
	module, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(module)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch from, to := filepath.Join(module, e.Name()), filepath.Join(copied, e.Name()); {
		case e.Name() == "rust" || e.Name() == "node" || e.Name() == "python": // no Go, and perhaps gigabytes of what was built
		case e.IsDir():
			err = os.CopyFS(to, os.DirFS(from))
		default:
			var content []byte
			if content, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(to, content, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	again := exec.CommandContext(t.Context(), "go", "run", "./cmd/package", "-o", second, "fetch")
	again.Dir = copied
	again.Env = append(os.Environ(), "GOWORK=off")
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for arch, machine := range map[string]elf.Machine{"x86_64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		one, err := os.ReadFile(filepath.Join(first, "fetch-"+arch+".zip"))
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(filepath.Join(second, "fetch-"+arch+".zip"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, two) {
			t.Errorf("%s: the same source gave two packages", arch)
		}
		archive, err := zip.NewReader(bytes.NewReader(one), int64(len(one)))
		if err != nil || len(archive.File) != 1 || archive.File[0].Name != "bootstrap" || archive.File[0].Mode() != 0o755 {
			t.Fatalf("%s: holds %v, %v", arch, archive.File, err)
		}
		program, err := elf.Open(filepath.Join(first, "fetch", arch, "bootstrap"))
		if err != nil {
			t.Fatal(err)
		}
		if program.Machine != machine || program.Section(".interp") != nil {
			t.Errorf("%s: %v, dynamically linked: %v", arch, program.Machine, program.Section(".interp") != nil)
		}
		if err := program.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusals(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	for _, args := range [][]string{
		{"-o", out},                           // no command
		{"-o", out, "-arch", "mips", "fetch"}, // no such architecture
		{"-o", out, "-arch", "x86_64", "no-such-command"},
		{"-o", out, "-prebuilt", "main.go", "rust"},                    // for which architecture?
		{"-o", out, "-arch", "x86_64", "-prebuilt", "main.go", "rust"}, // not a program
		{"-o", out, "-arch", "x86_64", "-prebuilt", "gone", "rust"},
		{"-o", out, "-arch", otherArch(), "-prebuilt", "/proc/self/exe", "rust"}, // for another processor
		{"-o", out, "-folder", ".", "node", "python"},                            // under which name?
		{"-o", out, "-folder", "gone", "node"},
		{"-o", out, "-folder", "/dev/fd", "node"}, // symbolic links: Lambda would follow them elsewhere, or nowhere
	} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written all the same")
	}
}

func otherArch() string {
	if runtime.GOARCH == "arm64" {
		return "x86_64"
	}
	return "arm64"
}

// A folder is packed as it is, with modes that Lambda can read, and without times.
func TestFolder(t *testing.T) {
	folder, out := t.TempDir(), t.TempDir()
	for name, mode := range map[string]os.FileMode{"bootstrap": 0o700, "a/b.mjs": 0o600, "c.txt": 0o666} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	var packed [2][]byte
	for i := range packed {
		if err := run(t.Context(), []string{"-o", out, "-folder", folder, "node"}); err != nil {
			t.Fatal(err)
		}
		var err error
		if packed[i], err = os.ReadFile(filepath.Join(out, "node.zip")); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		if err := os.Chtimes(filepath.Join(folder, "c.txt"), now, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(packed[0], packed[1]) {
		t.Error("the same folder gave two zips")
	}
	archive, err := zip.NewReader(bytes.NewReader(packed[0]), int64(len(packed[0])))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range archive.File {
		got = append(got, f.Mode().String()+" "+f.Name)
	}
	if want := []string{"-rw-r--r-- a/b.mjs", "-rwxr-xr-x bootstrap", "-rw-r--r-- c.txt"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A bootstrap that was built elsewhere is packed like one of ours.
func TestPrebuilt(t *testing.T) {
	out := t.TempDir()
	arch := map[string]string{"arm64": "x86_64", "x86_64": "arm64"}[otherArch()]
	if err := run(t.Context(), []string{"-o", out, "-arch", arch, "-prebuilt", "/proc/self/exe", "rust"}); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(filepath.Join(out, "rust-"+arch+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close() //nolint:errcheck // only read from
	packed, err := archive.Open("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(packed); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v, want the %d of the program", len(got), err, len(want))
	}
	if info, err := os.Stat(filepath.Join(out, "rust", arch, "bootstrap")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
}

// What did not change is not written again, and what did is.
func TestUpToDate(t *testing.T) {
	out, arch := t.TempDir(), map[string]string{"arm64": "x86_64", "x86_64": "arm64"}[otherArch()]
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, archive := filepath.Join(t.TempDir(), "bootstrap"), filepath.Join(out, "rust-"+arch+".zip")
	pack := func(program []byte) []byte {
		t.Helper()
		if err := os.WriteFile(bootstrap, program, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), []string{"-o", out, "-arch", arch, "-prebuilt", bootstrap, "rust"}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := pack(self)
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(archive, then, then); err != nil {
		t.Fatal(err)
	}
	again := pack(self)
	if info, err := os.Stat(archive); err != nil || !info.ModTime().Before(time.Now().Add(-time.Minute)) || !bytes.Equal(first, again) {
		t.Errorf("written again: %v, %v", info, err)
	}
	if changed := pack(append(self, 0)); bytes.Equal(first, changed) { // as long as its size is not the same
		t.Error("not written again")
	}
	if err := os.WriteFile(archive, first[:100], 0o600); err != nil { // cut off
		t.Fatal(err)
	}
	if mended := pack(self); !bytes.Equal(mended, first) {
		t.Errorf("%d bytes, want the %d of the first time", len(mended), len(first))
	}
}

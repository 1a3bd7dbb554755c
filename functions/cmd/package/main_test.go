package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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
	if err := os.CopyFS(copied, os.DirFS(module)); err != nil {
		t.Fatal(err)
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
	} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written all the same")
	}
}

package sandbox

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fanout/bench/internal/hint"
	"fanout/functions/lambda"
)

// Files that are no bootstraps, by what the error and its hint say of them.
func TestNoBootstrap(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.WriteFile(filepath.Join(dir, "found"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	patched := func(at int, b ...byte) string {
		p := dynamicELF("/")
		copy(p[at:], b)
		return string(p)
	}
	for _, tt := range []struct {
		name string
		text string
		mode os.FileMode
		err  string
		hint string
	}{
		{"empty", "", 0o755, "an empty file", "build it again"},
		{"empty and not executable", "", 0o644, "an empty file", "build it again"}, // chmod would not help
		{"a zip", "PK\x03\x04\x14\x00", 0o644, "a zip", "unzip "},
		{"a tar.gz", "\x1f\x8b\x08\x00", 0o644, "a compressed file", "unpack it"},
		{"like /etc/passwd", "root:x:0:0:root:/root:/bin/bash\n", 0o644, "a text without a #! line", "#!/bin/sh"},
		{"a shell script without #!", "echo hello\n", 0o755, "a text without a #! line", "#!/bin/sh"},
		{"text cut in a rune", strings.Repeat("a", 255) + "é", 0o755, "a text without a #! line", ""},
		{"a byte order mark", "\xef\xbb\xbf#!/bin/sh\n", 0o755, "byte order mark", "sed -i"},
		{"UTF-16", "\xff\xfe#\x00!\x00", 0o755, "UTF-16", "UTF-8"},
		{"macOS", "\xcf\xfa\xed\xfe\x07\x00\x00\x01", 0o755, "a macOS executable", "GOOS=linux"},
		{"macOS for two machines", "\xca\xfe\xba\xbe\x00\x00\x00\x02", 0o755, "a macOS executable", "GOOS=linux"},
		{"Java", "\xca\xfe\xba\xbe\x00\x00\x00\x41", 0o755, "a Java class", ""},
		{"Windows", "MZ\x90\x00", 0o755, "a Windows executable", "GOOS=linux"},
		{"WebAssembly", "\x00asm\x01\x00\x00\x00", 0o755, "a WebAssembly module", ""},
		{"noise", "\x01\x02\x03\x04", 0o755, "unknown kind", ""},

		{"a script without its execute bit", "#!/bin/sh\n", 0o644, "not executable", "chmod +x "},
		{"CR LF", "#!/bin/sh\r\necho\r\n", 0o755, `CR LF, so that Linux looks for "/bin/sh\r"`, `sed -i 's/\r$//'`},
		{"CR LF after env", "#!/usr/bin/env found\r\n", 0o755, "CR LF", "sed -i"},
		{"no interpreter", "#!\n", 0o755, "names no interpreter", "#!/bin/sh"},
		{"only spaces", "#!  \t\nx", 0o755, "names no interpreter", "#!/bin/sh"},
		{"a relative interpreter", "#!found\n", 0o755, `"found", which is not an absolute path`, "#!/usr/bin/env"},
		{"an interpreter that is nowhere", "#!/opt/none/python9\n", 0o755, "interpreter is not on this machine", "PATH"},
		{"one that env does not find", "#!/usr/bin/env python9\n", 0o755, `"python9", is not on PATH`, "install it"},
		{"env with an argument", "#!/usr/bin/env found -u\n", 0o755, `"found -u", is not on PATH`, "env -S found -u"},
		{"a folder for an interpreter", "#!/usr\n", 0o755, "/usr, is not executable", ""},
		{"a file that is no program for an interpreter", "#!/etc/passwd\n", 0o755, "/etc/passwd, is not executable", ""},
		{"a line too long", "#!/" + strings.Repeat("x", 300) + "\n", 0o755, "longer than the 256 bytes", ""},
		{"control characters", "#!/bin/\x01sh\n", 0o755, "not text", ""},

		{"a damaged executable", string(binary[:20]), 0o755, "a damaged executable", "build it again"},
		{"an executable without its execute bit", string(binary), 0o644, "not executable", "chmod +x "},
		{"for FreeBSD", patched(elf.EI_OSABI, byte(elf.ELFOSABI_FREEBSD)), 0o755, "built for ELFOSABI_FREEBSD, not for Linux", "GOOS=linux"},
		{"an object file", patched(16, byte(elf.ET_REL), 0), 0o755, "type ET_REL, not an executable", "link it"},
		{"another C library", string(dynamicELF("/lib/ld-none-x86_64.so.1")), 0o755, "needs a dynamic loader", "link it statically"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bootstrap")
			if err := os.WriteFile(path, []byte(tt.text), tt.mode); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, path, lambda.HostArchitecture(), tt.err, tt.hint)
		})
	}
}

// wantRefused inspects what is no bootstrap.
func wantRefused(t *testing.T, path, arch, text, next string) {
	t.Helper()
	command, _, err := inspect(path, arch)
	if err == nil {
		t.Fatalf("taken, as %q", command)
	}
	got, _ := hint.Of(err, "")
	if !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v: want %q and the path in it", err, text)
	}
	if got == "" || !strings.Contains(got, next) {
		t.Errorf("hint %q: want %q in it", got, next)
	}
}

// Paths that are no files.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	full, pipe, dangling := filepath.Join(dir, "full"), filepath.Join(dir, "pipe"), filepath.Join(dir, "dangling")
	err := errors.Join(os.Mkdir(full, 0o755), os.WriteFile(filepath.Join(full, "bootstrap"), nil, 0o755),
		syscall.Mkfifo(pipe, 0o755), os.Symlink("nowhere", dangling), os.Mkdir(filepath.Join(dir, "bare"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, err, hint string }{
		{filepath.Join(dir, "none"), "no such file", "check the path"},
		{dangling, "no such file", "check the path"},
		{full, "a folder", "bootstrap"},
		{filepath.Join(dir, "bare"), "a folder, with no bootstrap in it", "executable"},
		{pipe, "not a regular file", "executable"}, // reading it would wait for ever
		{"/dev/null", "not a regular file", "executable"},
	} {
		wantRefused(t, tt.path, lambda.HostArchitecture(), tt.err, tt.hint)
	}
}

// dynamicELF is the least of an executable for this machine that has a dynamic
// loader.
func dynamicELF(loader string) []byte {
	m, err := lambda.MachineOf(lambda.HostArchitecture())
	if err != nil {
		panic(err)
	}
	const header, program = 64, 56
	b := make([]byte, header+program)
	copy(b, elf.ELFMAG+"\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], uint16(elf.ET_DYN))
	le.PutUint16(b[18:], uint16(m.ELF))
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], header) // the program header follows
	le.PutUint16(b[52:], header)
	le.PutUint16(b[54:], program)
	le.PutUint16(b[56:], 1)
	p := b[header:]
	le.PutUint32(p, uint32(elf.PT_INTERP))
	le.PutUint64(p[8:], header+program)
	le.PutUint64(p[32:], uint64(len(loader)+1))
	return append(b, loader+"\x00"...)
}

// Scripts are bootstraps, wherever their interpreters are.
func TestScripts(t *testing.T) {
	dir := t.TempDir()
	interpreter := filepath.Join(dir, "probe-lang")
	if err := os.Symlink(probe(t, lambda.HostArchitecture()), interpreter); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	sh, err := lookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		command    []string // SCRIPT stands for its path
	}{
		{"an absolute path", "#!" + interpreter + "\n", []string{"SCRIPT"}},
		{"with spaces and an argument", "#! \t" + interpreter + " \t-x  y \t\n", []string{"SCRIPT"}},
		{"without an end of line", "#!" + interpreter, []string{"SCRIPT"}},
		{"by env", "#!/usr/bin/env probe-lang\n", []string{interpreter, "SCRIPT"}},
		{"by env, split", "#!/usr/bin/env -S probe-lang -u  -x\n", []string{interpreter, "-u", "-x", "SCRIPT"}},
		{"by an env that is elsewhere", "#!/nowhere/env probe-lang\n", []string{interpreter, "SCRIPT"}},
		{"where Lambda has it, and this machine does not", "#!/var/lang/bin/probe-lang -u x\n", []string{interpreter, "-u x", "SCRIPT"}},
		{"by env with a variable, which is env's own", "#!/usr/bin/env -S GREETING=hello " + interpreter + "\n", []string{"SCRIPT"}},
		{"a shell script", "#!/bin/sh\nexec " + interpreter + "\n", []string{"SCRIPT"}},
		{"a shell script by env", "#!/usr/bin/env sh\nexec " + interpreter + "\n", []string{sh, "SCRIPT"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			script := filepath.Join(t.TempDir(), "bootstrap")
			if err := os.WriteFile(script, []byte(tt.text), 0o755); err != nil {
				t.Fatal(err)
			}
			command, code, err := inspect(script, lambda.HostArchitecture())
			want := slices.Clone(tt.command)
			for i := range want {
				want[i] = strings.Replace(want[i], "SCRIPT", script, 1)
			}
			if err != nil || !slices.Equal(command, want) || code.size != int64(len(tt.text)) {
				t.Fatalf("%q, %v; want %q", command, err, want)
			}
			f := startTest(t, func(c *Config) {
				c.Functions[0].Code, c.Functions[0].Arch = script, lambda.HostArchitecture()
			})
			r := f.invoke(`{"mode":"env"}`)
			if got := r.Env["LAMBDA_TASK_ROOT"]; got != filepath.Dir(script) {
				t.Errorf("LAMBDA_TASK_ROOT %q: want %s", got, filepath.Dir(script))
			}
			if strings.Contains(tt.text, "GREETING") && r.Env["GREETING"] != "hello" {
				t.Errorf("environment %v", r.Env)
			}
		})
	}
	other := lambda.ARM
	if lambda.HostArchitecture() == lambda.ARM {
		other = lambda.X86
	}
	script := filepath.Join(dir, "bootstrap")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, script, other, "a script, which runs on this machine's", "architecture")
}

func FuzzParseShebang(f *testing.F) {
	for _, s := range []string{"#!/bin/sh\n", "#! /usr/bin/env -S a b\n", "#!/bin/sh\r\n", "#!", "#!\x00", "#!x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		interpreter, argument, err := parseShebang(head)
		if err != nil {
			return
		}
		if !filepath.IsAbs(interpreter) || strings.ContainsAny(interpreter, " \t\r\n\x00") || strings.ContainsAny(argument, "\r\n\x00") {
			t.Errorf("%q: %q, %q", head, interpreter, argument)
		}
		if words, ok := envCommand(argument); ok && (len(words) == 0 || words[0] == "") {
			t.Errorf("%q: env finds %q", head, words)
		}
	})
}

func FuzzDescribe(f *testing.F) {
	f.Add([]byte("\xca\xfe\xba\xbe"))
	f.Add([]byte("é"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if what, next := describe("x", head); what == "" || next == "" {
			t.Errorf("%q: %q, %q", head, what, next)
		}
	})
}

// Whatever a file holds, it is taken as what runs it, or refused with a hint.
func FuzzInspect(f *testing.F) {
	f.Add([]byte("#!/bin/sh\n"))
	f.Add(dynamicELF("/lib64/ld-linux-x86-64.so.2"))
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "bootstrap")
		if err := os.WriteFile(path, text, 0o755); err != nil {
			t.Fatal(err)
		}
		command, code, err := inspect(path, lambda.HostArchitecture())
		if err != nil {
			if next, _ := hint.Of(err, ""); next == "" || !strings.Contains(err.Error(), path) {
				t.Errorf("%q: %v, hint %q", text, err, next)
			}
			return
		}
		if len(command) == 0 || command[len(command)-1] != path || !filepath.IsAbs(command[0]) || code.size != int64(len(text)) {
			t.Errorf("%q: %q, %+v", text, command, code)
		}
	})
}

package sandbox

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"fanout/bench/internal/hint"
	"fanout/functions/lambda"
)

// codeFacts is what GetFunction tells of the code.
type codeFacts struct {
	path   string
	size   int64
	sha256 string // base64
}

// inspect checks that the bootstrap at path, an executable or a script, can run
// for arch on this machine, and gives the command that runs it. Its errors say
// what the file is instead, and carry a hint.
func inspect(path, arch string) (command []string, code codeFacts, err error) {
	m, err := lambda.MachineOf(arch)
	if err != nil {
		return nil, code, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, code, fmt.Errorf("bootstrap: %w", err)
	}
	f, info, err := openBootstrap(path)
	if err != nil {
		return nil, code, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head := make([]byte, shebangLimit)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, code, hint.Failed("check that it can be read", "bootstrap %s: %w", path, err)
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		command, err = inspectELF(path, f, arch, m)
	case bytes.HasPrefix(head, []byte("#!")):
		command, err = inspectScript(path, head, arch, m)
	default:
		what, next := describe(path, head)
		err = hint.Failed(next, "bootstrap %s: %s, neither a Linux executable nor a script", path, what)
	}
	if err != nil {
		return nil, code, err
	}
	if info.Mode()&0o111 == 0 {
		return nil, code, hint.Failed("chmod +x "+path, "bootstrap %s: not executable", path)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(f, 0, info.Size())); err != nil {
		return nil, code, hint.Failed("check that it can be read", "bootstrap %s: %w", path, err)
	}
	return command, codeFacts{path, info.Size(), base64.StdEncoding.EncodeToString(hash.Sum(nil))}, nil
}

// openBootstrap opens a regular file.
func openBootstrap(path string) (*os.File, os.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, nil, hint.Failed("check the path", "bootstrap: %w", err)
	case info.IsDir():
		inside := filepath.Join(path, "bootstrap")
		if _, err := os.Stat(inside); err == nil {
			return nil, nil, hint.Failed("name the file in it: "+inside, "bootstrap %s: a folder", path)
		}
		return nil, nil, hint.Failed("name an executable or a script", "bootstrap %s: a folder, with no bootstrap in it", path)
	case !info.Mode().IsRegular():
		return nil, nil, hint.Failed("name an executable or a script", "bootstrap %s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, hint.Failed("check that it can be read", "bootstrap: %w", err)
	}
	return f, info, nil
}

// inspectELF checks an executable.
func inspectELF(path string, f *os.File, arch string, m lambda.Machine) (command []string, err error) {
	binary, err := elf.NewFile(f)
	if err != nil {
		return nil, hint.Failed("build it again", "bootstrap %s: a damaged executable: %w", path, err)
	}
	build := "build it with GOOS=linux GOARCH=" + m.GOARCH + ", or the like"
	switch {
	case binary.Machine != m.ELF:
		return nil, hint.Failed(build, "bootstrap %s: built for %v, not for %s", path, binary.Machine, arch)
	case binary.OSABI != elf.ELFOSABI_NONE && binary.OSABI != elf.ELFOSABI_LINUX:
		return nil, hint.Failed(build, "bootstrap %s: built for %v, not for Linux", path, binary.OSABI)
	case binary.Type != elf.ET_EXEC && binary.Type != elf.ET_DYN:
		return nil, hint.Failed("link it", "bootstrap %s: an ELF file of type %v, not an executable", path, binary.Type)
	}
	if loader := dynamicLoader(binary); loader != "" {
		if _, err := os.Stat(loader); err != nil {
			return nil, hint.Failed("link it statically (Go: CGO_ENABLED=0), or install the C library that it was built with",
				"bootstrap %s: it needs a dynamic loader that this machine does not have: %w", path, err)
		}
	}
	if m.GOARCH == runtime.GOARCH {
		return []string{path}, nil
	}
	qemu, err := exec.LookPath(m.QEMU)
	if err != nil {
		return nil, hint.Failed("apt-get install qemu-user-static", "bootstrap %s: running %s here needs %s: %w", path, arch, m.QEMU, err)
	}
	return []string{qemu, path}, nil
}

// dynamicLoader is the program that the kernel starts an executable with; empty
// where it is linked statically.
func dynamicLoader(binary *elf.File) string {
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
			if err == nil {
				return string(bytes.TrimRight(name, "\x00"))
			}
		}
	}
	return ""
}

// shebangLimit is how much of a file the kernel looks at for its #! line
// (BINPRM_BUF_SIZE, since Linux 5.1).
const shebangLimit = 256

// parseShebang reads the #! line of a script: the interpreter, and the rest of
// the line, which the kernel hands over as one argument.
func parseShebang(head []byte) (interpreter, argument string, err error) {
	line, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return "", "", errors.New("no #! line")
	}
	line, _, ended := bytes.Cut(line, []byte("\n"))
	if !ended && len(head) >= shebangLimit {
		return "", "", fmt.Errorf("its #! line is longer than the %d bytes that Linux reads", shebangLimit)
	}
	text := strings.Trim(string(line), " \t")
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		interpreter, argument = text[:i], strings.Trim(text[i:], " \t")
	} else {
		interpreter = text
	}
	switch {
	case strings.HasSuffix(text, "\r"):
		return "", "", fmt.Errorf("its lines end in CR LF, so that Linux looks for %q", text)
	case interpreter == "":
		return "", "", errors.New("its #! line names no interpreter")
	case strings.ContainsFunc(text, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }):
		return "", "", fmt.Errorf("its #! line is not text: %q", text)
	case !filepath.IsAbs(interpreter):
		return "", "", fmt.Errorf("its #! line names %q, which is not an absolute path", interpreter)
	}
	return interpreter, argument, nil
}

// inspectScript finds a script's interpreter: where it says or, if this machine
// has it elsewhere, by this process's PATH.
func inspectScript(path string, head []byte, arch string, m lambda.Machine) (command []string, err error) {
	interpreter, argument, err := parseShebang(head)
	if err != nil {
		next := "begin it with a line as #!/bin/sh or #!/usr/bin/env python3"
		if strings.Contains(err.Error(), "CR LF") {
			next = "write it with LF alone: sed -i 's/\\r$//' " + path
		}
		return nil, hint.Failed(next, "bootstrap %s: %w", path, err)
	}
	if m.GOARCH != runtime.GOARCH {
		return nil, hint.Failed("run it as the architecture of this machine",
			"bootstrap %s: a script, which runs on this machine's %s only, not on %s", path, runtime.GOARCH, arch)
	}
	if filepath.Base(interpreter) == "env" {
		if words, ok := envCommand(argument); ok {
			found, err := lookPath(words[0])
			if err != nil {
				next := "install it, or put it on PATH"
				if strings.ContainsAny(words[0], " \t") {
					next = "for more than a name write #!/usr/bin/env -S " + words[0]
				}
				return nil, hint.Failed(next, "bootstrap %s: its interpreter, %q, is not on PATH", path, words[0])
			}
			return append(append([]string{found}, words[1:]...), path), nil
		}
	}
	info, err := os.Stat(interpreter)
	if err == nil {
		if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return nil, hint.Failed("name an interpreter in its #! line", "bootstrap %s: its interpreter, %s, is not executable", path, interpreter)
		}
		return []string{path}, nil // the kernel will find it, too
	}
	found, err2 := lookPath(filepath.Base(interpreter))
	if err2 != nil {
		return nil, hint.Failed("install it, or put it on PATH",
			"bootstrap %s: its interpreter is not on this machine: %w, nor is %s on PATH", path, err, filepath.Base(interpreter))
	}
	command = []string{found}
	if argument != "" {
		command = append(command, argument)
	}
	return append(command, path), nil
}

// envCommand gives the command that a #! line has env find on PATH, if it asks
// for no more than that.
func envCommand(argument string) (words []string, ok bool) {
	words = []string{argument}
	if rest, split := strings.CutPrefix(argument, "-S"); split {
		words = strings.Fields(rest)
	}
	if len(words) == 0 || words[0] == "" || strings.HasPrefix(words[0], "-") || strings.ContainsAny(words[0], `=/`) ||
		strings.ContainsAny(strings.Join(words, ""), `"'\$`) {
		return nil, false
	}
	return words, true
}

// lookPath finds a program on this process's PATH, by its absolute path.
func lookPath(name string) (string, error) {
	found, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(found)
}

// describe says what a file is that is no bootstrap, and what to do.
func describe(path string, head []byte) (what, next string) {
	build := "build it for Linux: GOOS=linux, or the like"
	begins := func(magic string) bool { return strings.HasPrefix(string(head), magic) }
	switch {
	case len(head) == 0:
		return "an empty file", "build it again"
	case begins("PK\x03\x04"), begins("PK\x05\x06"):
		return "a zip", "take the bootstrap out of it: unzip " + path + " bootstrap"
	case begins("\x1f\x8b"), begins("BZh"), begins("\xfd7zXZ"), begins("\x28\xb5\x2f\xfd"):
		return "a compressed file", "unpack it, and name the executable"
	case begins("\xce\xfa\xed\xfe"), begins("\xcf\xfa\xed\xfe"):
		return "a macOS executable", build
	case begins("\xca\xfe\xba\xbe") && len(head) >= 8 && head[7] < 45:
		return "a macOS executable", build
	case begins("\xca\xfe\xba\xbe"):
		return "a Java class", "name an executable or a script that starts it"
	case begins("MZ"):
		return "a Windows executable", build
	case begins("\x00asm"):
		return "a WebAssembly module", "name an executable or a script that starts it"
	case begins("\xef\xbb\xbf#!"):
		return "a script with a byte order mark before its #!", "write it without: sed -i '1s/^\\xEF\\xBB\\xBF//' " + path
	case begins("\xff\xfe"), begins("\xfe\xff"):
		return "a text in UTF-16", "write it in UTF-8"
	case isText(head):
		return "a text without a #! line", "if it is a script, begin it with a line as #!/bin/sh or #!/usr/bin/env python3"
	}
	return "a file of an unknown kind", "name an executable or a script"
}

// isText says whether the beginning of a file reads as text; its last rune may
// be cut.
func isText(head []byte) bool {
	for i := 0; i < len(head); {
		r, n := utf8.DecodeRune(head[i:])
		if r == utf8.RuneError && n == 1 && len(head)-i >= utf8.UTFMax || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return false
		}
		i += n
	}
	return true
}

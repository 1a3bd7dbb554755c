package sandbox

import (
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
)

// machine is what an architecture's name means to ELF, to Go and to qemu.
type machine struct {
	elf    elf.Machine
	goarch string
	qemu   string
}

var machines = map[string]machine{
	"x86_64": {elf.EM_X86_64, "amd64", "qemu-x86_64-static"},
	"arm64":  {elf.EM_AARCH64, "arm64", "qemu-aarch64-static"},
}

// codeFacts is what GetFunction tells of the code.
type codeFacts struct {
	path   string
	size   int64
	sha256 string // base64
}

// inspect checks that the bootstrap at path is an executable for arch and
// gives the command that runs it on this machine.
func inspect(path, arch string) (command []string, code codeFacts, err error) {
	m, ok := machines[arch]
	if !ok {
		return nil, code, fmt.Errorf("architecture %q: must be x86_64 or arm64", arch)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, code, fmt.Errorf("bootstrap: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, code, fmt.Errorf("bootstrap: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return nil, code, &hinted{fmt.Errorf("bootstrap %s: not an executable file", path), "chmod +x " + path}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, code, fmt.Errorf("bootstrap: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	binary, err := elf.NewFile(f)
	if err != nil {
		return nil, code, fmt.Errorf("bootstrap %s: not a Linux executable: %w", path, err)
	}
	if binary.Machine != m.elf {
		return nil, code, fmt.Errorf("bootstrap %s: built for %v, not for %s", path, binary.Machine, arch)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(f, 0, info.Size())); err != nil {
		return nil, code, fmt.Errorf("bootstrap %s: %w", path, err)
	}
	code = codeFacts{path, info.Size(), base64.StdEncoding.EncodeToString(hash.Sum(nil))}

	if m.goarch == runtime.GOARCH {
		return []string{path}, code, nil
	}
	qemu, err := exec.LookPath(m.qemu)
	if err != nil {
		return nil, code, &hinted{
			fmt.Errorf("bootstrap %s: running %s here needs %s: %w", path, arch, m.qemu, err),
			"apt-get install qemu-user-static",
		}
	}
	return []string{qemu, path}, code, nil
}

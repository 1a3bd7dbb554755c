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

	"fanout/bench/internal/hint"
	"fanout/functions/lambda"
)

// codeFacts is what GetFunction tells of the code.
type codeFacts struct {
	path   string
	size   int64
	sha256 string // base64
}

// inspect checks that the bootstrap at path is an executable for arch and
// gives the command that runs it on this machine.
func inspect(path, arch string) (command []string, code codeFacts, err error) {
	m, err := lambda.MachineOf(arch)
	if err != nil {
		return nil, code, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, code, fmt.Errorf("bootstrap: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, code, fmt.Errorf("bootstrap: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return nil, code, hint.Failed("chmod +x "+path, "bootstrap %s: not an executable file", path)
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
	if binary.Machine != m.ELF {
		return nil, code, fmt.Errorf("bootstrap %s: built for %v, not for %s", path, binary.Machine, arch)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(f, 0, info.Size())); err != nil {
		return nil, code, fmt.Errorf("bootstrap %s: %w", path, err)
	}
	code = codeFacts{path, info.Size(), base64.StdEncoding.EncodeToString(hash.Sum(nil))}

	if m.GOARCH == runtime.GOARCH {
		return []string{path}, code, nil
	}
	qemu, err := exec.LookPath(m.QEMU)
	if err != nil {
		return nil, code, hint.Failed("apt-get install qemu-user-static", "bootstrap %s: running %s here needs %s: %w", path, arch, m.QEMU, err)
	}
	return []string{qemu, path}, code, nil
}

// Package bootstrap says where this repository's own bootstraps are: in files
// beside the running command, where make build leaves them ([Path]), or, in a
// release, in the command itself ([Embedded]).
package bootstrap

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Path is where make leaves the bootstrap of a command, such as fetch: in this
// folder of build, which lies beside the running command's bin.
func Path(folder ...string) string {
	root := filepath.Dir(filepath.Dir(executable()))
	return filepath.Join(root, "build", filepath.Join(folder...), "bootstrap")
}

// Embedded gives the bootstrap of a command for an architecture out of the
// running command. It is nil if that contains none: only a build with the tag
// release does. The error says which architecture is not there.
func Embedded(command string) func(arch string) ([]byte, error) { return embedded(packages, command) }

func embedded(packages fs.FS, command string) func(arch string) ([]byte, error) {
	if all, err := fs.Glob(packages, command+"-*.zip"); err != nil || len(all) == 0 {
		return nil
	}
	return func(arch string) ([]byte, error) {
		archive, err := fs.ReadFile(packages, command+"-"+arch+".zip")
		if err != nil {
			return nil, fmt.Errorf("this release contains no %s for %s", command, arch)
		}
		return unpack(archive)
	}
}

// unpack gives the one file that a package has.
func unpack(archive []byte) ([]byte, error) {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, fmt.Errorf("read the embedded package: %w", err)
	}
	f, err := r.Open("bootstrap")
	if err != nil {
		return nil, fmt.Errorf("read the embedded package: %w", err)
	}
	program, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read the embedded package: %w", err)
	}
	return program, nil
}

// executable is the path of the running command.
func executable() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

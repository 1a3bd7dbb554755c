// Command package builds the Lambda packages: for each command and
// architecture OUT/COMMAND/ARCH/bootstrap and OUT/COMMAND-ARCH.zip. The same
// source and Go version give the same bytes: no paths, no times. What is up to
// date is left alone, so that it takes a second to find that nothing changed.
//
//	package -o build fetch seed          both architectures
//	package -o build -arch host fetch    this machine's only
//	package -o build fetch-lean          cmd/fetch without the SDK: the client lean only
//	package -arch arm64 -prebuilt FILE rust   a bootstrap built by somebody else, under the name rust
//	package -o build -folder DIR node    all files of a folder, as OUT/node.zip
package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"fanout/functions/lambda"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintf(os.Stderr, "error: %v\nhint: run it from the repository: go run ./functions/cmd/package -o build fetch\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("package", flag.ContinueOnError)
	out := flags.String("o", "build", "folder to write to")
	arch := flags.String("arch", strings.Join(lambda.Architectures, ","), "architectures, or host")
	prebuilt := flags.String("prebuilt", "", "pack this bootstrap, of the one architecture named, instead of building one")
	folder := flags.String("folder", "", "pack this folder as it is, under the one name given, instead of building a bootstrap")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("no command named")
	}
	if *folder != "" {
		if flags.NArg() != 1 {
			return errors.New("-folder: give one name")
		}
		return packFolder(*folder, filepath.Join(*out, flags.Arg(0)+".zip"))
	}
	archs := strings.Split(*arch, ",")
	if *arch == "host" {
		archs = []string{lambda.HostArchitecture()}
	}
	if *prebuilt != "" && (len(archs) != 1 || flags.NArg() != 1) {
		return errors.New("-prebuilt: name one architecture and one command")
	}
	module, err := moduleFolder(ctx)
	if err != nil {
		return err
	}
	if *out, err = filepath.Abs(*out); err != nil {
		return err
	}
	for _, command := range flags.Args() {
		for _, a := range archs {
			machine, err := lambda.MachineOf(a)
			if err != nil {
				return err
			}
			bootstrap := filepath.Join(*out, command, a, "bootstrap")
			if *prebuilt != "" {
				if err := take(*prebuilt, machine.ELF, bootstrap); err != nil {
					return fmt.Errorf("take %s: %w", *prebuilt, err)
				}
			} else if err := compile(ctx, module, command, machine.GOARCH, bootstrap); err != nil {
				return err
			}
			archive := filepath.Join(*out, command+"-"+a+".zip")
			if err := pack(bootstrap, archive); err != nil {
				return fmt.Errorf("pack %s: %w", archive, err)
			}
		}
	}
	return nil
}

// variants are packages that are built from another command, with tags.
var variants = map[string]struct{ command, tags string }{
	"fetch-lean": {"fetch", ",nosdk"},
}

// moduleFolder is where the functions' module lies.
func moduleFolder(ctx context.Context) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-f", "{{.Module.Dir}}", "fanout/functions/fetch")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("find the module fanout/functions: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// compile builds a static bootstrap, with the versions of the module's own
// go.mod: in the workspace, another module's needs could change what ships.
// lambda.norpc leaves out the go1.x runtime's protocol, which provided.al2023
// does not speak. The build ID stays in, for it is how go sees that a bootstrap
// is up to date; it depends on nothing but the source and the Go version.
func compile(ctx context.Context, module, command, arch, bootstrap string) error {
	v, ok := variants[command]
	if !ok {
		v.command = command
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc"+v.tags,
		"-ldflags", "-s -w", "-o", bootstrap, "./cmd/"+v.command)
	build.Dir = module
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build %s for %s: %w", command, arch, err)
	}
	return nil
}

// take copies a bootstrap that is built already, if it is for that
// architecture: Lambda would only say so at the first invocation.
func take(prebuilt string, machine elf.Machine, bootstrap string) error {
	program, err := os.ReadFile(prebuilt)
	if err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	if f.Machine != machine {
		return fmt.Errorf("for %s, not for %s", f.Machine, machine)
	}
	if err := os.MkdirAll(filepath.Dir(bootstrap), 0o755); err != nil {
		return err
	}
	return os.WriteFile(bootstrap, program, 0o755)
}

func pack(bootstrap, archive string) (err error) {
	program, err := os.ReadFile(bootstrap)
	if err != nil {
		return err
	}
	if holds(archive, program) {
		return nil
	}
	var packed bytes.Buffer
	w := newZip(&packed)
	if err := add(w, "bootstrap", 0o755, program); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(archive, packed.Bytes(), 0o644)
}

// packFolder packs the regular files below a folder, in the order of their names.
// What only their owner may read, Lambda could not: their modes are 0755, if they
// can be executed, and 0644.
func packFolder(folder, archive string) error {
	var packed bytes.Buffer
	w := newZip(&packed)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s: neither a file nor a folder", path)
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return add(w, filepath.ToSlash(name), 0o644|0o111*(info.Mode()>>6&1), content)
	})
	if err != nil {
		return fmt.Errorf("pack %s: %w", folder, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack %s: %w", folder, err)
	}
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return err
	}
	return os.WriteFile(archive, packed.Bytes(), 0o644)
}

func newZip(to io.Writer) *zip.Writer {
	w := zip.NewWriter(to)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(out, flate.BestCompression)
	})
	return w
}

// add writes a file without the time: the same files give the same bytes.
func add(w *zip.Writer, name string, mode fs.FileMode, content []byte) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	header.SetMode(mode)
	entry, err := w.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = entry.Write(content)
	return err
}

// holds says whether an archive is there that holds this program, and nothing
// else.
func holds(archive string, program []byte) bool {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return false // it is made anew, whatever is wrong with it
	}
	defer r.Close() //nolint:errcheck // only read from
	return len(r.File) == 1 && r.File[0].Name == "bootstrap" && r.File[0].Mode() == 0o755 &&
		r.File[0].UncompressedSize64 == uint64(len(program)) && r.File[0].CRC32 == crc32.ChecksumIEEE(program)
}

// Command package builds the Lambda packages: for each command and
// architecture OUT/COMMAND/ARCH/bootstrap and OUT/COMMAND-ARCH.zip. The same
// source and Go version give the same bytes: no paths, no build ids, no times.
//
//	package -o build fetch seed          both architectures
//	package -o build -arch host fetch    this machine's only
//	package -o build fetch-lean          cmd/fetch without the SDK: the client lean only
//	package -arch arm64 -prebuilt FILE rust   a bootstrap built by somebody else, under the name rust
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
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// goarch maps Lambda's names of architectures to Go's.
var goarch = map[string]string{"x86_64": "amd64", "arm64": "arm64"}

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
	arch := flags.String("arch", "x86_64,arm64", "architectures, or host")
	prebuilt := flags.String("prebuilt", "", "pack this bootstrap, of the one architecture named, instead of building one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("no command named")
	}
	archs := strings.Split(*arch, ",")
	if *arch == "host" {
		archs = []string{map[string]string{"amd64": "x86_64"}[runtime.GOARCH]}
		if runtime.GOARCH == "arm64" {
			archs = []string{"arm64"}
		}
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
			if goarch[a] == "" {
				return fmt.Errorf("architecture %q: must be x86_64 or arm64", a)
			}
			bootstrap := filepath.Join(*out, command, a, "bootstrap")
			if *prebuilt != "" {
				if err := take(*prebuilt, a, bootstrap); err != nil {
					return fmt.Errorf("take %s: %w", *prebuilt, err)
				}
			} else if err := compile(ctx, module, command, goarch[a], bootstrap); err != nil {
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
// lambda.norpc leaves out the go1.x
// runtime's protocol, which provided.al2023 does not speak.
func compile(ctx context.Context, module, command, arch, bootstrap string) error {
	v, ok := variants[command]
	if !ok {
		v.command = command
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc"+v.tags,
		"-ldflags", "-s -w -buildid=", "-o", bootstrap, "./cmd/"+v.command)
	build.Dir = module
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build %s for %s: %w", command, arch, err)
	}
	return nil
}

// machines are the processors of Lambda's architectures.
var machines = map[string]elf.Machine{"x86_64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// take copies a bootstrap that is built already, if it is for that
// architecture: Lambda would only say so at the first invocation.
func take(prebuilt, arch, bootstrap string) error {
	program, err := os.ReadFile(prebuilt)
	if err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	if f.Machine != machines[arch] {
		return fmt.Errorf("for %s, not for %s", f.Machine, arch)
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
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(out, flate.BestCompression)
	})
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	header.SetMode(0o755)
	entry, err := w.CreateHeader(header)
	if err != nil {
		return err
	}
	if _, err := entry.Write(program); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(archive, packed.Bytes(), 0o644)
}

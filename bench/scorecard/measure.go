package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"fanout/functions/lambda"
)

// rustBootstrap is where cargo puts what make rust builds.
const rustBootstrap = "functions/rust/target/release/bootstrap"

// measurer runs the tools, from the repository's root.
type measurer struct {
	options
	dir string // of its own, removed in the end
}

// took is what a command took: on a busy machine wall time says little, and
// CPU time more.
type took struct{ wall, cpu time.Duration }

// exec runs a command and gives its output; its standard error is shown where
// it fails.
func (m *measurer) exec(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	out, _, err := m.time(ctx, dir, env, name, args...)
	return out, err
}

func (m *measurer) time(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, took, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	t := took{wall: time.Since(start)}
	if cmd.ProcessState != nil {
		t.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		return stdout.Bytes(), t, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), t, nil
}

// goTool runs one of CI's pinned tools in the functions' module.
func (m *measurer) goTool(ctx context.Context, args ...string) ([]byte, error) {
	tools, err := filepath.Abs(".ci/tools.mod")
	if err != nil {
		return nil, err
	}
	return m.exec(ctx, "functions", []string{"GOWORK=off"}, "go", append([]string{"tool", "-modfile=" + tools}, args...)...)
}

func (m *measurer) versions(ctx context.Context, c *scorecard) error {
	c.goVersion = strings.TrimPrefix(runtime.Version(), "go")
	out, err := m.exec(ctx, ".", nil, "rustc", "--version")
	if fields := strings.Fields(string(out)); len(fields) > 1 {
		c.rustVersion = fields[1]
	}
	return err
}

// load is how many processes wanted a core in the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// code is the size of some source.
type code struct {
	Lines      int `json:"Code"` // without blank ones and comments
	Complexity int `json:"Complexity"`
	Files      int `json:"Count"`
}

// sources maps a name to the text of a file.
type sources map[string]string

// splitRust parts a Rust file from the tests at its end.
func splitRust(text string) (program, tests string) {
	const mark = "\n#[cfg(test)]\n"
	at := strings.Index(text, mark)
	if at < 0 {
		return text, ""
	}
	return text[:at+1], text[at+1:]
}

func (m *measurer) code(ctx context.Context, c *scorecard) error {
	sdk, sdkTests, lean, leanTests, rust, rustTests := sources{}, sources{}, sources{}, sources{}, sources{}, sources{}
	both, bothTests := []sources{sdk, lean}, []sources{sdkTests, leanTests}
	err := errors.Join(
		readGo("functions/fetch/*.go", both, bothTests),
		readGo("functions/cmd/fetch/main.go", both, bothTests),
		readGo("functions/store/store*.go", both, bothTests),
		readGo("functions/cmd/fetch/sdk.go", []sources{sdk}, nil),
		readGo("functions/store/sdk/*.go", []sources{sdk}, []sources{sdkTests}),
		readGo("functions/store/lean/*.go", []sources{lean}, []sources{leanTests}),
		readRust("functions/rust/src/*.rs", rust, rustTests),
	)
	if err != nil {
		return err
	}
	for _, count := range []struct {
		files sources
		to    *code
	}{
		{sdk, &c.goSDK.handler}, {sdkTests, &c.goSDK.tests}, {lean, &c.goLean.handler}, {leanTests, &c.goLean.tests},
		{rust, &c.rust.handler}, {rustTests, &c.rust.tests},
	} {
		if *count.to, err = m.scc(ctx, count.files); err != nil {
			return err
		}
	}
	return nil
}

// read gives the files of a pattern; none is an error.
func read(pattern string) (sources, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	if paths == nil {
		return nil, fmt.Errorf("no file %s", pattern)
	}
	files := sources{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files[strings.ReplaceAll(path, "/", "_")] = string(text)
	}
	return files, nil
}

// readGo adds Go files to each of programs, or of tests.
func readGo(pattern string, programs, tests []sources) error {
	files, err := read(pattern)
	for name, text := range files {
		to := programs
		if strings.HasSuffix(name, "_test.go") {
			to = tests
		}
		for _, s := range to {
			s[name] = text
		}
	}
	return err
}

// readRust adds Rust files, parted from their tests.
func readRust(pattern string, program, tests sources) error {
	files, err := read(pattern)
	for name, text := range files {
		own, test := splitRust(text)
		if program[name] = own; test != "" {
			tests[name] = test
		}
	}
	return err
}

// scc counts.
func (m *measurer) scc(ctx context.Context, files sources) (code, error) {
	dir, err := os.MkdirTemp(m.dir, "code")
	if err != nil {
		return code{}, err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return code{}, err
		}
	}
	out, err := m.goTool(ctx, "scc", "--format", "json", dir)
	if err != nil {
		return code{}, err
	}
	var languages []code
	if err := json.Unmarshal(out, &languages); err != nil {
		return code{}, fmt.Errorf("scc: %w", err)
	}
	if len(languages) != 1 || languages[0].Files != len(files) {
		return code{}, fmt.Errorf("scc counted %+v, want %d files of one language", languages, len(files))
	}
	return languages[0], nil
}

func (m *measurer) dependencies(ctx context.Context, c *scorecard) (err error) {
	if c.goSDK.direct, c.goSDK.total, err = m.goModules(ctx, "lambda.norpc"); err != nil {
		return err
	}
	if c.goLean.direct, c.goLean.total, err = m.goModules(ctx, "lambda.norpc,nosdk"); err != nil {
		return err
	}
	out, err := m.exec(ctx, "functions/rust", nil, "cargo", "metadata", "--locked", "--no-deps", "--format-version", "1")
	if err != nil {
		return err
	}
	var metadata struct {
		Packages []struct{ Dependencies []struct{ Kind *string } }
	}
	if err := json.Unmarshal(out, &metadata); err != nil || len(metadata.Packages) != 1 {
		return fmt.Errorf("cargo metadata: %d packages: %w", len(metadata.Packages), err)
	}
	for _, d := range metadata.Packages[0].Dependencies {
		if d.Kind == nil { // neither for tests nor for a build script
			c.rust.direct++
		}
	}
	out, err = m.exec(ctx, "functions/rust", nil, "cargo", "tree", "--locked", "-e", "normal,build", "--prefix", "none", "-f", "{p}")
	if err != nil {
		return err
	}
	crates := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		crates[strings.TrimSuffix(lines.Text(), " (*)")] = true
	}
	c.rust.total = len(crates) - 1 // without itself
	return nil
}

// goModules counts the modules that are in the function, and those that its own
// packages import.
func (m *measurer) goModules(ctx context.Context, tags string) (direct, total int, err error) {
	out, err := m.exec(ctx, "functions", []string{"GOWORK=off"},
		"go", "list", "-tags", tags, "-deps", "-json=ImportPath,Imports,Module", "./cmd/fetch")
	if err != nil {
		return 0, 0, err
	}
	type listed struct {
		ImportPath string
		Imports    []string
		Module     *struct {
			Path string
			Main bool
		}
	}
	module, imported := map[string]string{}, map[string]bool{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, 0, fmt.Errorf("go list: %w", err)
		}
		switch {
		case p.Module == nil: // the standard library
		case p.Module.Main:
			for _, path := range p.Imports {
				imported[path] = true
			}
		default:
			module[p.ImportPath] = p.Module.Path
		}
	}
	all, own := map[string]bool{}, map[string]bool{}
	for path, name := range module {
		all[name] = true
		if imported[path] {
			own[name] = true
		}
	}
	return len(own), len(all), nil
}

// appended writes a line that nobody reads to the end of a file, so that there
// is something to compile.
func appended(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}

// builds times a clean build, and one after each of the rounds' changes, a line
// at the end of a file.
func (m *measurer) builds(to *implementation, build func() (took, error), file string, line func(round int) string) (err error) {
	if to.clean, err = build(); err != nil {
		return err
	}
	for round := range m.rounds {
		if err := appended(file, line(round)); err != nil {
			return err
		}
		t, err := build()
		if err != nil {
			return err
		}
		to.incremental = append(to.incremental, t)
	}
	return nil
}

// buildGo builds a copy of the module with an empty cache, and again after a
// change of the handler.
func (m *measurer) buildGo(ctx context.Context, c *scorecard) error {
	copied := filepath.Join(m.dir, "go")
	if err := copyTree(copied, "functions", "rust"); err != nil {
		return err
	}
	env := []string{"GOWORK=off", "CGO_ENABLED=0", "GOCACHE=" + filepath.Join(m.dir, "gocache")}
	for _, s := range []struct {
		to   *implementation
		tags string
	}{{&c.goSDK, "lambda.norpc"}, {&c.goLean, "lambda.norpc,nosdk"}} {
		build := func() (took, error) {
			_, t, err := m.time(ctx, copied, env, "go", "build", "-p", fmt.Sprint(m.jobs), "-trimpath", "-tags", s.tags,
				"-ldflags", "-s -w", "-o", filepath.Join(m.dir, "go-bootstrap"), "./cmd/fetch")
			return t, err
		}
		if err := removeAll(filepath.Join(m.dir, "gocache")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		name := "scorecard" + strings.ReplaceAll(s.tags[7:], ",", "")
		err := m.builds(s.to, build, filepath.Join(copied, "fetch", "handler.go"), func(round int) string {
			return fmt.Sprintf("\nconst %s%d = %d\n", name, round, round)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// buildRust does the same with cargo, in the release profile.
func (m *measurer) buildRust(ctx context.Context, c *scorecard) error {
	copied := filepath.Join(m.dir, "rust")
	if err := copyTree(copied, "functions/rust", "target"); err != nil {
		return err
	}
	build := func() (took, error) {
		_, t, err := m.time(ctx, copied, []string{"CARGO_TARGET_DIR=" + filepath.Join(m.dir, "target")},
			"cargo", "build", "--release", "--locked", "-j", fmt.Sprint(m.jobs))
		return t, err
	}
	// What is to be downloaded is not the compiler's: go's modules are there, too.
	if _, err := m.exec(ctx, copied, nil, "cargo", "fetch", "--locked"); err != nil {
		return err
	}
	return m.builds(&c.rust, build, filepath.Join(copied, "src", "fetch.rs"), func(round int) string {
		return fmt.Sprintf("\n#[allow(dead_code)]\nconst SCORECARD_%d: usize = %d;\n", round, round)
	})
}

// copyTree copies a folder, but for one entry at its top.
func copyTree(to, from, but string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		source, target := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch {
		case e.Name() == but:
			continue
		case e.IsDir():
			err = os.CopyFS(target, os.DirFS(source))
		default:
			var text []byte
			if text, err = os.ReadFile(source); err == nil {
				err = os.WriteFile(target, text, 0o644)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// packages makes all packages that can be made here.
func (m *measurer) packages(ctx context.Context, c *scorecard) error {
	out, arch := filepath.Join(m.dir, "build"), lambda.HostArchitecture()
	pack := func(arch string, args ...string) error {
		_, err := m.exec(ctx, ".", nil, "go", append([]string{"run", "./functions/cmd/package", "-o", out, "-arch", arch}, args...)...)
		return err
	}
	if err := errors.Join(pack(arch, "fetch", "fetch-lean"), pack(arch, "-prebuilt", rustBootstrap, "rust")); err != nil {
		return err
	}
	for name, s := range map[string]*implementation{"fetch": &c.goSDK, "fetch-lean": &c.goLean, "rust": &c.rust} {
		for path, size := range map[string]*int64{
			name + "-" + arch + ".zip": &s.zip, filepath.Join(name, arch, "bootstrap"): &s.bootstrap,
		} {
			info, err := os.Stat(filepath.Join(out, path))
			if err != nil {
				return err
			}
			*size = info.Size()
		}
	}
	own := []string{"go run ./functions/cmd/package -o build -arch arm64 fetch"}
	c.goSDK.arm64, c.goLean.arm64 = own, own
	if err := pack("arm64", "fetch", "fetch-lean"); err != nil {
		return err
	}
	for name, s := range map[string]*implementation{"fetch": &c.goSDK, "fetch-lean": &c.goLean} {
		s.arm64Built = isARM64(filepath.Join(out, name, "arm64", "bootstrap"))
	}
	const target = "aarch64-unknown-linux-gnu"
	c.rust.arm64 = []string{ // aws-lc, the SDK's cryptography, is C
		"rustup target add " + target,
		"apt-get install gcc-aarch64-linux-gnu",
		"CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc make rust",
	}
	c.rust.arm64Built = isARM64("build/rust/arm64/bootstrap")
	return nil
}

func isARM64(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read from
	return f.Machine == elf.EM_AARCH64
}

// findings runs each language's own formatter and linter, as the repository
// has them set up: golangci-lint with .golangci.yml, clippy with pedantic.
func (m *measurer) findings(ctx context.Context, c *scorecard) error {
	packages := []string{"functions/fetch", "functions/store", "functions/cmd/fetch"}
	out, err := m.exec(ctx, ".", nil, "gofmt", append([]string{"-l"}, packages...)...)
	if err != nil {
		return err
	}
	c.goSDK.format = len(strings.Fields(string(out)))
	out, err = m.goTool(ctx, "golangci-lint", "run", "--output.json.path", "stdout",
		"--show-stats=false", "--issues-exit-code", "0", "./fetch/...", "./store/...", "./cmd/fetch/...")
	if err != nil {
		return err
	}
	var lint struct{ Issues []struct{ Text string } }
	if err := json.Unmarshal(out, &lint); err != nil {
		return fmt.Errorf("golangci-lint: %w", err)
	}
	c.goSDK.lint = len(lint.Issues)
	c.goLean.format, c.goLean.lint = c.goSDK.format, c.goSDK.lint

	out, _ = m.exec(ctx, "functions/rust", nil, "cargo", "fmt", "--check") // its status says that there are some
	c.rust.format = bytes.Count(out, []byte("Diff in "))
	out, err = m.exec(ctx, "functions/rust", nil,
		"cargo", "clippy", "--locked", "--all-targets", "--message-format=json", "-j", fmt.Sprint(m.jobs))
	if err != nil {
		return err
	}
	for lines := bufio.NewReader(bytes.NewReader(out)); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		var message struct {
			Reason  string
			Message struct{ Level string }
		}
		if err := json.Unmarshal(line, &message); err != nil {
			return fmt.Errorf("clippy: %w", err)
		}
		if message.Reason == "compiler-message" && slices.Contains([]string{"warning", "error"}, message.Message.Level) {
			c.rust.lint++
		}
	}
	return nil
}

// Command notices writes THIRD_PARTY_NOTICES.txt: whose code is in the
// binaries that this repository builds, and under which licence. It asks go
// list for the packages that are linked in, and takes the texts from the module
// cache. With -check it writes nothing, and fails if the file is not up to date.
//
// Run it with make notices, in the repository's root.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "error: %v\nhint: run make notices in the repository's root to rewrite it\n", err)
		os.Exit(1)
	}
}

// program is a binary that is handed to others.
type program struct {
	name, dir, pkg, tags string
	workspace            bool // it is built with go.work, which may choose newer modules
}

// programs are what make build, make package, make release and the CDK app
// build. The release contains fetch and baseline, and each deployed stack seed.
var programs = []program{
	{name: "fanout", dir: ".", pkg: "./bench", workspace: true}, // by make build
	{name: "fanout", dir: "bench", pkg: "."},                    // by make release
	{name: "fetch", dir: "functions", pkg: "./cmd/fetch", tags: "lambda.norpc"},
	{name: "baseline", dir: "bench", pkg: "./baseline", tags: "lambda.norpc"},
	{name: "seed", dir: "functions", pkg: "./cmd/seed", tags: "lambda.norpc"},
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("notices", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("o", "THIRD_PARTY_NOTICES.txt", "file to write")
	check := flags.Bool("check", false, "write nothing; fail if the file is not up to date")
	if err := flags.Parse(args); err != nil {
		return err
	}
	modules := map[string]*module{}
	for _, p := range programs {
		for _, arch := range []string{"amd64", "arm64"} {
			packages, err := p.list(ctx, arch)
			if err != nil {
				return err
			}
			if err := collect(modules, p.name, packages); err != nil {
				return err
			}
		}
	}
	text := notices(modules)
	if !*check {
		return os.WriteFile(*path, text, 0o644)
	}
	before, err := os.ReadFile(*path)
	if err == nil && !bytes.Equal(before, text) {
		err = fmt.Errorf("%s is not what the binaries contain now: a dependency has changed", *path)
	}
	return err
}

// listed is what go list says of a package.
type listed struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path string }
	}
}

// list gives the packages that are linked into a program on Linux.
func (p program) list(ctx context.Context, arch string) ([]listed, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-tags", p.tags, "-json=Dir,Standard,Module", p.pkg)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
	if !p.workspace {
		cmd.Env = append(cmd.Env, "GOWORK=off")
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		all = append(all, l)
	}
}

// module is whose code is in one program or more.
type module struct {
	name     string // with its version
	programs []string
	texts    map[string]string // licences, by the file's path inside the module
}

// collect adds the modules of a program's packages. One without a licence is an
// error: nobody may pass it on.
func collect(modules map[string]*module, program string, packages []listed) error {
	for _, p := range packages {
		var name, root string
		switch m := p.Module; {
		case p.Standard: // its version is the toolchain's, its licence always the same
			goroot, _, _ := strings.Cut(p.Dir+"/", "/src/")
			name, root = "The Go standard library", goroot
		case m == nil || m.Main || m.Replace != nil: // this repository's own
			continue
		default:
			name, root = m.Path+" "+m.Version, m.Dir
		}
		m := modules[name]
		if m == nil {
			m = &module{name: name, texts: map[string]string{}}
			modules[name] = m
		}
		if !slices.Contains(m.programs, program) {
			m.programs = append(m.programs, program)
		}
		if err := m.read(root, p.Dir); err != nil {
			return err
		}
		if len(m.texts) == 0 {
			return fmt.Errorf("%s: no licence in %s", name, root)
		}
	}
	return nil
}

// licence is how a file is called that says who may do what; licences is a
// folder of such files.
var (
	licence  = regexp.MustCompile(`(?i)^(licen[sc]e|copying|copyright|notice|patents|unlicense)([-._].*)?$`)
	licences = regexp.MustCompile(`(?i)^licen[sc]es?$`)
)

// read takes the licences of a package: those in its folder and in each one
// above it, up to the module's root. Code that a module took over from another
// has its licence beside it.
func (m *module) read(root, dir string) error {
	for ; dir == root || strings.HasPrefix(dir, root+string(filepath.Separator)); dir = filepath.Dir(dir) {
		if err := m.readFolder(root, dir, licence); err != nil {
			return err
		}
	}
	return nil
}

func (m *module) readFolder(root, dir string, called *regexp.Regexp) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		inside, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch _, known := m.texts[inside]; {
		case e.IsDir() && licences.MatchString(e.Name()):
			if err := m.readFolder(root, path, regexp.MustCompile("")); err != nil {
				return err
			}
		case e.IsDir() || known || !called.MatchString(e.Name()) || filepath.Ext(path) == ".go":
		default:
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			m.texts[inside] = normal(string(text))
		}
	}
	return nil
}

// normal gives a text without carriage returns, spaces at the ends of lines,
// and empty lines around it, so that equal licences are equal texts.
func normal(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r\f")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

const rule = "================================================================================"

// notices is the whole file: a list of the modules, then each text once.
func notices(modules map[string]*module) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Third-party code in the binaries of Fanout, and its licences.\n"+
		"Written by make notices; do not edit.\n\nModule, and the programs that contain it:\n\n")
	users := map[string][]string{} // by text: "module (file)"
	names := make([]string, 0, len(modules))
	for name := range modules {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m := modules[name]
		fmt.Fprintf(&b, "  %s: %s\n", name, strings.Join(m.programs, ", "))
		for path, text := range m.texts {
			users[text] = append(users[text], fmt.Sprintf("%s (%s)", name, filepath.ToSlash(path)))
		}
	}
	texts := make([]string, 0, len(users))
	for text := range users {
		slices.Sort(users[text])
		texts = append(texts, text)
	}
	slices.SortFunc(texts, func(a, c string) int { return strings.Compare(users[a][0], users[c][0]) })
	for _, text := range texts {
		fmt.Fprintf(&b, "\n%s\n%s\n%s\n\n%s\n", rule, strings.Join(users[text], "\n"), rule, text)
	}
	return b.Bytes()
}

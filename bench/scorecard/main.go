// Command scorecard measures what it takes to have the fetch function in Go and
// in Rust, and writes docs/go-and-rust.md. No figure in that page is typed in;
// what is written under Notes there is kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"fanout/bench/internal/report"
	"fanout/bench/internal/trial"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "error: %v\n"+
			"hint: run it by make scorecard, in the repository's root; it needs cargo with rustfmt and clippy\n", err)
		os.Exit(1)
	}
}

// options is what a scorecard is asked for.
type options struct {
	out         string
	jobs        int // of both compilers
	rounds      int // of incremental builds
	invocations int // warm ones of each setting
	cold        int
	log         io.Writer
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	o := options{log: stderr}
	flags := flag.NewFlagSet("scorecard", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.out, "o", "docs/go-and-rust.md", "page to write")
	flags.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "compilers at a time, of go and of cargo")
	flags.IntVar(&o.rounds, "rounds", 3, "incremental builds")
	flags.IntVar(&o.invocations, "invocations", 9, "warm invocations of each setting")
	flags.IntVar(&o.cold, "cold", 5, "cold starts of each setting")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.jobs < 1 || o.rounds < 1 || o.invocations < 1 || o.cold < 1 {
		return errors.New("jobs, rounds, invocations and cold: must be at least 1")
	}
	for _, tool := range []string{"cargo", "rustc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s not found: install Rust: https://rustup.rs", tool)
		}
	}
	before, err := os.ReadFile(o.out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	c, err := measure(ctx, o)
	if err != nil {
		return err
	}
	return os.WriteFile(o.out, []byte(c.page()+notes(string(before))), 0o644)
}

// notesHeading begins what people write into the page.
const notesHeading = "## Notes\n"

// notes keeps what was written under Notes in the page before.
func notes(page string) string {
	_, kept, _ := strings.Cut(page, "\n"+notesHeading)
	return "\n" + notesHeading + kept
}

// scorecard is everything that was measured.
type scorecard struct {
	at, host, goVersion, rustVersion string
	load                             string // of the machine, before and after
	jobs                             int
	goSDK, goLean, rust              implementation
	rows                             []report.Row
	objects                          int
	cold                             map[string]float64 // INIT and first answer at the largest memory, ms, by client
}

// implementation is one way to have the function.
type implementation struct {
	handler, tests code
	direct, total  int // dependencies
	clean          took
	incremental    []took
	zip, bootstrap int64 // bytes
	arm64          []string
	arm64Built     bool // here and now
	format, lint   int  // findings; lint -1: not measured apart
}

// measure does it all, one after another.
func measure(ctx context.Context, o options) (_ *scorecard, err error) {
	dir, err := os.MkdirTemp("", "fanout-scorecard-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	m := &measurer{options: o, dir: dir}
	c := &scorecard{at: time.Now().UTC().Format("2006-01-02"), jobs: o.jobs, cold: map[string]float64{}}
	before := load()
	for _, step := range []struct {
		name string
		do   func(context.Context, *scorecard) error
	}{
		{"versions", m.versions},
		{"lines and complexity", m.code},
		{"dependencies", m.dependencies},
		{"builds of Go", m.buildGo},
		{"builds of Rust, which take minutes", m.buildRust},
		{"packages", m.packages},
		{"findings", m.findings},
		{"one interleaved run", m.run},
	} {
		fmt.Fprintf(o.log, "measuring %s\n", step.name)
		if err := step.do(ctx, c); err != nil {
			return nil, fmt.Errorf("measure %s: %w", step.name, err)
		}
	}
	c.load = before + " before, " + load() + " after"
	return c, nil
}

// removeAll removes a folder that Go's module cache may have made read-only.
func removeAll(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(dir))
}

// run measures the functions themselves.
func (m *measurer) run(ctx context.Context, c *scorecard) error {
	out := filepath.Join(m.dir, "results")
	_, err := m.exec(ctx, ".", nil, "bin/fanout", "run", "--memory", "128,512,1769", "--client", "lean,tuned,stock", "--concurrency", "64",
		"--invocations", fmt.Sprint(m.invocations), "--cold", fmt.Sprint(m.cold), "--contender", "rust="+rustBootstrap, "--out", out)
	if err != nil {
		return err
	}
	f, err := trial.ReadPath(out)
	if err != nil {
		return err
	}
	r := report.New(f, report.Options{})
	c.host, c.rows, c.objects = f.Header.Host, r.Rows, r.Objects
	for i := range c.rows {
		c.rows[i].MaxMemoryMB = coldMemory(f.Results, c.rows[i].Key)
	}
	for _, row := range r.Rows {
		if row.MemoryMB == 1769 {
			c.cold[row.Client] = row.Cold.Median
		}
	}
	return nil
}

// coldMemory is the most that a process took which served this setting only:
// Go's clients take turns in the same one, and its peak is the largest's.
func coldMemory(results []trial.Result, k trial.Key) int {
	most := 0
	for _, r := range results {
		if r.OK && r.Start == trial.Cold && r.Key() == k {
			most = max(most, r.MaxMemoryMB)
		}
	}
	return most
}

// Command scorecard measures what it takes to have the fetch function in each
// language that this repository has it in, and what it does, and writes
// docs/languages.md. No figure in that page is typed in; what is written under
// Notes there is kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "error: %v\nhint: run it by make scorecard, in the repository's root\n", err)
		os.Exit(1)
	}
}

// options is what a scorecard is asked for.
type options struct {
	out         string
	results     string   // folder of the interleaved run
	only        []string // contenders; empty: all that can be built here
	memories    string   // sizes in MB
	jobs        int      // of compilers that take a number
	rounds      int      // of incremental builds
	invocations int      // warm ones of each setting
	cold        int
	log         io.Writer
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	o := options{log: stderr}
	flags := flag.NewFlagSet("scorecard", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var only string
	flags.StringVar(&o.out, "o", "docs/languages.md", "page to write")
	flags.StringVar(&o.results, "results", "build/scorecard", "folder for the results and the page of the run, which are written over")
	flags.StringVar(&only, "languages", "", "contenders to measure, such as go,rust,python (default all that can be built here)")
	flags.StringVar(&o.memories, "memory", "128,512,1769,3008", "memory sizes in MB")
	flags.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "compilers at a time, of go and cargo")
	flags.IntVar(&o.rounds, "rounds", 3, "incremental builds")
	flags.IntVar(&o.invocations, "invocations", 9, "warm invocations of each setting")
	flags.IntVar(&o.cold, "cold", 5, "cold starts of each setting")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.jobs < 1 || o.rounds < 1 || o.invocations < 1 || o.cold < 1 {
		return errors.New("jobs, rounds, invocations and cold: must be at least 1")
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	before, err := os.ReadFile(o.out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	c, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.out, []byte(c.page()+notes(string(before))), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(o.log, "%s is written; the run's page: %s/report.html\n", o.out, o.results)
	return nil
}

// notesHeading begins what people write into the page.
const notesHeading = "## Notes\n"

// notes keeps what was written under Notes in the page before.
func notes(page string) string {
	_, kept, _ := strings.Cut(page, "\n"+notesHeading)
	return "\n" + notesHeading + kept
}

// measure does it all, one after another.
func measure(ctx context.Context, o options) (_ *scorecard, err error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fanout-scorecard-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	m := &measurer{options: o, dir: dir}
	c := &scorecard{at: time.Now().UTC().Format("2006-01-02"), jobs: o.jobs}
	here, missing, err := chosen(languages(root, o.jobs), o.only)
	if err != nil {
		return nil, err
	}
	c.absent = missing
	for _, l := range here {
		c.languages = append(c.languages, measured{language: l, of: make([]implementation, len(l.variants))})
	}
	for _, a := range missing {
		fmt.Fprintf(o.log, "not measured: %s: %s\n", a.name, a.why)
	}
	before := load()
	for _, step := range []struct {
		name string
		do   func(context.Context, *scorecard) error
	}{
		{"versions", m.versions},
		{"lines and complexity", m.code},
		{"dependencies", m.dependencies},
		{"packages", m.packages},
		{"findings", m.findings},
		{"builds, which take minutes", m.builds},
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

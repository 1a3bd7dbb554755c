package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"fanout/bench/internal/report"
	"fanout/bench/internal/trial"
	"fanout/functions/store"
)

// scorecard is everything that was measured.
type scorecard struct {
	at, host  string
	load      string // of the machine, before and after
	jobs      int
	languages []measured
	absent    []absent // languages that were not
	command   string   // of the run
	rows      []report.Row
	objects   int
}

// measured is a language, which of its compilers or interpreters ran, and what
// was measured of each variant.
type measured struct {
	language
	ran string
	of  []implementation
}

// implementation is what was measured of one variant.
type implementation struct {
	handler, tests code
	direct, total  int // dependencies
	clean          took
	incremental    []took
	zip, unpacked  int64 // bytes
	arm64Built     bool  // here and now
	format, lint   int   // findings, or notMeasured
}

// each does something with every variant, up to the first error.
func (c *scorecard) each(do func(language, variant, *implementation) error) error {
	for _, l := range c.languages {
		for i, v := range l.variants {
			if err := do(l.language, v, &l.of[i]); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	return nil
}

// run measures the functions themselves.
func (m *measurer) run(ctx context.Context, c *scorecard) error {
	args := []string{"run", "--memory", m.memories, "--client", strings.Join(store.Names, ","), "--concurrency", "64",
		"--invocations", fmt.Sprint(m.invocations), "--cold", fmt.Sprint(m.cold)}
	for _, l := range c.languages {
		if l.contender == goContender {
			continue // which is always there
		}
		spec, err := l.flag()
		if err != nil {
			return err
		}
		args = append(args, "--contender", spec)
	}
	c.command = "bin/fanout " + strings.Join(args, " ")
	if err := os.Remove(filepath.Join(m.results, "results.jsonl")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// A contender of which no invocation went well fails the run, but not its file.
	_, runErr := m.exec(ctx, ".", []string{"AWS_EC2_METADATA_DISABLED=true"}, "bin/fanout", append(args, "--out", m.results)...)
	f, err := trial.ReadPath(m.results)
	if err != nil {
		return errors.Join(runErr, err)
	}
	if runErr != nil {
		if f.End.Reason != trial.Complete && f.End.Reason != trial.WrongAnswers || ctx.Err() != nil {
			return runErr
		}
		fmt.Fprintf(m.log, "warning: %v\n", runErr)
	}
	r := report.New(f, report.Options{})
	c.host, c.rows, c.objects = f.Header.Host, r.Rows, r.Objects
	for i := range c.rows {
		c.rows[i].MaxMemoryMB = coldMemory(f.Results, c.rows[i].Key)
	}
	return nil
}

// coldMemory is the most that a process took which served this setting only:
// a contender's clients take turns in the same one, and its peak is the largest's.
func coldMemory(results []trial.Result, k trial.Key) int {
	most := 0
	for _, r := range results {
		if r.OK && r.Start == trial.Cold && r.Key() == k {
			most = max(most, r.MaxMemoryMB)
		}
	}
	return most
}

package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"fanout/functions/lambda"
)

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

// version finds what a command prints as one: the first word with a digit and a
// dot.
var version = regexp.MustCompile(`\d+\.\d[\w.]*`)

func (m *measurer) versions(ctx context.Context, c *scorecard) error {
	for i, l := range c.languages {
		out, err := m.exec(ctx, ".", nil, l.version[0], l.version[1:]...)
		if err != nil {
			return err
		}
		c.languages[i].ran = string(version.Find(out))
	}
	return nil
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

// appended writes a line that nobody reads to the end of a file, so that there
// is something to build.
func appended(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}

// builds times, in a copy of the repository, a clean build of every variant, and
// one after each of the rounds' changes.
func (m *measurer) builds(ctx context.Context, c *scorecard) error {
	return c.each(func(l language, v variant, s *implementation) (err error) {
		fmt.Fprintf(m.log, "  %s\n", v.name)
		tree, err := os.MkdirTemp(m.dir, "tree")
		if err != nil {
			return err
		}
		if err := m.copyRepository(ctx, tree); err != nil {
			return err
		}
		folder, env := filepath.Join(tree, v.build.folder), []string{}
		for _, e := range v.build.env {
			env = append(env, strings.ReplaceAll(e, "DIR", m.dir))
		}
		for _, p := range v.build.prepare {
			if _, err := m.exec(ctx, folder, env, p[0], p[1:]...); err != nil {
				return err
			}
		}
		build := func() (took, error) {
			_, t, err := m.time(ctx, folder, env, v.build.command[0], v.build.command[1:]...)
			return t, err
		}
		if s.clean, err = build(); err != nil {
			return err
		}
		for round := range m.rounds {
			if err := appended(filepath.Join(tree, v.build.changed), fmt.Sprintf(v.build.line, round)); err != nil {
				return err
			}
			t, err := build()
			if err != nil {
				return err
			}
			s.incremental = append(s.incremental, t)
		}
		return removeAll(tree)
	})
}

// copyRepository copies what Git has, and what it would have: nothing that was
// built.
func (m *measurer) copyRepository(ctx context.Context, to string) error {
	out, err := m.exec(ctx, ".", nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		info, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // deleted, or a link
		}
		if err != nil {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, text, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// packages measures those that make built.
func (m *measurer) packages(_ context.Context, c *scorecard) error {
	return c.each(func(l language, v variant, s *implementation) (err error) {
		if s.zip, s.unpacked, err = zipSizes(filepath.Join("build", onHost(v.zip))); err != nil {
			return err
		}
		_, err = os.Stat(filepath.Join("build", onArch(v.zip, lambda.ARM)))
		s.arm64Built = err == nil
		return nil
	})
}

// zipSizes gives a zip's size and that of all in it, in bytes.
func zipSizes(path string) (packed, unpacked int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	for _, f := range z.File {
		unpacked += int64(f.UncompressedSize64) //nolint:gosec // files of this repository
	}
	return info.Size(), unpacked, z.Close()
}

// findings runs each language's own formatter and linter.
func (m *measurer) findings(ctx context.Context, c *scorecard) error {
	return c.each(func(l language, v variant, s *implementation) (err error) {
		if s.format, err = m.findingsOf(ctx, v.format); err != nil {
			return err
		}
		s.lint, err = m.findingsOf(ctx, v.lint)
		return err
	})
}

// notMeasured is a number of findings that nobody counted.
const notMeasured = -1

// findingsOf counts a check's findings; [notMeasured] where its program is not
// there. A failure without a finding is an error.
func (m *measurer) findingsOf(ctx context.Context, c check) (int, error) {
	if c.command == nil {
		return notMeasured, nil
	}
	if _, err := exec.LookPath(c.command[0]); err != nil {
		return notMeasured, nil //nolint:nilerr // the page says so
	}
	cmd := exec.CommandContext(ctx, c.command[0], c.command[1:]...)
	cmd.Dir, cmd.Env = c.folder, append(os.Environ(), c.env...)
	out, err := cmd.CombinedOutput()
	n := len(regexp.MustCompile(c.found).FindAll(out, -1))
	if err != nil && n == 0 { // else its status says that there are some
		return 0, fmt.Errorf("%s: %w: %s", strings.Join(c.command, " "), err, bytes.TrimSpace(out))
	}
	return n, nil
}

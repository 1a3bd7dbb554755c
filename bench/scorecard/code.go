package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// lizard is where make puts it.
const lizard = ".venv/lizard/bin/lizard"

// code is the size of some source.
type code struct {
	lines      int // without blank ones and comments
	complexity int // scc's count of branching words
	files      int

	// Of the functions that lizard finds: how many there are, and the cyclomatic
	// complexity of the middle and of the worst. functions 0: not counted.
	functions, middle, worst int
}

// sources maps a name to the text of a file.
type sources map[string]string

// code counts the lines of every variant.
func (m *measurer) code(ctx context.Context, c *scorecard) error {
	return c.each(func(l language, v variant, s *implementation) error {
		handler, tests, err := v.sources()
		if err != nil {
			return err
		}
		if s.handler, err = m.count(ctx, handler); err != nil {
			return err
		}
		s.tests, err = m.count(ctx, tests)
		return err
	})
}

// sources gives a variant's files, parted from its tests.
func (v variant) sources() (handler, tests sources, err error) {
	handler, tests = sources{}, sources{}
	for pattern, own := range map[*[]string]sources{&v.handler: handler, &v.tests: tests} {
		for _, p := range *pattern {
			files, err := read(p)
			if err != nil {
				return nil, nil, err
			}
			for name, text := range files {
				isTest := strings.HasSuffix(name, "_test.go")
				switch {
				case v.split != nil:
					program, test := v.split(text)
					if own[name] = program; test != "" {
						tests["tests_"+name] = test
					}
				case !strings.HasSuffix(name, ".go") || isTest == (pattern == &v.tests):
					own[name] = text
				}
			}
		}
	}
	return handler, tests, nil
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

// count counts with scc, and with lizard where that is installed.
func (m *measurer) count(ctx context.Context, files sources) (code, error) {
	if len(files) == 0 {
		return code{}, nil
	}
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
	c, err := sccCode(out)
	if err == nil && c.files != len(files) {
		err = fmt.Errorf("scc counted %d files, want %d", c.files, len(files))
	}
	if err != nil {
		return code{}, err
	}
	if _, err := os.Stat(lizard); errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	out, err = m.exec(ctx, ".", nil, lizard, "--csv", dir)
	if err != nil {
		return code{}, err
	}
	return c, c.addFunctions(out)
}

// sccCode adds up scc's languages: C++ has headers beside its sources.
func sccCode(report []byte) (code, error) {
	var languages []struct{ Code, Complexity, Count int }
	if err := json.Unmarshal(report, &languages); err != nil {
		return code{}, fmt.Errorf("scc: %w", err)
	}
	var sum code
	for _, l := range languages {
		sum.lines, sum.complexity, sum.files = sum.lines+l.Code, sum.complexity+l.Complexity, sum.files+l.Count
	}
	return sum, nil
}

// addFunctions reads lizard's list of functions, of which the second column is
// the cyclomatic complexity.
func (c *code) addFunctions(report []byte) error {
	rows, err := csv.NewReader(strings.NewReader(string(report))).ReadAll()
	if err != nil {
		return fmt.Errorf("lizard: %w", err)
	}
	var all []int
	for _, row := range rows {
		if len(row) < 2 {
			return fmt.Errorf("lizard: a line of %d columns", len(row))
		}
		n, err := strconv.Atoi(row[1])
		if err != nil {
			return fmt.Errorf("lizard: %w", err)
		}
		all = append(all, n)
	}
	if slices.Sort(all); len(all) > 0 {
		c.functions, c.middle, c.worst = len(all), all[len(all)/2], all[len(all)-1]
	}
	return nil
}

// dependencies counts those of every variant.
func (m *measurer) dependencies(ctx context.Context, c *scorecard) error {
	return c.each(func(l language, v variant, s *implementation) (err error) {
		s.direct, s.total, err = v.dependencies(ctx, m)
		return err
	})
}

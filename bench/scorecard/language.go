package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"fanout/functions/lambda"
	"fanout/functions/store"
)

// language is one that the function is written in. Each has a file of its own
// beside this one, which says how it is built, checked and counted.
type language struct {
	name      string   // as people write it
	contender string   // its name in result files, and of its folder and make target
	tools     []tool   // that must be there to build it
	version   []string // a command that prints which compiler or interpreter there is
	code      string   // bootstrap or package that make builds; ARCH stands for this machine's; empty: Go's, always there
	managed   string   // runtime and handler of a package that has no bootstrap, as fanout run takes them
	clients   []string // of it; nil: it has one of its own
	variants  []variant
}

// tool is a program on PATH, and how to get it.
type tool struct{ program, install string }

// variant is one way to have the function: a column of the scorecard.
type variant struct {
	name    string // "Go, lean"
	about   string // what it is made of, Markdown
	client  string // whose first answer counts; empty: the contender's own
	handler []string
	tests   []string // patterns of files, as those of the handler, from the repository's root
	split   func(text string) (program, tests string)

	dependencies func(ctx context.Context, m *measurer) (direct, total int, err error)
	build        build
	zip          string   // package, from build/; ARCH stands for an architecture
	arm64        []string // steps to a package for it, on an x86_64 machine
	arm64Note    string   // where the steps need another machine
	format, lint check
}

// build is how a variant is built, in a copy of the repository.
type build struct {
	prepare [][]string // commands before the clock starts: what is to be downloaded
	command []string
	env     []string
	folder  string // of both, in the copy
	changed string // a file of the handler, in the copy
	line    string // appended to it, %d being the round's number, so that there is something to build
}

// check is a formatter or a linter as the repository has it set up. Each match of
// found in its output is a finding.
type check struct {
	folder  string
	command []string
	env     []string
	found   string // a regular expression
}

// languages are all there are, in the order of the page.
func languages(root string, jobs int) []language {
	return []language{golang(root, jobs), rust(jobs), python(root), node(root), cpp(root), java()}
}

// missing says why a language cannot be measured here; empty: it can.
func (l language) missing() string {
	if _, err := os.Stat(l.folder()); errors.Is(err, fs.ErrNotExist) {
		return l.folder() + " is not there"
	}
	for _, t := range l.tools {
		if _, err := exec.LookPath(t.program); err != nil {
			return fmt.Sprintf("%s not found: %s", t.program, t.install)
		}
	}
	return ""
}

func (l language) folder() string {
	if l.contender == goContender {
		return "functions/fetch"
	}
	return path.Join("functions", l.contender)
}

// built is where the language's contender is; an error says how to make it.
func (l language) built() (string, error) {
	at := onHost(l.code)
	if _, err := os.Stat(at); err != nil {
		return "", fmt.Errorf("%s of %s: %w: build it first: make %s", at, l.name, err, l.contender)
	}
	return at, nil
}

// flag is what tells fanout run of the language's contender.
func (l language) flag() (string, error) {
	at, err := l.built()
	if err != nil {
		return "", err
	}
	spec := l.contender + "=" + at + l.managed
	for _, client := range l.clients {
		spec += ",client=" + client
	}
	return spec, nil
}

// ownClient says whether a client is one for this purpose only, and not the
// language's SDK.
func ownClient(client string) bool { return client == store.Lean }

// onHost puts this machine's architecture into a path.
func onHost(path string) string { return onArch(path, lambda.HostArchitecture()) }

func onArch(path, arch string) string { return strings.ReplaceAll(path, "ARCH", arch) }

// chosen splits languages into those to measure and those that are missing, with
// the reason of each. only, if not empty, are contenders.
func chosen(all []language, only []string) (here []language, missing []absent, err error) {
	for _, name := range only {
		if !slices.ContainsFunc(all, func(l language) bool { return l.contender == name }) {
			return nil, nil, fmt.Errorf("language %q: must be one of %s", name, strings.Join(contenders(all), ", "))
		}
	}
	for _, l := range all {
		switch why := l.missing(); {
		case len(only) > 0 && !slices.Contains(only, l.contender):
			missing = append(missing, absent{l.name, "not asked for"})
		case why != "":
			missing = append(missing, absent{l.name, why})
		default:
			here = append(here, l)
		}
	}
	if len(here) == 0 {
		return nil, nil, fmt.Errorf("nothing to measure: %v", missing)
	}
	return here, missing, nil
}

// absent is a language that is not measured, and why.
type absent struct{ name, why string }

func contenders(all []language) []string {
	var names []string
	for _, l := range all {
		names = append(names, l.contender)
	}
	return names
}

// lockedNames counts the different names that lines of a lock file begin with,
// up to a separator.
func lockedNames(file, separator string) (int, error) {
	text, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		return 0, err
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(line, separator); ok && name != "" && !strings.ContainsAny(name[:1], " \t#-") {
			names[name] = true
		}
	}
	return len(names), nil
}

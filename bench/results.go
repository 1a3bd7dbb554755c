package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/report"
	"fanout/bench/internal/report/page"
	"fanout/bench/internal/report/write"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
)

// checkOut says, before anything is started, why there can be no folder for results:
// on the way to it is a file, or a folder that cannot be written to.
func checkOut(dir string) error {
	info, err := os.Stat(dir)
	if above := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && above != dir {
		return checkOut(above)
	}
	switch {
	case err != nil:
	case !info.IsDir():
		err = fmt.Errorf("%s is not a folder", dir)
	default:
		if err = unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			err = fmt.Errorf("write to %s: %w", dir, err)
		}
	}
	if err != nil {
		return hint.Usage("give another --out", "results folder: %w", err)
	}
	return nil
}

// createResults makes a new result file, and its folder.
func createResults(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, hint.Failed("give another --out", "create the results folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, hint.Failed("give another --out", "write results: %w", err)
	}
	return file, nil
}

// show prints what the file says was measured, and how the run ended, and
// writes the page, whether or not standard output takes the report. runErr is
// what ended the run.
func (rf *runFlags) show(ctx context.Context, stdout, stderr io.Writer, path string, o report.Options, runErr error) error {
	help := hint.AWS(runErr, "fanout report "+filepath.Dir(path)+" shows what was measured until then")
	file, err := trial.ReadPath(path)
	if err != nil {
		return errors.Join(runErr, err)
	}
	interrupted := ctx.Err() != nil
	if interrupted || rf.json || len(file.Results) == 0 { // where no text on standard output says so
		for _, w := range file.End.Warnings {
			fmt.Fprintf(stderr, "warning: %s\n", term.Clean(w))
		}
	}
	if interrupted {
		return hint.Failed(help, "%w", runErr)
	}
	if errors.Is(runErr, trial.ErrNothingRead) {
		return hint.Failed("name a prefix that has objects: --prefix for --function; for a stack, deploy it again with -c prefix=PREFIX/",
			"%w", runErr)
	}
	var wrong *trial.WrongContender
	if errors.As(runErr, &wrong) {
		return hint.Failed(rf.wrongHint(wrong.Contender), "%w", runErr)
	}
	if runErr != nil && !errors.Is(runErr, trial.ErrWrongAnswer) && len(file.Results) == 0 {
		return hint.Failed(hint.AWS(runErr, "nothing was measured: "+file.End.Reason), "%w", runErr)
	}
	if runErr == nil && file.End.Text != "" {
		fmt.Fprintln(stderr, term.Clean(file.End.Text))
	}
	r := report.New(file, o)
	pagePath := filepath.Join(filepath.Dir(path), pageName)
	pageErr := writeFile(pagePath, func(w io.Writer) error { return page.Write(w, r) })
	show := write.Text
	if rf.json {
		show = write.JSON
	}
	err = show(stdout, r)
	if err == nil && !rf.json {
		_, err = fmt.Fprintf(stdout, "results: %s\npage: %s\n", path, pagePath)
	}
	switch {
	case errors.Is(runErr, trial.ErrWrongAnswer) && rf.own():
		return hint.Failed(rf.ownHint(), "%w", runErr)
	case errors.Is(runErr, trial.ErrWrongAnswer):
		return hint.Failed("a fast wrong answer is a failure: see error_type in "+path, "%w", runErr)
	case runErr != nil:
		return hint.Failed(help, "%w", runErr)
	case pageErr != nil:
		return pageErr
	case err != nil:
		return hint.Failed("the report is in "+pagePath, "write the report to standard output: %w", err)
	}
	if bad := neverWell(file); len(bad) > 0 {
		next := "the report says how; fanout check puts a contender through its cases one by one"
		if rf.own() {
			next = "the report says how, with the end of what the function logged"
		}
		return hint.Failed(next,
			"every invocation of contender %s failed", strings.Join(bad, " and of "))
	}
	return nil
}

// neverWell names the contenders of which no invocation went well, at any
// setting: a setting that fails is a row, but this is not a measurement.
func neverWell(f trial.File) []string {
	well := map[string]bool{}
	for _, r := range f.Results {
		well[r.Contender] = well[r.Contender] || r.OK
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(well)), func(contender string) bool { return well[contender] })
}

// wrongHint says what to do about a contender that answers wrong.
func (rf *runFlags) wrongHint(contender string) string {
	if rf.own() {
		return rf.ownHint()
	}
	if rf.deployed() {
		return "see that the bucket still has the objects that were deployed; --keep-going measures it all the same"
	}
	check := "fanout check"
	for _, text := range rf.contenders {
		if strings.HasPrefix(text, contender+"=") {
			check += " --contender " + term.ShellWord(text)
		}
	}
	return check + " says what else is wrong; --keep-going measures it all the same"
}

// pageName is what the page is called, beside the results.
const pageName = "report.html"

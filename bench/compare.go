package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/report"
	"fanout/bench/internal/report/write"
	"fanout/bench/internal/term"
)

func compareCommand() *cobra.Command {
	var threshold, format string
	var force, predict bool
	c := &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Say what got worse from one run to another",
		Long: `Compare two runs. The exit status is 1 if a setting got worse by more than the
threshold and beyond chance, all settings taken together, or worked in OLD and
always fails in NEW. It is 2 if that cannot be known: the runs are not alike
(another backend, machine, region, network, corpus or plan), one has no results
or lacks settings, or there are too few invocations for any test. docs/ci.md has
a workflow that uses it.

With --predict MEASURED PREDICTED the runs may differ in backend and network:
each setting's predicted median stands beside the measured one, and the exit
status is 0 whatever comes out. Formats are then text, csv, markdown and json.`,
		Example: `  fanout compare --predict results/aws results/twin
  fanout compare results/main results/branch
  fanout compare --threshold 10% --format markdown main branch >comment.md`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return hint.Usage("see fanout help compare", "compare: give two results folders or files, not %d", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if predict {
				if c.Flags().Changed("threshold") || force {
					return hint.Usage("leave it out", "compare: --threshold and --force mean nothing with --predict")
				}
				return runPredict(c.OutOrStdout(), args, format)
			}
			return runCompare(c.OutOrStdout(), c.ErrOrStderr(), args, threshold, format, force)
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&threshold, "threshold", "5%", "how much worse a median may get: 5% or 0.05")
	c.Flags().BoolVar(&predict, "predict", false, "OLD is a measured run, NEW one that predicts it, such as one of a calibrated sandbox: "+
		"show per setting how far it is off, the rank correlation and the error's interval")
	c.Flags().BoolVar(&force, "force", false, "also compare runs that are not alike, or that leave the result undecided")
	c.Flags().StringVar(&format, "format", write.CompareFormats[0].Name, aboutFormats(write.CompareFormats))
	return c
}

func runCompare(stdout, stderr io.Writer, args []string, threshold, format string, force bool) error {
	help := "see fanout help compare"
	least, err := parseShare(threshold)
	if err != nil {
		return hint.Usage(help, "threshold %w", err)
	}
	f, err := formatOf(write.CompareFormats, format, "compare")
	if err != nil {
		return err
	}
	runs, err := readBoth(args)
	if err != nil {
		return err
	}
	if err := report.Mismatch(runs[0].Header, runs[1].Header); err != nil {
		if !force {
			return hint.Usage("measure both alike, or give --force if you know why they may be compared", "%w", err)
		}
		fmt.Fprintf(stderr, "warning: %s\n", term.CleanLines(err.Error()))
	}
	c := report.Compare(runs[0], runs[1], least)
	if err := f.Write(stdout, c); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	switch err := c.Err(); {
	case errors.Is(err, report.ErrUndecided) && force:
		fmt.Fprintf(stderr, "warning: %s\n", term.CleanLines(err.Error()))
	case errors.Is(err, report.ErrUndecided):
		return hint.Usage("measure both alike, with --invocations 10 or more, or give --force to pass anyway", "%w", err)
	case err != nil:
		return hint.Failed("fanout report on each shows why; a machine that was busy shows as a drift", "%w", err)
	}
	return nil
}

// readBoth reads the results of two runs.
func readBoth(paths []string) (runs [2]*report.Report, err error) {
	for i, path := range paths {
		if runs[i], err = readReport(path, report.Options{}); err != nil {
			return runs, err
		}
	}
	return runs, nil
}

// runPredict shows how well one run predicts another.
func runPredict(stdout io.Writer, args []string, format string) error {
	f, err := formatOf(write.PredictFormats, format, "compare")
	if err != nil {
		return err
	}
	runs, err := readBoth(args)
	if err != nil {
		return err
	}
	p, err := report.Predict(runs[0], runs[1])
	if errors.Is(err, report.ErrSwapped) {
		return hint.Usage(fmt.Sprintf("fanout compare --predict %s %s", term.ShellWord(args[1]), term.ShellWord(args[0])), "%w", err)
	}
	if err != nil {
		return err
	}
	if err := f.Write(stdout, p); err != nil {
		return fmt.Errorf("write the prediction: %w", err)
	}
	return nil
}

// parseShare reads "5%" or "0.05". A number of 1 or more without a per cent sign
// is refused: 5 would be 500%.
func parseShare(text string) (float64, error) {
	const most = 10 // 1000%
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case err != nil || !(v >= 0):
		return 0, fmt.Errorf("%q: must be a share such as 5%% or 0.05", text)
	case percent:
		v /= 100
	case v >= 1 && v/100 < most:
		return 0, fmt.Errorf("%q: must be a share such as 5%% or 0.05; did you mean %s%%?", text, number)
	}
	if v >= most {
		return 0, fmt.Errorf("%q: must be a share below 1000%%", text)
	}
	return v, nil
}

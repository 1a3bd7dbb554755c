package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"fanout/bench/internal/calibrate"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/network"
	"fanout/bench/internal/table"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
)

func calibrateCommand() *cobra.Command {
	var sandbox, name, out string
	c := &cobra.Command{
		Use:   "calibrate RESULTS...",
		Short: "Fit the sandbox to a run on AWS, and write a model file",
		Long: `Fit the sandbox's network and CPU to the results of fanout run on AWS, or on any
other backend, and write a model file. With --network FILE the sandbox is then
near to what was measured, and each of its reports says by what it was
calibrated. Its times stay sandbox times.

Give --sandbox the results of the same settings in the sandbox of this machine,
with the network that calibrate found without them: the CPU factor is found by
comparing the two. Several RESULTS, with objects of different sizes, tell more:
small ones the first byte, large ones the bandwidth. docs/calibrate.md
says what to measure, and how each figure is found.`,
		Example: `  fanout run --stack Fanout --invocations 10 --concurrency 16,64 --out aws
  fanout calibrate -o net.json aws
  fanout run --network net.json --invocations 10 --concurrency 16,64 --out here
  fanout calibrate --sandbox here -o aws.json aws
  fanout run --network aws.json --out twin
  fanout compare --predict aws twin`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return hint.Usage("see fanout help calibrate", "calibrate: give at least one results folder or file")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return runCalibrate(c.Context(), c.OutOrStdout(), args, sandbox, name, out)
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&sandbox, "sandbox", "", "`results` of the same settings in the sandbox of this machine, for the CPU factor")
	c.Flags().StringVar(&name, "name", "", "name of the model, as reports show it (default the backend and region, such as aws-eu-west-1)")
	c.Flags().StringVarP(&out, "output", "o", "model.json", "`file` to write the model to")
	return c
}

func runCalibrate(ctx context.Context, stdout io.Writer, args []string, sandbox, name, out string) error {
	in := calibrate.Input{Name: name, Version: version, Now: time.Now()}
	if err := checkModelFile(out); err != nil {
		return err
	}
	if name != "" {
		if err := network.CheckName(name); err != nil {
			return hint.Usage("see fanout help calibrate", "%w", err)
		}
	}
	for _, path := range args {
		f, err := readResults(path)
		if err != nil {
			return err
		}
		in.Measured = append(in.Measured, f)
	}
	if sandbox != "" {
		f, err := readResults(sandbox)
		if err != nil {
			return err
		}
		in.Sandbox = &f
	}
	r, err := fit(ctx, in)
	if err != nil {
		return err
	}
	if err := writeFile(out, r.Model.Write); err != nil {
		return err
	}
	return showCalibration(stdout, r, out)
}

// fit fits a model, unless ctx ends first: of a million objects it takes minutes.
func fit(ctx context.Context, in calibrate.Input) (*calibrate.Result, error) {
	type fitted struct {
		result *calibrate.Result
		err    error
	}
	done := make(chan fitted, 1)
	go func() {
		r, err := calibrate.Fit(in)
		done <- fitted{r, err}
	}()
	var f fitted
	select {
	case <-ctx.Done():
	case f = <-done:
	}
	if ctx.Err() != nil {
		return nil, hint.Failed("nothing was written", "interrupted")
	}
	return f.result, f.err
}

// checkModelFile says, before anything is fitted, why a model file cannot be
// written.
func checkModelFile(path string) error {
	if path == "" { // of a variable that is not set
		return hint.Usage("give -o FILE, or leave it out for model.json", "-o is empty: no model file is named")
	}
	if _, err := os.Lstat(path); err == nil {
		return hint.Usage("give another -o, or remove it", "%s exists already", path)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return hint.Usage("give another -o, in a folder that is there and can be written to", "write the model file: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(path))
}

// readResults reads the result file of a run.
func readResults(path string) (trial.File, error) {
	f, err := trial.ReadPath(path)
	if err != nil {
		return f, hint.Failed("name a folder that fanout run wrote, or its "+trial.FileName, "%w", err)
	}
	return f, nil
}

// showCalibration says what was fitted, and how well it tells each setting.
func showCalibration(w io.Writer, r *calibrate.Result, out string) error {
	fmt.Fprintf(w, "%s: %s\n", r.Model.Name, r.Model)
	for _, s := range r.Model.Sizes {
		fmt.Fprintf(w, "first byte of objects of %s bytes: %.1f ms (99th percentile %.1f ms)\n", table.Grouped(float64(s.Bytes)),
			float64(s.Median)/1e6, float64(s.P99)/1e6)
	}
	for _, what := range r.Model.Calibration.Assumed {
		fmt.Fprintf(w, "assumed: %s\n", term.Clean(what))
	}
	fmt.Fprintln(w)
	label := func(head string) table.Label { return table.Label{Head: head} }
	ms := func(v float64) table.Cell { return table.Figure(v, table.Number(v)) }
	err := table.Table[calibrate.Setting]{Rows: r.Settings, Columns: []table.Column[calibrate.Setting]{
		{Label: label("setting"), Left: true, Cell: func(s calibrate.Setting) table.Cell { return table.Text(table.Clip(s.String(), 60)) }},
		{Label: label("bytes each"), Cell: func(s calibrate.Setting) table.Cell {
			return table.Figure(float64(s.ObjectBytes), table.Grouped(float64(s.ObjectBytes)))
		}},
		{Label: label("n"), Cell: func(s calibrate.Setting) table.Cell { return table.Int(s.N) }},
		{Label: label("measured ms"), Cell: func(s calibrate.Setting) table.Cell { return ms(s.MeasuredMS) }},
		{Label: label("model ms"), Cell: func(s calibrate.Setting) table.Cell { return ms(s.ForecastMS) }},
		{Label: label("error"), Cell: func(s calibrate.Setting) table.Cell {
			return table.Figure(s.Error(), fmt.Sprintf("%+.1f%%", s.Error()*100))
		}},
	}}.Text(w, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nresidual: %.1f%%, the median over %d settings; %d warm invocations\nmodel: %s\nnext: fanout run --network %s\n",
		r.Model.Calibration.Residual*100, len(r.Settings), r.Model.Calibration.Invocations, term.Clean(out), term.ShellWord(out))
	return err
}

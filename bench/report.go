package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"fanout/bench/internal/report"
	"fanout/bench/internal/trial"
)

func reportCommand() *cobra.Command {
	var format, out string
	c := &cobra.Command{
		Use:     "report DIR|FILE",
		Short:   "Show what a result file says",
		Example: "  fanout report results/20261124-120000\n  fanout report --format png -o speedup.png results/20261124-120000",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("see fanout help report", "report: give one results folder or file, not %d", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			write := map[string]func(io.Writer, trial.File) error{"text": report.Text, "png": report.SpeedupChart}[format]
			if write == nil {
				return usage("see fanout help report", "format %q: must be text or png", format)
			}
			results, err := trial.ReadPath(args[0])
			if err != nil {
				return failed("name a folder that fanout run wrote, or its "+trial.FileName, "%w", err)
			}
			if out == "" {
				return write(c.OutOrStdout(), results)
			}
			return writeFile(out, func(w io.Writer) error { return write(w, results) })
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text, or png: a picture of the speed-up over one worker")
	c.Flags().StringVarP(&out, "output", "o", "", "`file` to write to instead of standard output")
	return c
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return failed("give another -o", "write the report: %w", err)
	}
	if err := write(f); err != nil {
		_ = f.Close() // the first error is the one to tell
		return err
	}
	return f.Close()
}

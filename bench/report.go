package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/report"
	"fanout/bench/internal/report/write"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/trial"
)

// priceFlags is what decides on costs and on the balanced pick.
type priceFlags struct {
	prices, region, class string
	weight                string
}

func (p *priceFlags) add(f *pflag.FlagSet) {
	p.addTable(f)
	f.StringVar(&p.region, "region", "", "region whose prices to use (default the functions', else "+report.DefaultRegion+")")
	f.StringVar(&p.class, "storage-class", "", "the objects' storage class: standard or express (default the network model's, else standard)")
	f.StringVar(&p.weight, "weight", p.weight, "weight of time against cost in the balanced pick, above 0 to 1, or 50%")
}

// addTable adds what a run needs of it.
func (p *priceFlags) addTable(f *pflag.FlagSet) {
	p.weight = "0.5"
	f.StringVar(&p.prices, "prices", "", "`file` of prices that fanout prices wrote, instead of the built-in ones")
}

// options checks the flags and reads the prices.
func (p *priceFlags) options(command string) (report.Options, error) {
	help := "see fanout help " + command
	weight, err := parseShare(p.weight)
	if v, notNumber := strconv.ParseFloat(p.weight, 64); notNumber == nil && v == 1 { // all of it, which cannot be meant as 1%
		weight, err = 1, nil
	}
	if err != nil || !(weight > 0 && weight <= 1) {
		return report.Options{}, hint.Usage(help, "weight %q: must be above 0 and at most 1, such as 0.9 or 90%%", p.weight)
	}
	class := cost.StorageClass(p.class)
	if p.class != "" && class != cost.Standard && class != cost.Express {
		return report.Options{}, hint.Usage(help, "storage-class %q: must be %s or %s", p.class, cost.Standard, cost.Express)
	}
	o := report.Options{Region: p.region, Class: class, Weight: weight, Prices: cost.Builtin}
	if p.prices != "" {
		f, err := os.Open(p.prices)
		if err != nil {
			return o, hint.Failed("fanout prices writes such a file", "read prices: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read from
		if o.Prices, err = cost.ReadTable(f); err != nil {
			return o, hint.Failed("fanout prices writes such a file", "%s: %w", p.prices, err)
		}
	}
	if p.region != "" {
		if _, err := o.Prices.Prices(p.region); err != nil {
			return o, err
		}
	}
	return o, nil
}

func reportCommand() *cobra.Command {
	var format, out string
	var prices priceFlags
	c := &cobra.Command{
		Use:   "report DIR|FILE",
		Short: "Show what a result file says, and what to choose",
		Long: `Show what a result file says: what to choose and how sure that is, then time,
cost and the reason for each setting. docs/statistics.md says how each figure is
computed. Of a scan, show how fast it was, what limited it, what was not read,
and where time and money went.`,
		Example: `  fanout report results/20261124-120000
  fanout report --weight 0.9 --region us-east-1 results/20261124-120000
  fanout report --format html -o report.html results/20261124-120000`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return hint.Usage("see fanout help report", "report: give one results folder or file, not %d", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			f, err := formatOf(write.Formats, format, "report")
			if err != nil {
				return err
			}
			options, err := prices.options("report")
			if err != nil {
				return err
			}
			if isResults(out, args[0]) {
				return hint.Usage("give another -o", "report: -o %s would overwrite the results", out)
			}
			if isScan(args[0]) {
				for _, name := range []string{"prices", "region", "storage-class", "weight"} {
					if c.Flags().Changed(name) {
						return hint.Usage("leave it out", "report: --%s is for a run: the file of a scan has its bill", name)
					}
				}
				return reportScan(c.OutOrStdout(), args[0], format, out)
			}
			r, err := readReport(args[0], options)
			if err != nil {
				return err
			}
			return writeReport(c.OutOrStdout(), out, f, r)
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&format, "format", write.Formats[0].Name, aboutFormats(write.Formats))
	c.Flags().StringVarP(&out, "output", "o", "", "`file` to write to instead of standard output")
	prices.add(c.Flags())
	return c
}

// writeReport writes it to a file, or else to stdout.
func writeReport[T any](stdout io.Writer, out string, f write.Format[T], r T) error {
	if out == "" {
		return f.Write(stdout, r)
	}
	return writeFile(out, func(w io.Writer) error { return f.Write(w, r) })
}

// reportScan shows what the result file of a scan says.
func reportScan(stdout io.Writer, path, format, out string) error {
	i := slices.IndexFunc(write.ScanFormats, func(f write.Format[*report.Scan]) bool { return f.Name == format })
	if i < 0 {
		return hint.Usage("of a scan there is "+strings.Join(write.Names(write.ScanFormats), ", "),
			"format %q: %s is of a scan, whose batches are no invocations of one setting", format, path)
	}
	file, err := scan.ReadPath(path)
	if err != nil {
		return hint.Failed("name a folder that fanout scan wrote, or its "+scan.FileName, "%w", err)
	}
	return writeReport(stdout, out, write.ScanFormats[i], report.NewScan(file))
}

// isScan says whether path is the result file of a scan, or a folder that has
// one. What cannot be read is none: reading it as that of a run says why.
func isScan(path string) bool {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, scan.FileName)
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() { // a pipe can be read but once
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read from
	line, err := bufio.NewReader(io.LimitReader(f, 1<<20)).ReadBytes('\n')
	return (err == nil || errors.Is(err, io.EOF)) && scan.Is(line)
}

// formatOf finds a format by its name.
func formatOf[T any](formats []write.Format[T], name, command string) (write.Format[T], error) {
	i := slices.IndexFunc(formats, func(f write.Format[T]) bool { return f.Name == name })
	if i < 0 {
		return write.Format[T]{}, hint.Usage("see fanout help "+command, "format %q: must be one of %s", name,
			strings.Join(write.Names(formats), ", "))
	}
	return formats[i], nil
}

// aboutFormats lists formats for a flag's help.
func aboutFormats[T any](formats []write.Format[T]) string {
	var about []string
	for _, f := range formats {
		about = append(about, f.Name+": "+f.About)
	}
	return strings.Join(about, "; ")
}

// readReport sums up the result file at path.
func readReport(path string, o report.Options) (*report.Report, error) {
	results, err := trial.ReadPath(path)
	if err != nil {
		return nil, hint.Failed("name a folder that fanout run wrote, or its "+trial.FileName, "%w", err)
	}
	return report.New(results, o), nil
}

// isResults says whether out is the result file at path, or the one inside it.
func isResults(out, path string) bool {
	there, err := os.Stat(out)
	if out == "" || err != nil || !there.Mode().IsRegular() {
		return false
	}
	return slices.ContainsFunc([]string{path, filepath.Join(path, trial.FileName)}, func(results string) bool {
		info, err := os.Stat(results)
		return err == nil && os.SameFile(there, info)
	})
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return hint.Failed("give another -o", "write the report: %w", err)
	}
	if err := write(f); err != nil {
		_ = f.Close() // the first error is the one to tell
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Close()
}

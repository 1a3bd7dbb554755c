package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/progress"
	"fanout/bench/internal/report"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/scan/forecast"
	"fanout/bench/internal/table"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

// estimateFlags is what fanout scan estimate was asked for.
type estimateFlags struct {
	plan           forecast.Plan
	objects, bytes string
	memoriesMB     []int
	batch          string
	children       string
	maxConcurrency string
	prices         priceFlags
	json           bool
}

func scanEstimateCommand() *cobra.Command {
	var ef estimateFlags
	c := &cobra.Command{
		Use:   "estimate",
		Short: "Say what a scan will take: time, dollars and the limit that binds",
		Long: `Say what a scan on AWS will take, and what would make it faster or cheaper. It
is arithmetic with the services' quotas and prices, and with the measured speed
of one function: nothing is called.`,
		Example: `  fanout scan estimate --objects 100M --bytes 25kB
  fanout scan estimate --objects 1e9 --bytes 4kB --prefixes 100 --map-runs 16`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return ef.run(c.OutOrStdout()) },
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&ef.objects, "objects", "1M", "how many objects: 100M is 100,000,000")
	f.StringVar(&ef.bytes, "bytes", "25kB", "mean size of an object, such as 25kB or 1.5MB")
	f.IntVar(&ef.plan.Prefixes, "prefixes", 1, "prefixes that S3 serves apart, which the objects are spread over")
	f.IntVar(&ef.plan.MapRuns, "map-runs", 0, "jobs at the same time, each with its part of the keys; 0: as few as may be")
	f.BoolVar(&ef.plan.Inventory, "inventory", false, "read an S3 Inventory instead of listing")
	memoryVar(f, &ef.memoriesMB, []int{512}, "memory size of the function in MB")
	f.StringVar(&ef.plan.Arch, "arch", lambda.ARM, "architecture: x86_64, arm64")
	f.StringVar(&ef.batch, "batch", "auto", "objects per batch, or auto")
	f.StringVar(&ef.maxConcurrency, "max-concurrency", "auto", "batches at once in one Map Run, 1 to 10000, or auto")
	f.StringVar(&ef.children, "children", "express", "type of the child executions: express or standard")
	f.IntVar(&ef.plan.AccountConcurrency, "account-concurrency", forecast.AccountConcurrency, "invocations at once that the account may have")
	ef.prices.addTable(f)
	f.StringVar(&ef.prices.region, "region", "", "region whose prices to use (default "+report.DefaultRegion+")")
	f.StringVar(&ef.prices.class, "storage-class", "", "the objects' storage class: standard or express (default standard)")
	f.BoolVar(&ef.json, "json", false, "print the estimate as JSON")
	return c
}

const estimateHelp = "see fanout help scan estimate"

func (ef *estimateFlags) run(stdout io.Writer) error {
	options, err := ef.prices.options("scan estimate")
	if err != nil {
		return err
	}
	if err := ef.parse(); err != nil {
		return err
	}
	region := options.Region
	if region == "" {
		region = report.DefaultRegion
	}
	prices, err := options.Prices.Prices(region)
	if err != nil {
		return err
	}
	if ef.plan.Class = options.Class; ef.plan.Class == "" {
		ef.plan.Class = cost.Standard
	}
	f, err := forecast.New(ef.plan, prices)
	if err != nil {
		return hint.Usage(estimateHelp, "%w", err)
	}
	if ef.json {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(f)
	}
	return writeEstimate(stdout, f)
}

// parse checks the flags that package forecast does not.
func (ef *estimateFlags) parse() error {
	p := &ef.plan
	n, err := parseCount(ef.objects, "")
	if err != nil {
		return hint.Usage(estimateHelp, "objects %w", err)
	}
	p.Objects = int64(n)
	if p.Bytes, err = parseCount(ef.bytes, "B"); err != nil {
		return hint.Usage(estimateHelp, "bytes %w", err)
	}
	if len(ef.memoriesMB) != 1 {
		return hint.Usage(estimateHelp, "memory: give one size, not %d", len(ef.memoriesMB))
	}
	p.MemoryMB = ef.memoriesMB[0]
	p.Children = strings.ToUpper(ef.children)
	if p.Children != fn.Express && p.Children != fn.Standard {
		return hint.Usage(estimateHelp, "children %q: must be express or standard", ef.children)
	}
	if p.Batch, err = autoOr("batch", ef.batch, maxBatchItems); err != nil {
		return err
	}
	if p.MaxConcurrency, err = autoOr("max-concurrency", ef.maxConcurrency, maxChildren); err != nil {
		return err
	}
	p.Speed = forecast.Measured
	return nil
}

// parseCount reads a number from 0 that may have a unit of a thousand, a million
// and so on: 25k, 100M, 1.5G, 1e9; and, behind it, that of what is counted.
func parseCount(text, unit string) (float64, error) {
	number := strings.TrimSpace(text)
	if unit != "" {
		number = strings.TrimSpace(strings.TrimSuffix(number, unit))
	}
	factor := 1.0
	for _, u := range []struct {
		suffix string
		factor float64
	}{{"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}} {
		if n, ok := strings.CutSuffix(number, u.suffix); ok {
			number, factor = n, u.factor
			break
		}
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	if err != nil || !(v >= 0) || v*factor > 1e15 || strings.ContainsAny(number, "xXpP_iI") {
		return 0, fmt.Errorf("%q: must be a number such as 1000, 25k%s, 100M%s or 1e9", text, unit, unit)
	}
	return v * factor, nil
}

// writeEstimate says what a scan on AWS will take, in a few lines.
func writeEstimate(w io.Writer, f forecast.Forecast) error {
	var b strings.Builder
	p := f.Plan
	fmt.Fprintf(&b, "%s objects of %s: about %s and %s on AWS (calculated, not measured)\n",
		table.Grouped(float64(p.Objects)), scan.Size(p.Bytes), progress.Short(f.Time()), table.Dollars(f.Bill.Total()))
	if f.Fails != "" {
		fmt.Fprintf(&b, "it would fail: %s\n", f.Fails)
	}
	fmt.Fprintf(&b, "limit: %s: %s\n", f.Binding.Name, f.Binding.Why)
	fmt.Fprintf(&b, "%s objects/s, %s, by %s at once of %d MB, in batches of %s\n",
		table.Grouped(f.ObjectsPerS), scan.Rate(f.BytesPerS), plurals(f.Functions, "function"), p.MemoryMB, table.Grouped(float64(p.Batch)))
	fmt.Fprintf(&b, "%s\n", scan.Dollars(f.Bill, p.Objects))
	for i, h := range f.Helps {
		if i == 0 {
			b.WriteString("what would help:\n")
		}
		fmt.Fprintf(&b, "  %s\n", h)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func plurals(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return table.Grouped(float64(n)) + " " + what + "s"
}

// millionObjects stands for how many there are where nobody knows.
const millionObjects = 1_000_000

// forecastOf is what the job is forecast to take on AWS; ok is false where the
// prices are not known.
func (s *scanning) forecastOf(w scanWhat) (f forecast.Forecast, known, ok bool) {
	if s.pricing == nil {
		return f, false, false
	}
	p := forecast.Plan{
		Objects: millionObjects, Bytes: forecast.Measured.Bytes, Prefixes: 1, Class: s.pricing.Class, MapRuns: 1, Inventory: w.inventoryObject != nil,
		MemoryMB: s.pricing.Function.MemoryMB, Arch: s.pricing.Function.Arch, Children: s.pricing.Children,
		Batch: w.batchItems, MaxConcurrency: w.maxConcurrency, Speed: forecast.Measured,
	}
	if c := s.header.Corpus; c != nil {
		known, p.Objects, p.Bytes = true, int64(c.Count), float64(c.MinBytes+c.MaxBytes)/2
	}
	f, err := forecast.New(p, s.pricing.Prices)
	return f, known, err == nil
}

// announce says before the start what the job will take.
func (s *scanning) announce(w io.Writer, f forecast.Forecast, known bool) error {
	if s.local() { // nothing is known of its times, and it costs nothing
		_, err := fmt.Fprintf(w, "%s objects on this machine; on AWS about %s and %s, held by: %s\n",
			table.Grouped(float64(f.Plan.Objects)), progress.Short(f.Time()), table.Dollars(f.Bill.Total()), f.Binding.Name)
		return err
	}
	if !known {
		fmt.Fprintln(w, "How many objects there are is not known before they are listed. For each million:")
	}
	s.header.Estimate = &scan.Estimate{Seconds: f.Time().Seconds(), Limit: f.Binding.Name, Bill: f.Bill}
	if known {
		s.header.Estimate.Objects = f.Plan.Objects
	}
	return writeEstimate(w, f)
}

// atOnceHere is how many batches run at once on this machine unless flags say:
// as many as the processors can give their share of a vCPU to, and one more.
func atOnceHere(cores, memoryMB int) int {
	return max(int(float64(cores)/lambda.VCPU(memoryMB)), 1) + 1
}

// batchBytes bounds the keys of a batch, as JSON: of the 256 KiB of a child's
// input the rest is for what all batches share.
const batchBytes = 240 << 10

// plan sets what was left to the command: batch and concurrency.
func (s *scanning) plan(w scanWhat, f forecast.Forecast, ok bool, cores int) (fn.BatchSize, int) {
	batch := fn.BatchSize{Items: w.batchItems, Bytes: batchBytes}
	if batch.Items == 0 {
		batch.Items = forecast.PageBatch
		if ok {
			batch.Items = f.Plan.Batch
		}
	}
	switch {
	case w.maxConcurrency > 0:
		return batch, w.maxConcurrency
	case s.local():
		return batch, atOnceHere(cores, s.header.Function.MemoryMB)
	case ok:
		return batch, f.Plan.MaxConcurrency
	}
	return batch, 0
}

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/report"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/scan/forecast"
	"fanout/bench/internal/table"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

// estimateFlags is what fanout scan estimate was asked for.
type estimateFlags struct {
	objects, bytes, keyBytes string
	memory, arch             string
	class, children          string
	from, format             string
	rate                     string
	prefixes, mapRuns        int
	account                  int
	batch, concurrency       string
	inventory                bool
	net                      networkFlags
	prices                   priceFlags
	given                    func(flag string) bool
}

const estimateHelp = "see fanout help scan estimate"

func scanEstimateCommand() *cobra.Command {
	var ef estimateFlags
	c := &cobra.Command{
		Use:   "estimate --objects N --bytes SIZE",
		Short: "Calculate what a scan takes, what limits it, and what would help",
		Long: `Calculate what a scan of so many objects takes on AWS: time, dollars by part,
the limit that binds, and what would help. Nothing is called, and nothing is
measured: docs/scale.md has the model, and where each of its figures is from.

How fast one function reads is taken from a run or a scan (--from), from --rate,
or else from what this repository's client did in the sandbox of one machine.`,
		Example: `  fanout scan estimate --objects 100M --bytes 25kB --prefixes 16
  fanout scan estimate --objects 1e9 --bytes 25kB --prefixes 100 --inventory
  fanout scan estimate --objects 5M --bytes 2MiB --from results/20261124-120000`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return ef.run(c.OutOrStdout()) },
	}
	ef.add(c.Flags())
	return c
}

func (ef *estimateFlags) add(f *pflag.FlagSet) {
	f.SortFlags = false
	ef.given = f.Changed
	f.StringVar(&ef.objects, "objects", "", "`number` of objects, such as 100M or 1e8; required")
	f.StringVar(&ef.bytes, "bytes", "", "mean `size` of an object, such as 25kB or 25KiB; required")
	f.IntVar(&ef.prefixes, "prefixes", 1, "prefixes that S3 has partitioned the objects into")
	f.StringVar(&ef.keyBytes, "key-bytes", strconv.Itoa(forecast.DefaultKeyBytes), "mean `size` of a key")
	f.BoolVar(&ef.inventory, "inventory", false, "an S3 Inventory says which objects there are, not a listing")
	f.StringVar(&ef.class, "storage-class", string(cost.Standard), "the objects' storage class: standard or express")
	f.StringVar(&ef.memory, "memory", "", "memory `size` of the function in MB (default 512, or as --from says)")
	ef.net.addBandwidth(f)
	f.StringVar(&ef.arch, "arch", "", "architecture: x86_64 or arm64 (default x86_64, or as --from says)")
	f.StringVar(&ef.from, "from", "", "results `file` or folder of a run or a scan, for how fast one function reads")
	f.StringVar(&ef.rate, "rate", "", "objects per second that one function reads at this memory and size")
	f.IntVar(&ef.account, "account-concurrency", forecast.AccountConcurrency, "invocations at once that the account may have")
	f.StringVar(&ef.concurrency, "max-concurrency", "auto", "batches at once per Map Run, 1 to 10000, or auto")
	f.StringVar(&ef.batch, "batch", "auto", "objects per batch, or auto")
	f.IntVar(&ef.mapRuns, "map-runs", 0, "jobs at the same time, each over a part of the keys; 0: as few as may be")
	f.StringVar(&ef.children, "children", fn.Express, "type of the child executions: "+fn.Express+" or "+fn.Standard)
	f.StringVar(&ef.prices.region, "region", report.DefaultRegion, "region whose prices to use")
	ef.prices.addTable(f)
	f.StringVar(&ef.format, "format", "text", "text or json")
	// The network models' names for the storage classes, and the short name of the flag.
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "storage" {
			name = "storage-class"
		}
		return pflag.NormalizedName(name)
	})
}

func (ef *estimateFlags) run(stdout io.Writer) error {
	if ef.format != "text" && ef.format != "json" {
		return hint.Usage(estimateHelp, "format %q: must be text or json", ef.format)
	}
	plan, err := ef.plan()
	if err != nil {
		return err
	}
	options, err := ef.prices.options("scan estimate")
	if err != nil {
		return err
	}
	prices, err := options.Prices.Prices(ef.prices.region)
	if err != nil {
		return err
	}
	if err := plan.Validate(); err != nil {
		return hint.Usage(estimateHelp, "%w", err)
	}
	f, err := forecast.New(plan, prices)
	if err != nil {
		return hint.Failed("fanout prices shows a table that has all of them; give one as --prices", "%w", err)
	}
	if ef.format == "json" {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(f)
	}
	return f.Text(stdout, helpColumns)
}

// plan checks the flags, and makes of them what to forecast.
func (ef *estimateFlags) plan() (forecast.Plan, error) {
	p := forecast.Plan{
		Prefixes: ef.prefixes, Inventory: ef.inventory, MapRuns: ef.mapRuns, Children: strings.ToUpper(ef.children),
		AccountConcurrency: ef.account, Class: cost.StorageClass(strings.TrimPrefix(ef.class, "s3-")),
	}
	usage := func(err error) (forecast.Plan, error) { return p, hint.Usage(estimateHelp, "%w", err) }
	for _, required := range []string{"objects", "bytes"} {
		if !ef.given(required) {
			return usage(fmt.Errorf("no --%s: give how many objects there are (--objects 100M), and how large (--bytes 25kB)", required))
		}
	}
	if p.Class != cost.Standard && p.Class != cost.Express {
		return usage(fmt.Errorf("storage-class %q: must be %s or %s", ef.class, cost.Standard, cost.Express))
	}
	if p.AccountConcurrency == 0 { // which is not a number of invocations, and would be the default
		return usage(fmt.Errorf("account-concurrency 0: must be 1 or more"))
	}
	objects, err := parseCount("objects", ef.objects)
	if err != nil {
		return usage(err)
	}
	if err := ef.net.check(estimateHelp); err != nil {
		return p, err
	}
	p.Quota = ef.net.bandwidth == lambda.QuotaBandwidth
	p.Objects = objects
	if p.Bytes, err = parseBytes("bytes", ef.bytes); err != nil {
		return usage(err)
	}
	key, err := parseBytes("key-bytes", ef.keyBytes)
	if err != nil {
		return usage(err)
	}
	p.KeyBytes = max(int(min(key, 1e9)), 1)
	if p.Batch, err = parseAuto("batch", ef.batch); err != nil {
		return usage(err)
	}
	if p.MaxConcurrency, err = parseAuto("max-concurrency", ef.concurrency); err != nil {
		return usage(err)
	}
	return p, ef.function(&p)
}

// function says which function reads, and how fast.
func (ef *estimateFlags) function(p *forecast.Plan) error {
	if ef.memory != "" {
		mb, err := parseMemory(ef.memory)
		if err != nil {
			return hint.Usage(estimateHelp, "%w", err)
		}
		p.MemoryMB = mb
	}
	p.Arch, p.Speed = ef.arch, forecast.Measured
	switch {
	case ef.rate != "" && ef.from != "":
		return hint.Usage(estimateHelp, "--rate and --from are mutually exclusive")
	case ef.rate != "":
		rate, err := strconv.ParseFloat(ef.rate, 64)
		if err != nil || !(rate > 0 && rate <= 1e6) {
			return hint.Usage(estimateHelp, "rate %q: must be objects per second of one function, above 0 to 1000000", ef.rate)
		}
		p.MemoryMB = cmp.Or(p.MemoryMB, forecast.Measured.MemoryMB)
		p.Speed = forecast.Speed{MemoryMB: p.MemoryMB, Bytes: p.Bytes, ObjectsPerS: rate, Source: "--rate"}
	case ef.from != "":
		if err := ef.measured(p); err != nil {
			return err
		}
	}
	p.MemoryMB, p.Arch = cmp.Or(p.MemoryMB, p.Speed.MemoryMB), cmp.Or(p.Arch, lambda.X86)
	return nil
}

// measured takes the speed from the results of a run: of the setting with the
// memory size and architecture asked for, else of the balanced pick.
func (ef *estimateFlags) measured(p *forecast.Plan) error {
	if isScan(ef.from) {
		return ef.scanned(p)
	}
	r, err := readReport(ef.from, report.Options{})
	if err != nil {
		return err
	}
	usable := func(row report.Row) bool { return row.Warm.N > 0 && row.ObjectsPerS > 0 && row.Failed == 0 }
	best := -1
	if len(r.Advice.Picks) > 0 {
		best = r.Advice.Picks[0].Row
	}
	asked := func(row report.Row) bool {
		return (p.MemoryMB == 0 || row.MemoryMB == p.MemoryMB) && (p.Arch == "" || row.Arch == p.Arch)
	}
	if best < 0 || !asked(r.Rows[best]) {
		fastest := slices.MaxFunc(append([]int{-1}, indexes(r.Rows)...), func(a, b int) int {
			score := func(i int) float64 {
				if i < 0 || !usable(r.Rows[i]) || !asked(r.Rows[i]) {
					return -1
				}
				return r.Rows[i].ObjectsPerS
			}
			return cmp.Compare(score(a), score(b))
		})
		if fastest >= 0 && usable(r.Rows[fastest]) && asked(r.Rows[fastest]) {
			best = fastest
		}
	}
	if best < 0 || !usable(r.Rows[best]) || r.Objects == 0 {
		return hint.Failed("measure a setting with fanout run, or give --rate", "%s: no setting read everything in a warm invocation", ef.from)
	}
	row := r.Rows[best]
	ef.bandwidth(p, r.Header.Bandwidth)
	p.Arch = cmp.Or(p.Arch, row.Arch)
	p.Speed = forecast.Speed{
		MemoryMB: row.MemoryMB, Bytes: float64(r.Bytes) / float64(r.Objects), ObjectsPerS: row.ObjectsPerS,
		CPUPerObject: time.Duration(row.CPUPerObject.Median * float64(time.Microsecond)),
		Source:       fmt.Sprintf("%s, measured by the backend %s: %s", r.Name(row), r.Header.Backend, ef.from),
	}
	return nil
}

// bandwidth takes how a result file's bandwidth depended on the memory size,
// unless a flag says another.
func (ef *estimateFlags) bandwidth(p *forecast.Plan, header string) {
	if ef.net.bandwidth == "" {
		p.Quota = header == lambda.QuotaBandwidth
	}
}

// scanned takes the speed from the results of a scan: what one function read
// while it was at work.
func (ef *estimateFlags) scanned(p *forecast.Plan) error {
	file, err := scan.ReadPath(ef.from)
	if err != nil {
		return hint.Failed("name a folder that fanout scan or run wrote", "%w", err)
	}
	s, function := file.Summary, file.Header.Function
	if s == nil || s.Objects <= 0 || !(s.BusyMS > 0) || lambda.CheckMemory(function.MemoryMB) != nil {
		return hint.Failed("take the results of a scan that ended, or give --rate", "%s does not say how fast its functions read", ef.from)
	}
	ef.bandwidth(p, file.Header.Bandwidth)
	p.Arch = cmp.Or(p.Arch, function.Arch)
	p.Speed = forecast.Speed{
		MemoryMB: function.MemoryMB, Bytes: float64(s.Bytes) / float64(s.Objects), ObjectsPerS: float64(s.Objects) / s.BusyMS * 1000,
		CPUPerObject: time.Duration(s.CPUMS / float64(s.Objects) * float64(time.Millisecond)),
		Source:       fmt.Sprintf("one function of a scan by the backend %s: %s", file.Header.Backend, ef.from),
	}
	if share := float64(s.Retries) / float64(s.Objects); share >= 0.02 { // what the report calls limited by requests
		p.Speed.Source += fmt.Sprintf("; %s of its GETs were retried, so it can be faster", table.Share(share))
	}
	return nil
}

func indexes[T any](s []T) []int {
	all := make([]int, len(s))
	for i := range all {
		all[i] = i
	}
	return all
}

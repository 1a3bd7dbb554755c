package perf

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"fanout/bench/internal/lab"
	"fanout/bench/internal/network"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
	"fanout/functions/store"
)

// largeObjectsDir begins the names of the experiment large-objects' folders.
const largeObjectsDir = "large-objects-"

// transferManager is the contender that the SDK's Transfer Manager reads in.
const transferManager = "transfermanager"

// Sizes of the experiment large-objects.
const (
	largeObjectRounds  = 7 // at most: enough for an interval, and each takes long
	largeObjectWorkers = 8 // at most, one for each object
)

// Set is a number of objects of one size.
type Set struct {
	Count int
	MB    int // 1,000,000 bytes
}

// Sets are those that large objects are read in if nobody asks for others.
var Sets = []Set{{1, 1000}, {8, 256}, {100, 64}}

var setText = regexp.MustCompile(`^([1-9][0-9]{0,3})x([1-9][0-9]{0,3})(MB|GB)$`)

// ParseSet reads a set such as 8x256MB or 1x1GB. A MB has 1,000,000 bytes.
func ParseSet(text string) (Set, error) {
	m := setText.FindStringSubmatch(text)
	if m == nil {
		return Set{}, fmt.Errorf("set %q: must be a count and a size, such as 8x256MB or 1x1GB", text)
	}
	count, _ := strconv.Atoi(m[1]) // digits, by the expression
	mb, _ := strconv.Atoi(m[2])
	if m[3] == "GB" {
		mb *= 1000
	}
	s := Set{count, mb}
	if err := s.spec().Validate(); err != nil {
		return Set{}, fmt.Errorf("set %q: %w", text, err)
	}
	return s, nil
}

// String is what ParseSet reads.
func (s Set) String() string {
	if s.MB%1000 == 0 {
		return fmt.Sprintf("%dx%dGB", s.Count, s.MB/1000)
	}
	return fmt.Sprintf("%dx%dMB", s.Count, s.MB)
}

func (s Set) spec() corpus.Spec {
	spec := corpus.Default()
	spec.Count, spec.MinBytes = s.Count, int64(s.MB)*1_000_000
	spec.MaxBytes = spec.MinBytes
	return spec
}

// runLargeObjects compares lean with the SDK's Transfer Manager.
func runLargeObjects(ctx context.Context, o *Options, f *failures) error {
	for _, on := range o.Networks {
		for _, set := range o.Sets {
			if err := runSet(ctx, o, f, on, set); err != nil {
				return err
			}
		}
	}
	return nil
}

func runSet(ctx context.Context, o *Options, f *failures, on network.Model, set Set) (err error) {
	cfg := lab.Config{
		Network: on, MemoriesMB: o.memories(512, lambda.VCPUMemoryMB, 3008, lambda.MaxMemoryMB), Corpus: set.spec(),
		Contenders: []lab.Contender{o.TransferManager},
	}
	s, err := openSession(ctx, o, f, cfg)
	if err != nil {
		return err
	}
	defer func() { err = s.end(err) }()
	workers, rounds := min(set.Count, o.Workers, largeObjectWorkers), min(o.Rounds, largeObjectRounds)
	plan := &s.header.Plan
	plan.Clients, plan.Concurrencies, plan.Invocations, plan.Count = []string{store.Lean}, []int{workers}, rounds, true
	s.expected.Result = strconv.Itoa(set.Count)
	first, err := firstObject(ctx, cfg.Corpus)
	if err != nil {
		return err
	}
	out, err := s.file(largeObjectsDir+on.Name+"-"+set.String(), s.header)
	if err != nil {
		return err
	}
	for _, contender := range []struct {
		name, client    string
		expected, first trial.Expected
	}{
		{o.Own.Name, store.Lean, s.expected, first},
		{o.TransferManager.Name, "", discarded(s.expected, cfg.Corpus), discarded(first, cfg.Corpus)},
	} {
		targets := slices.DeleteFunc(slices.Clone(s.Targets), func(t trial.Target) bool { return t.Contender != contender.name })
		runner, err := s.runnerOf(ctx, targets, contender.expected, &trial.Sample{Prefix: cfg.Corpus.Key(0), Expected: contender.first})
		if err != nil {
			return err
		}
		for _, t := range runner.Targets {
			setting := trial.Setting{Target: t, Client: contender.client, Concurrency: workers}
			s.enter(&competitor{setting: setting, runner: runner, out: out}, rounds)
		}
	}
	order := slices.Clone(s.competitors)
	rng := rand.New(rand.NewPCG(o.Seed, 3))
	for round := range rounds {
		rng.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
		for _, c := range order {
			if err := s.measure(ctx, c, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstObject is what an invocation answers that counts the first object alone:
// it opens as many connections as any, since a large object is read in ranges.
func firstObject(ctx context.Context, spec corpus.Spec) (trial.Expected, error) {
	sum, err := spec.ExpectOf(ctx, 0, 1, nil)
	return trial.Expected{Result: "1", Objects: sum.Objects, Bytes: sum.Bytes, Digest: sum.Digest.String()}, err
}

// discarded is e from a contender that throws the bytes away, as the Transfer
// Manager's does: its digest is that of the keys alone.
func discarded(e trial.Expected, spec corpus.Spec) trial.Expected {
	var d fetch.Digest
	for i := range e.Objects {
		d.Add(spec.Key(i), 0)
	}
	e.Digest = d.String()
	return e
}

// largeObjectRow is a client at one memory size, beside the Transfer Manager.
type largeObjectRow struct {
	memoryMB      int
	name          string
	bytes         int64 // that an invocation reads
	objects       int
	this, manager series
	limits        lambda.Limits // clamped, or not
}

func (r largeObjectRow) isManager() bool { return r.name == transferManager }

// cpuPerGB is the CPU time of each invocation, in s a GB.
func (r largeObjectRow) cpuPerGB() []float64 {
	all := make([]float64, len(r.this.cpu))
	for i, us := range r.this.cpu { // an object
		all[i] = us * float64(r.objects) / 1e6 / (float64(r.bytes) / 1e9)
	}
	return all
}

// rate is each invocation's, in MB/s.
func (r largeObjectRow) rate() []float64 { return ratesOf(r.this, r.bytes) }

func ratesOf(s series, bytes int64) []float64 {
	all := make([]float64, len(s.wall))
	for i, ms := range s.wall {
		all[i] = float64(bytes) / 1e3 / ms
	}
	return all
}

// of is this one's part of the Transfer Manager's; nothing for itself.
func (r largeObjectRow) of(what func(series) []float64) table.Cell {
	if r.isManager() {
		return table.Text("")
	}
	return ratio(r.this, r.manager, what)
}

var largeObjectColumns = []table.Column[largeObjectRow]{
	{Label: table.Label{Head: "memory", Unit: "MB"}, Cell: func(r largeObjectRow) table.Cell { return table.Int(r.memoryMB) }},
	{Label: table.Label{Head: "client"}, Left: true, Cell: func(r largeObjectRow) table.Cell { return table.Text(r.name) }},
	{Label: table.Label{Head: "n"}, Cell: func(r largeObjectRow) table.Cell { return table.Int(len(r.this.wall)) }},
	{Label: table.Label{Head: "CPU", Unit: "s/GB"}, Cell: func(r largeObjectRow) table.Cell { return medianCell(r.cpuPerGB(), 3) }},
	{Label: table.Label{Head: "±"}, Cell: func(r largeObjectRow) table.Cell { return spread(r.this.cpu) }},
	{Label: table.Label{Head: "of manager"}, Left: true, Cell: func(r largeObjectRow) table.Cell { return r.of(cpuOf) }},
	{Label: table.Label{Head: "rate", Unit: "MB/s"}, Cell: func(r largeObjectRow) table.Cell { return medianCell(r.rate(), 1) }},
	{Label: table.Label{Head: "±"}, Cell: func(r largeObjectRow) table.Cell { return spread(r.rate()) }},
	{Label: table.Label{Head: "of manager"}, Left: true, Cell: func(r largeObjectRow) table.Cell {
		return r.of(func(s series) []float64 { return ratesOf(s, r.bytes) })
	}},
	{Label: table.Label{Head: "peak", Unit: "MB"}, Cell: func(r largeObjectRow) table.Cell { return medianCell(r.this.memoryMB, 0) }},
	{Label: table.Label{Head: "failed"}, Left: true, Cell: func(r largeObjectRow) table.Cell { return r.this.failures() }},
}

func largeObjectRows(f trial.File) []largeObjectRow {
	var rows []largeObjectRow
	managers := map[int]series{}
	for _, k := range keys(f) {
		r := largeObjectRow{
			memoryMB: k.MemoryMB, name: cmp.Or(k.Client, k.Contender), bytes: f.Header.Bytes, objects: f.Header.Corpus.Count, this: seriesOf(f, k),
		}
		for _, result := range f.Results {
			if result.Key() == k {
				r.limits = result.Limits
			}
		}
		if r.isManager() {
			managers[k.MemoryMB] = r.this
		}
		rows = append(rows, r)
	}
	for i := range rows {
		rows[i].manager = managers[rows[i].memoryMB]
	}
	slices.SortStableFunc(rows, func(a, b largeObjectRow) int {
		return cmp.Or(a.memoryMB-b.memoryMB, cmp.Compare(b.name, a.name))
	})
	return rows
}

func printLargeObjects(w io.Writer, dir string) (header trial.Header, err error) {
	names, err := largeObjectDirs(dir)
	if err != nil {
		return header, err
	}
	files := make([]trial.File, len(names))
	for i, name := range names {
		if files[i], err = read(dir, name); err != nil {
			return header, err
		}
	}
	slices.SortStableFunc(files, func(a, b trial.File) int { // the default network first, and the largest objects
		order := slices.Index(network.Names(), a.Header.Network) - slices.Index(network.Names(), b.Header.Network)
		return cmp.Or(order, a.Header.Corpus.Count-b.Header.Corpus.Count)
	})
	clamped := map[int]float64{}
	for _, f := range files {
		if f.Header.Schema == 0 {
			continue
		}
		header = f.Header
		set := Set{header.Corpus.Count, int(header.Corpus.MaxBytes / 1_000_000)}
		on := header.Network
		if c := header.Calibration(); c != nil {
			on += ", calibrated by " + c.String()
		}
		heading(w, "Large objects: lean beside the SDK's Transfer Manager, %s, %d at a time, warm, network %s",
			set, workersOf(header), on)
		rows := largeObjectRows(f)
		if err := printTable(w, largeObjectColumns, rows); err != nil {
			return header, err
		}
		for _, r := range rows {
			if r.limits.VCPU > 0 {
				clamped[r.memoryMB] = r.limits.VCPU
			}
		}
	}
	for _, mb := range slices.Sorted(maps.Keys(clamped)) {
		fmt.Fprintf(w, "%d MB buys %.2f vCPUs, and had the %g that this machine can give, which its S3 uses, too.\n\n",
			mb, lambda.VCPU(mb), clamped[mb])
	}
	return header, nil
}

// largeObjectDirs are the experiment's folders.
func largeObjectDirs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if os.IsNotExist(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("read results: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), largeObjectsDir) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

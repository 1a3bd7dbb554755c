package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"fanout/bench/internal/budget"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/scan"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	fn "fanout/functions/scan"
	"fanout/functions/store"
)

// scanFlags is what fanout scan was asked for.
type scanFlags struct {
	scanWhat
	scanOutput
	lab.Config // of a scan on this machine

	stack    string
	net      networkFlags
	verbose  bool
	yes      bool
	prices   priceFlags
	given    func(flag string) bool
	memoryMB []int
}

// scanWhat is what to look for, and how.
type scanWhat struct {
	find            string
	count           bool
	regexp          bool
	locate          bool
	decompress      bool
	inventory       string
	batch           string
	children        string // at once
	tolerate        string
	concurrency     string
	client          string
	job             string
	tolerated       float64
	batchItems      int // 0: auto
	prefixes        int // that S3 has partitioned
	maxConcurrency  int // 0: auto
	readConcurrency *int
	inventoryObject *fn.Inventory
}

// scanOutput is how a job is followed, and where what it finds goes.
type scanOutput struct {
	out, format string
	budget      string
	quiet       bool
	bounds      budget.Bounds
	changed     func(flag string) bool // nil: the subcommand has none of the flags
}

const scanHelp = "see fanout help scan"

// add adds the flags, in the order of the help.
func (sf *scanFlags) add(f *pflag.FlagSet) {
	f.SortFlags = false
	sf.given = f.Changed
	w := &sf.scanWhat
	f.StringVar(&w.find, "find", "", "the `text` to look for, of 1 to 1024 bytes")
	f.BoolVar(&w.regexp, "regexp", false, "--find is a regular expression (RE2)")
	f.BoolVar(&w.count, "count", false, "look for nothing: read and count the objects")
	f.BoolVar(&w.locate, "locate", false, "tell the offset of each first match, and the line around it")
	f.BoolVar(&w.decompress, "decompress", false, "search inside objects that are compressed by gzip")
	f.StringVar(&w.inventory, "inventory", "", "read what the S3 Inventory with this `manifest` lists: s3://BUCKET/…/manifest.json")
	f.StringVar(&sf.stack, "stack", "", "scan on AWS, with the state machine of this CloudFormation stack, which costs money")
	f.StringVar(&w.batch, "batch", "auto", "objects per batch, or auto: 1000, or fewer if these take too long or there are few")
	f.StringVar(&w.children, "max-concurrency", "auto", "batches at once, 1 to 10000, or auto: as many as the binding limit feeds")
	f.IntVar(&w.prefixes, "prefixes", 1, "prefixes that S3 has partitioned the objects into, for the forecast and auto")
	f.StringVar(&w.tolerate, "tolerate", "0%", "how much of the objects may be in failed batches before the job gives up, 0% to 100%")
	f.StringVar(&w.concurrency, "concurrency", "auto", "goroutines that read in each batch, 1 to 1024, or auto")
	f.StringVar(&w.client, "client", store.Default, "S3 client: "+fmt.Sprint(store.Names))
	f.StringVar(&w.job, "job", "", "`name` of the job (default scan-DATE-TIME-…)")
	f.BoolVarP(&sf.yes, "yes", "y", false, "do not ask before a job that costs money")
	sf.scanOutput.add(f)
	sf.prices.addTable(f)
	memoryVar(f, &sf.memoryMB, []int{512}, "memory size of the function in MB; for a stack it is chosen at its deployment")
	sf.net.add(f)
	f.DurationVar(&sf.Timeout, "timeout", fn.BatchTimeout, fmt.Sprintf("time limit of a batch, 1s to %v", fn.BatchTimeout))
	f.Uint64Var(&sf.Seed, "seed", 1, "seed of the network's latencies")
	f.BoolVar(&sf.NoLimits, "no-limits", false, "leave the functions' CPU and memory unlimited")
	corpusFlags(f, &sf.Corpus)
	f.Lookup("needle").Usage = "the string that one object contains (default what --find looks for)"
	f.Lookup("prefix").Usage = "prefix of the objects' keys; for a stack by default its own, and '' is the whole bucket"
	f.BoolVarP(&sf.verbose, "verbose", "v", false, "log what the sandbox does, on standard error")
}

func (o *scanOutput) add(f *pflag.FlagSet) {
	o.changed = f.Changed
	f.StringVar(&o.out, "out", "", "`folder` for "+scan.FileName+", "+pageName+" and the matches (default results/JOB)")
	f.StringVar(&o.format, "format", scan.Formats[0], "of the matches: "+strings.Join(scan.Formats, ", "))
	f.StringVar(&o.budget, "budget", "", "stop the job once it has cost so many dollars, or taken so long, such as 5,2h")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress and no summary on standard error")
}

// parse checks the flags.
func (o *scanOutput) parse() (err error) {
	if !slices.Contains(scan.Formats, o.format) {
		return hint.Usage(scanHelp, "format %q: must be one of %s", o.format, strings.Join(scan.Formats, ", "))
	}
	if o.budget == "" && o.changed != nil && o.changed("budget") { // of a variable that is not set: not a job without bounds
		return hint.Usage(scanHelp, "--budget is empty")
	}
	if o.bounds, err = budget.Parse(o.budget); err != nil {
		return hint.Usage(scanHelp, "%w", err)
	}
	return nil
}

// folder is where the files of a job go.
func (o *scanOutput) folder(job string) string {
	if o.out != "" {
		return o.out
	}
	return filepath.Join("results", job)
}

// hereOnly are the flags of a scan on this machine.
var hereOnly = []string{
	"memory", "network", "timeout", "seed", "no-limits", "objects", "min-bytes", "max-bytes", "shape", "lognormal", "corpus-seed", "needle",
}

// parse checks the flags, before anything is created or called.
func (sf *scanFlags) parse() error {
	if err := sf.scanOutput.parse(); err != nil {
		return err
	}
	if err := sf.scanWhat.parse(); err != nil {
		return err
	}
	for _, flag := range []struct{ name, text string }{
		{"stack", sf.stack}, {"job", sf.job}, {"inventory", sf.inventory}, {"out", sf.out},
	} {
		if flag.text == "" && sf.given(flag.name) { // of a variable that is not set, such as "$STACK"
			return hint.Usage(scanHelp, "--%s is empty", flag.name)
		}
	}
	if sf.inventory != "" && sf.given("prefix") {
		return hint.Usage(scanHelp, "--prefix and --inventory are mutually exclusive: an inventory says itself what is read")
	}
	if sf.stack != "" {
		for _, name := range hereOnly {
			if sf.given(name) {
				return hint.Usage(scanHelp, "--%s is for a scan on this machine: leave out --stack", name)
			}
		}
		return sf.net.check(scanHelp)
	}
	return sf.parseHere()
}

// parseHere checks the flags of a scan on this machine.
func (sf *scanFlags) parseHere() (err error) {
	if sf.inventory != "" {
		return hint.Usage("give --stack, too", "--inventory is of a bucket on AWS: here the objects are listed")
	}
	if sf.Network, err = sf.net.parse(scanHelp); err != nil {
		return err
	}
	if len(sf.memoryMB) != 1 {
		return hint.Usage(scanHelp, "memory: give one size, not %d", len(sf.memoryMB))
	}
	sf.MemoriesMB = sf.memoryMB
	if !sf.given("needle") && !sf.regexp && !sf.count {
		sf.Corpus.Needle = sf.find
	}
	if c := &sf.Corpus; !sf.given("min-bytes") && c.Shape.IsZero() { // small objects were asked for, or a long needle
		c.MinBytes = max(min(c.MinBytes, c.MaxBytes), int64(len(c.Needle)))
	}
	if sf.Corpus.Count < 1 { // of which a lab may have none
		return hint.Usage(scanHelp, "objects %d: must be 1 to %d", sf.Corpus.Count, corpus.MaxCount)
	}
	if sf.Timeout > fn.BatchTimeout {
		return hint.Usage(scanHelp, "timeout %v: must be at most %v, which the state machine waits for", sf.Timeout, fn.BatchTimeout)
	}
	if err := sf.Validate(); err != nil {
		return hint.Usage(scanHelp, "%w", err)
	}
	if err := sf.Corpus.Validate(); err != nil { // the lab would do without objects
		return hint.Usage(scanHelp, "%w", err)
	}
	return nil
}

// parse checks what to look for.
func (w *scanWhat) parse() (err error) {
	switch {
	case w.count && w.find != "":
		return hint.Usage(scanHelp, "--find and --count are mutually exclusive")
	case w.count && (w.regexp || w.locate || w.decompress):
		return hint.Usage(scanHelp, "--regexp, --locate and --decompress need --find")
	case !w.count && w.find == "":
		return hint.Usage(scanHelp, "nothing to look for: give --find TEXT, or --count")
	case !utf8.ValidString(w.find):
		return hint.Usage(scanHelp, "find %q: must be UTF-8, since an event is JSON", w.find)
	case len(w.find) > fetch.MaxFindBytes:
		return hint.Usage(scanHelp, "find of %d bytes: must be 1 to %d", len(w.find), fetch.MaxFindBytes)
	}
	if w.job != "" {
		if err := scan.CheckName(w.job); err != nil {
			return hint.Usage(scanHelp, "%w", err)
		}
	}
	if !slices.Contains(store.Names, w.client) {
		return hint.Usage(scanHelp, "client %q: must be one of %v", w.client, store.Names)
	}
	if w.tolerated, err = parsePercent(w.tolerate); err != nil {
		return hint.Usage(scanHelp, "tolerate %w", err)
	}
	if w.prefixes < 1 || w.prefixes > maxPrefixes {
		return hint.Usage(scanHelp, "prefixes %d: must be 1 to %d", w.prefixes, maxPrefixes)
	}
	if w.batchItems, err = autoOr("batch", w.batch, maxBatchItems); err != nil {
		return err
	}
	if w.maxConcurrency, err = autoOr("max-concurrency", w.children, maxChildren); err != nil {
		return err
	}
	workers, err := autoOr("concurrency", w.concurrency, fetch.MaxConcurrency)
	if err != nil {
		return err
	}
	if workers > 0 {
		w.readConcurrency = &workers
	}
	if err := w.parseInventory(); err != nil {
		return err
	}
	if err := w.input("bucket", "", "").Event.Validate(); err != nil { // as the function will
		next := scanHelp
		if w.regexp {
			next = "the syntax is RE2's: https://pkg.go.dev/regexp/syntax"
		}
		return hint.Usage(next, "%w", err)
	}
	return nil
}

// Limits of Step Functions: of child executions that run at once
// (docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html), and of a
// batch's items, which keys of 1 byte would fill its 256 KiB with.
const (
	maxChildren   = 10_000
	maxBatchItems = 20_000
)

// autoOr reads a number from 1, or auto, which is 0.
func autoOr(name, text string, most int) (int, error) {
	if text == "auto" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, hint.Usage(scanHelp, "%s %q: must be auto or 1 to %d", name, text, most)
	}
	return n, nil
}

// parsePercent reads a share, and gives it in percent.
func parsePercent(text string) (float64, error) {
	share, err := parseShare(text)
	if err != nil {
		return 0, err
	}
	if share > 1 {
		return 0, fmt.Errorf("%q: must be 0%% to 100%%", text)
	}
	return share * 100, nil
}

// parseInventory reads s3://BUCKET/KEY of a manifest.
func (w *scanWhat) parseInventory() error {
	if w.inventory == "" {
		return nil
	}
	rest, ok := strings.CutPrefix(w.inventory, "s3://")
	bucket, key, _ := strings.Cut(rest, "/")
	if !ok || bucket == "" || !strings.HasSuffix(key, "/manifest.json") {
		return hint.Usage("S3 writes one manifest.json with each report, below BUCKET/PREFIX/SOURCE-BUCKET/CONFIGURATION/DATE/",
			"inventory %q: must be s3://BUCKET/…/manifest.json", w.inventory)
	}
	w.inventoryObject = &fn.Inventory{Bucket: bucket, Key: key}
	return nil
}

// input is what an execution is started with, but for what only the stack or
// the lab knows.
func (w *scanWhat) input(bucket, prefix, results string) fn.Input {
	in := fn.Input{
		Event:     fetch.Event{Bucket: bucket, Concurrency: w.readConcurrency, Client: w.client, OnError: fetch.OnErrorContinue},
		Prefix:    prefix,
		Inventory: w.inventoryObject,
		Results:   fn.Results{Bucket: results},
		Tolerated: w.tolerated,
	}
	if !w.count {
		in.Event.Find, in.Event.Matches = &w.find, fetch.MatchesAll
		in.Event.FindRegexp, in.Event.Locate, in.Event.Decompress = w.regexp, w.locate, w.decompress
	}
	return in
}

// corpusOf is the objects that a scan reads, where they are known: those of the
// seed, all of them.
func corpusOf(spec *corpus.Spec, in fn.Input) *corpus.Spec {
	if spec == nil || in.Inventory != nil || in.Prefix != spec.Prefix {
		return nil
	}
	return spec
}

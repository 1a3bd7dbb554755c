package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fanout/bench/internal/bootstrap"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/network"
	"fanout/bench/internal/perf"
	"fanout/bench/internal/progress"
	"fanout/bench/internal/trial"
)

// perfFlags is what fanout perf was asked for.
type perfFlags struct {
	perf.Options
	contenders []string
	sets       []string
	networks   []string
	from       string
	verbose    bool
}

func perfCommand() *cobra.Command {
	var pf perfFlags
	c := &cobra.Command{
		Use:   "perf",
		Short: "Compare the S3 clients with each other, and with the best case",
		Long: `Compare the S3 clients, interleaved in rounds, on this machine:

  clients  stock, tuned, lean and a net/http baseline that does not sign, at
           several memory sizes: CPU per object, wall time, ratios
  floor    lean beside wrk, which neither signs nor waits, on network none
           (without wrk if it is not installed: apt-get install wrk)
  large    lean at 1,000 objects and at 100,000
  large-objects
           lean beside the SDK's Transfer Manager, which throws the bytes away:
           gigabytes in one to a hundred objects, at four memory sizes and on
           two networks, up to 7 times; takes hours: see --sets and --networks
  auto     concurrency auto beside fixed ones, at four memory sizes and on three
           networks

make perf runs all but the last, make sweep that. A ratio is the median of the
rounds' own ratios, with its 95% interval in brackets; if that is too wide, the
ratio is not given. The first line says how quiet the machine was. A client that
fails is a row, and the others continue.

Every invocation is written to a result file, in one folder per experiment,
which fanout report reads, too. --from prints such a folder again.`,
		Example: "  fanout perf --parts clients,floor,large\n  fanout perf --parts clients --contender mine=path/to/bootstrap\n" +
			"  fanout perf --from results/perf-20260102-150405",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return pf.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringSliceVar(&pf.Experiments, "parts", perf.Experiments[:3], "what to compare: "+strings.Join(perf.Experiments, ", "))
	f.IntVar(&pf.Rounds, "rounds", 9, "invocations per setting")
	f.IntVar(&pf.Workers, "concurrency", 64, "number of goroutines that read")
	memoryVar(f, &pf.MemoriesMB, nil, "memory sizes in MB, for clients (default 128, 512 and 1769), auto (3008, too) "+
		"and large-objects (512, 1769, 3008 and 10240)")
	f.IntVar(&pf.Large, "large", 100_000, "number of objects in the experiment large")
	f.StringSliceVar(&pf.sets, "sets", texts(perf.Sets), "numbers and sizes of large-objects, as COUNTxSIZE; 1 MB is 1,000,000 bytes")
	f.StringSliceVar(&pf.networks, "networks", []string{network.S3Standard.Name, network.None.Name},
		"networks of large-objects: "+strings.Join(network.Names(), ", ")+", or model files that fanout calibrate wrote")
	f.StringArrayVar(&pf.contenders, "contender", nil,
		"another for clients, as "+contenderGrammar+" (see run); may be repeated; baseline, transfermanager and go replace these")
	f.Uint64Var(&pf.Seed, "seed", 1, "seed of the order and of the network's latencies")
	f.StringVar(&pf.Dir, "out", "", "`folder` for the result files (default results/perf-DATE-TIME)")
	f.StringVar(&pf.from, "from", "", "print what this `folder` of an earlier run contains, and measure nothing")
	f.BoolVarP(&pf.verbose, "verbose", "v", false, "log what the sandbox does, on standard error")
	return c
}

func (pf *perfFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if pf.from != "" {
		return perf.Print(stdout, pf.from)
	}
	if err := pf.parse(); err != nil {
		return hint.Usage("see fanout help perf", "%w", err)
	}
	pf.Progress = progress.New(stderr)
	pf.Log = newLog(pf.Progress, pf.verbose)
	err := perf.Run(ctx, pf.Options)
	if err != nil && !errors.Is(err, perf.ErrFailed) {
		return err
	}
	if printErr := perf.Print(stdout, pf.Dir); printErr != nil {
		return errors.Join(err, printErr)
	}
	if _, printErr := io.WriteString(stdout, "results: "+pf.Dir+"\n"); printErr != nil {
		return printErr
	}
	if err != nil {
		return hint.Failed("see error and error_type in the files of "+pf.Dir, "%w", err)
	}
	return nil
}

// parse checks the flags, before anything is created.
func (pf *perfFlags) parse() error {
	now := time.Now()
	if pf.Dir == "" {
		pf.Dir = filepath.Join("results", "perf-"+now.Format("20060102-150405"))
	}
	pf.Header = trial.Header{Version: version, Run: now.UTC().Format("20060102T150405.000Z"), Host: host(), At: now.UTC()}
	pf.Own = ownContender()
	baseline := lab.Contender{
		Name: "baseline", Help: "make perf builds it",
		Embedded: bootstrap.Embedded("baseline"), Path: func(string) string { return bootstrap.Path("baseline") },
	}
	pf.TransferManager = lab.Contender{
		Name: "transfermanager", Help: "make perf builds it",
		Path: func(string) string { return bootstrap.Path("transfermanager") },
	}
	if err := pf.parseLargeObjects(); err != nil {
		return err
	}
	others, err := parseContenders(pf.contenders)
	if err != nil {
		return err
	}
	for _, c := range others {
		switch c.Name {
		case pf.Own.Name:
			pf.Own = c
		case baseline.Name:
			baseline = c
		case pf.TransferManager.Name:
			pf.TransferManager = c
		default:
			pf.Contenders = append(pf.Contenders, c)
		}
	}
	pf.Contenders = append([]lab.Contender{baseline}, pf.Contenders...)
	pf.MemoriesMB = unique(pf.MemoriesMB)
	return pf.Validate()
}

// parseLargeObjects reads what the experiment large-objects reads, and on which
// networks.
func (pf *perfFlags) parseLargeObjects() error {
	for _, text := range unique(pf.sets) {
		set, err := perf.ParseSet(text)
		if err != nil {
			return err
		}
		pf.Sets = append(pf.Sets, set)
	}
	for _, name := range unique(pf.networks) {
		n, err := network.Find(name)
		if err != nil {
			return err
		}
		pf.Networks = append(pf.Networks, n)
	}
	pf.Sets = unique(pf.Sets)
	return nil
}

func texts(sets []perf.Set) []string {
	all := make([]string, len(sets))
	for i, s := range sets {
		all[i] = s.String()
	}
	return all
}

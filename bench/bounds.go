package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/trial"
)

// boundFlags is how far a run goes.
type boundFlags struct {
	precisionFlag, budgetFlag string
	yes                       bool

	precision float64       // 0: no aim, every invocation is made
	dollars   float64       // 0: no bound
	within    time.Duration // 0: no bound
}

// precisionInvocations is the most warm invocations a setting with an aim,
// unless --invocations says otherwise.
const precisionInvocations = 50

func (b *boundFlags) add(f *pflag.FlagSet) {
	f.StringVar(&b.precisionFlag, "precision", "", "go on until the interval of every setting's warm median is within this share, such as 5%; at most --invocations times (then 50 unless given), at least 6")
	f.StringVar(&b.budgetFlag, "budget", "", "stop before this many dollars or minutes are spent, such as 0.50,20m")
	f.BoolVarP(&b.yes, "yes", "y", false, "do not ask before invocations that cost money")
}

func (b *boundFlags) parse() (err error) {
	const help = "see fanout help run"
	if b.precisionFlag != "" {
		if b.precision, err = parsePercent(b.precisionFlag); err != nil || b.precision == 0 {
			return hint.Usage(help, "precision %q: must be a share such as 5%%", b.precisionFlag)
		}
	}
	if b.dollars, b.within, err = parseBudget(b.budgetFlag); err != nil {
		return hint.Usage(help, "%w", err)
	}
	return nil
}

// parseBudget reads dollars, a duration, or both, separated by a comma.
func parseBudget(text string) (dollars float64, within time.Duration, err error) {
	if text == "" {
		return 0, 0, nil
	}
	parts := strings.Split(text, ",")
	for _, part := range parts {
		part = strings.TrimSpace(part)
		number, isDollars := strings.CutPrefix(part, "$")
		if usd, err := strconv.ParseFloat(number, 64); err == nil && usd > 0 && usd <= 1e6 && dollars == 0 {
			dollars = usd
			continue
		}
		if d, err := time.ParseDuration(part); err == nil && d > 0 && within == 0 && !isDollars {
			within = d
			continue
		}
		return 0, 0, fmt.Errorf("budget %q: must be dollars, a time, or both, such as 0.50,20m", text)
	}
	return dollars, within, nil
}

// guard holds a run to its bounds. It is a [trial.Guard].
type guard struct {
	boundFlags
	runner *trial.Runner
	prices *cost.Prices // nil: unknown, and no dollars are counted
	now    func() time.Time

	began   time.Time
	spent   float64 // dollars
	warm    map[trial.Key][]float64
	last    map[trial.Key]time.Duration // round trip
	stopped string                      // by which bound; empty: by none
}

func newGuard(b boundFlags, o report.Options, runner *trial.Runner) (*guard, error) {
	g := &guard{boundFlags: b, runner: runner, now: time.Now, warm: map[trial.Key][]float64{}, last: map[trial.Key]time.Duration{}}
	region := runner.Header.Region
	if region == "" {
		region = report.DefaultRegion
	}
	p, err := o.Prices.Prices(region)
	if err == nil {
		g.prices = &p
	} else if b.dollars > 0 {
		return nil, hint.Usage("bound the run by time: --budget 20m", "budget: %w", err)
	}
	g.began = g.now()
	return g, nil
}

// usd is what an invocation costs, at AWS's prices wherever it runs.
func (g *guard) usd(s trial.Setting, billedMS float64) float64 {
	if g.prices == nil {
		return 0
	}
	expected := g.runner.Expected
	bill, err := g.prices.Invocation(cost.Invocation{
		Arch: s.Target.Arch, MemoryMB: s.Target.MemoryMB, BilledMS: billedMS, Class: report.ClassOf(g.runner.Header),
		GETs: expected.Objects, LISTs: cost.ListRequests(expected.Objects), Bytes: expected.Bytes,
	})
	if err != nil {
		return 0 // an architecture that Lambda does not have
	}
	return bill.Total()
}

// next forecasts an invocation from the last one of its setting.
func (g *guard) next(s trial.Setting) time.Duration {
	if last, ok := g.last[s.Key()]; ok {
		return last
	}
	return g.runner.Guess(s)
}

// Before ends the run where the next step would pass the budget, and passes
// over the warm ones of a setting that is precise enough.
func (g *guard) Before(s trial.Setting, start string) trial.Decision {
	next := g.next(s)
	switch {
	case g.within > 0 && g.now().Sub(g.began)+next > g.within:
		g.stopped = fmt.Sprintf("the budget's %v", g.within)
		return trial.Stop
	case g.dollars > 0 && g.spent+g.usd(s, float64(next.Milliseconds())) > g.dollars:
		g.stopped = fmt.Sprintf("the budget's $%g", g.dollars)
		return trial.Stop
	case g.precision > 0 && start == trial.Warm && stats.Summarise(g.warm[s.Key()]).Precision() <= g.precision:
		return trial.Skip
	}
	return trial.Go
}

// Invoked adds an invocation to what is spent.
func (g *guard) Invoked(s trial.Setting, billedMS float64) { g.spent += g.usd(s, billedMS) }

// Measured adds a line to what is known.
func (g *guard) Measured(s trial.Setting, r trial.Result) {
	k := s.Key()
	g.last[k] = time.Duration(r.RoundtripMS * float64(time.Millisecond))
	if r.OK && r.Start == trial.Warm {
		g.warm[k] = append(g.warm[k], r.DurationMS)
	}
}

// estimate says what lies ahead: «33 invocations, about 2m10s, …».
func (g *guard) estimate() string {
	var took time.Duration
	var usd float64
	ahead := g.runner.Forecast()
	for _, f := range ahead {
		took += f.Time
		usd += g.usd(f.Setting, float64(f.Time.Milliseconds()))
	}
	text := fmt.Sprintf("%d invocations, about %v", len(ahead), took.Round(time.Second))
	if g.precision > 0 {
		text = "at most " + text
	}
	switch known := g.prices != nil && g.runner.Expected.Objects > 0; {
	case g.runner.Header.Backend != trial.AWS && known:
		text += fmt.Sprintf(", no money (on AWS about $%.2f)", math.Ceil(usd*100)/100)
	case g.runner.Header.Backend != trial.AWS:
		text += ", no money"
	case known:
		text += fmt.Sprintf(", about $%.2f (prices of %s, S3 requests included, no free tier)", math.Ceil(usd*100)/100, g.prices.Date)
	default:
		text += ", at a cost that is not known here"
	}
	if g.budgetFlag != "" {
		text += "; budget " + g.budgetFlag
	}
	return text
}

// confirm asks before money is spent: on AWS, unless --yes was given.
func (g *guard) confirm(ctx context.Context, in io.Reader, stderr io.Writer) error {
	if g.yes || g.runner.Header.Backend != trial.AWS {
		return nil
	}
	if f, ok := in.(*os.File); ok && !term.IsTerminal(int(f.Fd())) {
		return hint.Usage("give --yes, or a --budget and --yes", "nobody to ask whether to spend money: standard input is no terminal")
	}
	fmt.Fprint(stderr, "Go on? [y/N] ")
	answer := make(chan string, 1)
	go func() { // ends with the process where nobody answers
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return hint.Failed("nothing was measured yet", "interrupted")
	case a := <-answer:
		if a != "y" && a != "yes" {
			return hint.Failed("nothing was spent; a smaller plan or a --budget costs less", "not confirmed")
		}
	}
	return nil
}

// missed names the settings that stayed short of the precision aimed at, of
// those that were given a chance.
func (g *guard) missed(r *report.Report) []string {
	var names []string
	for _, row := range r.Rows {
		if g.precision > 0 && row.Warm.N >= stats.MinForInterval && row.Warm.Precision() > g.precision {
			names = append(names, fmt.Sprintf("%s: ±%.0f%% after %d", r.Name(row), row.Warm.Precision()*100, row.Warm.N))
		}
	}
	return names
}

package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"fanout/bench/internal/trial"
)

// progress shows how far a run is: a bar with the time left on a terminal,
// one plain line for each invocation elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
	started  time.Time

	mu   sync.Mutex
	bar  *progressbar.ProgressBar
	stop func() // ends the ticker that moves the bar within an invocation
	last int    // of count

	table *live // on a terminal, while a run goes on
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, terminal: isTerminal(out)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (p *progress) newBar(total int64, what string, options ...progressbar.Option) {
	p.bar = progressbar.NewOptions64(total, append([]progressbar.Option{
		progressbar.OptionSetWriter(p.out),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(20),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
		progressbar.OptionThrottle(100 * time.Millisecond),
	}, options...)...)
}

// begin starts a phase of total countable things.
func (p *progress) begin(what string, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		p.newBar(int64(total), what)
		return
	}
	fmt.Fprintf(p.out, "%s %d objects\n", what, total)
}

// count moves the phase's bar; calls may come from several goroutines, in any
// order.
func (p *progress) count(done, _ int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil && done > p.last {
		p.last = done
		_ = p.bar.Set(done) // a bar that cannot be drawn is no reason to stop
	}
}

// end ends the phase.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
}

// drop takes the bar off the screen.
func (p *progress) drop() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit()
		p.bar = nil
	}
	if p.table != nil {
		p.table.erase()
	}
	p.last = 0
}

// close leaves a clean line; more than once is fine.
func (p *progress) close() { p.end() }

// step shows a run's step.
func (p *progress) step(s trial.Step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started.IsZero() {
		p.started = time.Now()
		if p.terminal {
			p.newBar(int64(s.Planned), "")
			p.table = newLive(p.out)
		}
	}
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
	if !p.terminal {
		if s.Last != nil {
			fmt.Fprintf(p.out, "[%*d/%d] %s: %s%s\n", len(fmt.Sprint(s.Total)), s.Done, s.Total, describe(s), outcome(*s.Last), p.left(s))
		}
		return
	}
	if s.Last != nil {
		_ = p.bar.Clear()
		p.table.add(s.Setting, *s.Last)
	}
	p.bar.Describe(fmt.Sprintf("%d/%d %s", s.Done, s.Total, describe(s)))
	_ = p.bar.Set64(int64(s.Past))
	if s.Last == nil {
		p.stop = p.creep(s)
	}
}

// creep moves the bar along while an invocation runs, up to its own share.
func (p *progress) creep(s trial.Step) (stop func()) {
	ticker, done, ended := time.NewTicker(200*time.Millisecond), make(chan struct{}), make(chan struct{})
	began, bar := time.Now(), p.bar
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				share := min(time.Since(began), s.Weight*95/100)
				_ = bar.Set64(int64(s.Past + share))
			}
		}
	}()
	return func() { ticker.Stop(); close(done); <-ended }
}

// left forecasts the time to go from the pace so far.
func (p *progress) left(s trial.Step) string {
	if s.Past == 0 || s.Done == s.Total {
		return ""
	}
	left := time.Duration(float64(time.Since(p.started)) / float64(s.Past) * float64(s.Planned-s.Past))
	return fmt.Sprintf(", about %v left", left.Round(time.Second))
}

func describe(s trial.Step) string { return s.Setting.Key().Short() + " " + s.Start }

func outcome(r trial.Result) string {
	switch {
	case r.OK:
		return fmt.Sprintf("%.0f ms", r.DurationMS)
	case r.OutOfMemory():
		return "out of memory"
	case r.TimedOut():
		return "timed out"
	}
	return "failed, " + r.ErrorType
}

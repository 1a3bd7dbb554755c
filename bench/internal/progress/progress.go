// Package progress shows how far a command is. [New] gives a [Progress] for
// phases and for the steps of a run: on a terminal a frame with a bar, the times
// and a table, elsewhere plain lines.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
)

// Progress shows how far a command is: on a terminal a frame with a bar, the
// time elapsed and left, and during a run a table that fills in; elsewhere a
// plain line for each phase and each invocation.
//
// The frame is drawn a few times a second whatever happens meanwhile, so that
// showing progress takes next to no time from what is measured.
type Progress struct {
	out    io.Writer
	screen *term.Screen // nil: no terminal
	now    func() time.Time
	every  time.Duration // between two drawings
	stop   func()        // ends the drawing; nil: nothing is drawn

	mu    sync.Mutex
	phase *phase // nil: none
	table table
}

// phase is something under way that can be counted.
type phase struct {
	what, unit  string // "seeding", "objects" or "objects, 51 GB"
	started     time.Time
	done, total int
	steps       bool   // of a run
	lines       Lines  // shown instead of what is counted
	doing       string // which step
	timeLeft    timeLeft
	share       float64 // of the bar; it never goes back
}

// New shows progress on out.
func New(out io.Writer) *Progress {
	p := &Progress{out: out, now: time.Now, every: 200 * time.Millisecond}
	if f, ok := out.(*os.File); ok && term.Is(out) {
		p.screen = term.NewScreen(f)
	}
	return p
}

// Write writes text above what is shown, such as log lines.
func (p *Progress) Write(text []byte) (int, error) {
	if p.screen != nil {
		return p.screen.Write(text)
	}
	return p.out.Write(text)
}

// Begin starts a phase of so many objects, such as "seeding".
func (p *Progress) Begin(what string, total int) { p.BeginOf(what, total, "objects") }

// BeginOf starts a phase of so many things of another kind.
func (p *Progress) BeginOf(what string, total int, unit string) { p.beginOf(what, total, unit, "") }

// BeginSized starts a phase of so many objects, and says how large they are in
// all, in words such as "51 GB".
func (p *Progress) BeginSized(what string, total int, size string) {
	p.beginOf(what, total, "objects", ", "+size)
}

func (p *Progress) beginOf(what string, total int, unit, size string) {
	if total == 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	unit += size
	p.begin(&phase{what: what, unit: unit, total: total, started: p.now()})
	if p.screen == nil {
		fmt.Fprintf(p.out, "%s %d %s\n", what, total, unit)
	}
}

// Count says how many of the phase's objects are done. Calls may come from
// several goroutines, in any order; the total is the phase's own.
func (p *Progress) Count(done, _ int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ph := p.phase; ph != nil && done > ph.done {
		ph.done = done
		if elapsed := p.now().Sub(ph.started); ph.total > 0 {
			ph.timeLeft.set(p.now(), time.Duration(float64(elapsed)/float64(done)*float64(ph.total-done)))
		}
	}
}

// Step shows a step of a run. The first one begins the phase; [Progress.End]
// ends it.
func (p *Progress) Step(s trial.Step) {
	p.mu.Lock()
	ph, first := p.phase, false
	if ph == nil || !ph.steps {
		ph, first = &phase{steps: true, started: p.now(), total: s.Total}, true
		ph.timeLeft.set(p.now(), s.Left)
		ph.timeLeft.known = s.Left > 0
	}
	ph.done, ph.total, ph.doing = s.Done, s.Total, describe(s)
	if s.Last != nil {
		ph.timeLeft.adjust(p.now(), s.Left)
		if p.screen != nil {
			p.table.add(s.Setting, *s.Last)
		}
	}
	elapsed, left := p.now().Sub(ph.started), ph.timeLeft.at(p.now())
	p.mu.Unlock()
	if first {
		p.begin(ph)
		if p.screen == nil {
			fmt.Fprintf(p.out, "%d invocations to measure; warm-ups are not counted\n", s.Total)
		}
	}
	if p.screen == nil && s.Last != nil {
		fmt.Fprintf(p.out, "[%*d/%d] %s: %s", len(fmt.Sprint(s.Total)), s.Done, s.Total, term.Clean(describe(s)), term.Clean(outcome(*s.Last)))
		if s.Done < s.Total && s.Left > 0 {
			fmt.Fprintf(p.out, ", elapsed %s, left about %s", Short(elapsed), Short(left))
		}
		fmt.Fprintln(p.out)
	}
}

// Lines gives what to show on a terminal of this size.
type Lines func(columns, rows int) []string

// Show shows lines in place of a phase, made anew at each drawing; without a
// terminal it shows nothing, and says so. [Progress.End] ends it.
func (p *Progress) Show(lines Lines) (shown bool) {
	p.begin(&phase{lines: lines, started: p.now()})
	return p.screen != nil
}

// End ends the phase, or the run, and takes the frame off the terminal. More
// than once is fine.
func (p *Progress) End() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
		p.screen.Clear()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase, p.table = nil, table{}
}

// begin shows a phase in place of the one before.
func (p *Progress) begin(ph *phase) {
	p.mu.Lock()
	p.phase = ph
	p.mu.Unlock()
	if p.screen == nil || p.stop != nil {
		return
	}
	p.screen.Show(p.frame)
	ticker, done, ended := time.NewTicker(p.every), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				p.screen.Draw()
			}
		}
	}()
	p.stop = func() { ticker.Stop(); close(done); <-ended }
}

// frame is what a terminal of this size shows: the table, the bar with what is
// counted, and the times.
func (p *Progress) frame(columns, rows int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ph := p.phase
	if ph == nil {
		return nil
	}
	if ph.lines != nil {
		return ph.lines(columns, rows)
	}
	const below = 2 // the bar and the times
	lines := p.table.lines(columns-1, rows-1-below)
	now := p.now()
	elapsed, left := now.Sub(ph.started), ph.timeLeft.at(now)
	times := "elapsed " + Short(elapsed)
	if ph.timeLeft.known {
		times += ", left about " + Short(left)
	}
	counted := fmt.Sprintf("%s: %d of %d %s", ph.what, ph.done, ph.total, ph.unit)
	share := float64(ph.done) / float64(max(ph.total, 1))
	if ph.steps {
		// As wide from the first to the last, so that the bar stays where it is.
		counted = fmt.Sprintf("%*d of %d measured (warm-ups not counted)", len(fmt.Sprint(ph.total)), ph.done, ph.total)
		times += ": " + ph.doing
		if ph.timeLeft.known {
			share = float64(elapsed) / float64(max(elapsed+left, 1))
		}
	}
	ph.share = min(max(ph.share, share), 1)
	return append(lines, Bar(columns-1, ph.share, counted), times)
}

// Bar is a line of at most so many columns with a bar and a text; a narrow
// terminal gets the text alone.
func Bar(columns int, share float64, text string) string {
	const widest, narrowest = 40, 8
	inside := min(columns-term.Width(text)-len("[] "), widest)
	if inside < narrowest {
		return text
	}
	filled := int(share * float64(inside))
	drawn := strings.Repeat("=", filled)
	if filled < inside {
		drawn += ">"
	}
	return fmt.Sprintf("[%-*.*s] %s", inside, inside, drawn, text)
}

// timeLeft is a forecast that counts down between two adjustments, and moves
// smoothly to each new one.
type timeLeft struct {
	known    bool
	adjusted int
	when     time.Time
	left     time.Duration
}

// smoothing is how much of the difference to a new forecast is taken over at
// once; of the first few, more.
const smoothing = 0.3

// set starts anew with a forecast.
func (t *timeLeft) set(now time.Time, forecast time.Duration) {
	t.known, t.when, t.left = true, now, forecast
}

// adjust takes a new forecast.
func (t *timeLeft) adjust(now time.Time, forecast time.Duration) {
	t.adjusted++
	shown := t.at(now)
	weight := max(smoothing, 1/float64(t.adjusted))
	t.set(now, shown+time.Duration(weight*float64(forecast-shown)))
}

// at is what is left at a time.
func (t *timeLeft) at(now time.Time) time.Duration { return max(t.left-now.Sub(t.when), 0) }

// Short is a duration to read at a glance: "8s", "2m10s", "1h5m".
func Short(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return d.Round(10 * time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

func describe(s trial.Step) string { return s.Setting.Key().Short() + " " + s.Start }

// outcome says in a few words how an invocation ended.
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

package scan

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"fanout/bench/internal/progress"
	"fanout/bench/internal/table"
)

// Live is what is shown of a job while it runs. It can be used from several
// goroutines.
type Live struct {
	Expected int64 // objects, if known before; 0: what the Map Run has counted
	Began    time.Time
	Ended    time.Time // zero: it runs
	Local    bool      // the job costs nothing here

	now     func() time.Time // nil: time.Now
	mu      sync.Mutex
	samples []Sample // the last ones, over rateWindow
}

// rateWindow is over how long a rate is taken: long enough for several batches
// to end.
const rateWindow = 15 * time.Second

// Add takes a new sample.
func (l *Live) Add(s Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.samples); n > 0 && s.Items.Succeeded < l.samples[n-1].Items.Succeeded {
		l.samples = nil // redriven
	}
	l.samples = append(l.samples, s)
	for len(l.samples) > 2 && s.At.Sub(l.samples[1].At) >= rateWindow {
		l.samples = l.samples[1:]
	}
}

// progressed is what is known of a job by now.
type progressed struct {
	Sample
	total         int64
	perSecond     float64 // objects, over the window; 0: not known
	bytesASecond  float64
	left, elapsed time.Duration
	local         bool
}

// at gives what is known at a time; ok is false before the first sample.
func (l *Live) at(now time.Time) (p progressed, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.samples) == 0 {
		return p, false
	}
	first, last := l.samples[0], l.samples[len(l.samples)-1]
	p = progressed{Sample: last, total: max(last.Items.Total, l.Expected), elapsed: now.Sub(l.Began), local: l.Local}
	if seconds := last.At.Sub(first.At).Seconds(); seconds > 0 {
		p.perSecond = float64(last.Items.Succeeded-first.Items.Succeeded) / seconds
	}
	if last.Items.Succeeded > 0 {
		p.bytesASecond = p.perSecond * float64(last.Bytes) / float64(last.Items.Succeeded)
	}
	if p.perSecond > 0 && (p.Phase != Listing || l.Expected > 0) { // while it lists, nobody else knows how many there are
		p.left = time.Duration(float64(p.total-last.Items.Done()) / p.perSecond * float64(time.Second))
	}
	return p, true
}

func (l *Live) time() time.Time {
	if !l.Ended.IsZero() {
		return l.Ended
	}
	if l.now != nil {
		return l.now()
	}
	return time.Now()
}

// Lines draws it.
func (l *Live) Lines(columns, _ int) []string {
	now := l.time()
	p, ok := l.at(now)
	if !ok {
		return []string{"starting: elapsed " + progress.Short(now.Sub(l.Began))}
	}
	share := float64(p.Items.Done()) / float64(max(p.total, 1))
	times := fmt.Sprintf("%s: elapsed %s", p.doing(), progress.Short(p.elapsed))
	if p.left > 0 && p.Phase != Merging {
		times += ", left about " + progress.Short(p.left)
	}
	return append([]string{progress.Bar(columns-1, min(share, 1), p.counted())}, wrap(append([]string{times}, p.figures()...), columns-1)...)
}

// Line is the same for a file or a pipe.
func (l *Live) Line() string {
	now := l.time()
	p, ok := l.at(now)
	if !ok {
		return "starting"
	}
	parts := append([]string{p.doing() + ": " + p.counted()}, p.figures()...)
	parts = append(parts, "elapsed "+progress.Short(p.elapsed))
	if p.left > 0 && p.Phase != Merging && p.Phase != Ended {
		parts = append(parts, "left about "+progress.Short(p.left))
	}
	return strings.Join(parts, ", ")
}

// doing is the phase in words: objects are read while the service still lists.
func (p progressed) doing() string {
	if p.Phase == Listing && p.Items.Done() > 0 {
		return "listing and reading"
	}
	return p.Phase
}

// counted is how many objects are done with: while the job runs, with those of
// batches that failed; in the end, those that were read.
func (p progressed) counted() string {
	done := p.Items.Done()
	if p.Phase == Ended {
		done = p.Items.Succeeded
	}
	return fmt.Sprintf("%s of %s objects", table.Grouped(float64(done)), table.Grouped(float64(p.total)))
}

// figures are the rest, the most important first.
func (p progressed) figures() []string {
	var all []string
	if p.perSecond > 0 {
		all = append(all, table.Grouped(p.perSecond)+" objects/s")
	}
	if p.bytesASecond > 0 {
		all = append(all, Rate(p.bytesASecond))
	}
	switch {
	case p.USD > 0 && p.local:
		all = append(all, "on AWS "+table.Dollars(p.USD)+" so far")
	case p.USD > 0:
		all = append(all, table.Dollars(p.USD)+" so far")
	}
	if n := p.Batches.Running; n > 0 {
		all = append(all, fmt.Sprintf("%s at once", batches(n)))
	}
	if n := p.Batches.Failed + p.Batches.TimedOut; n > 0 {
		all = append(all, fmt.Sprintf("%s failed", batches(n)))
	}
	if n := p.Batches.Aborted; n > 0 {
		all = append(all, fmt.Sprintf("%s stopped", batches(n)))
	}
	return all
}

func batches(n int64) string {
	if n == 1 {
		return "1 batch"
	}
	return table.Grouped(float64(n)) + " batches"
}

// Rate is bytes a second in words: "2.1 MB/s", "1.25 GB/s".
func Rate(bytesASecond float64) string { return Size(bytesASecond) + "/s" }

// Size is a number of bytes in words, by powers of 1,000: "24.6 kB".
func Size(bytes float64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	i := 0
	for bytes >= 999.5 && i < len(units)-1 {
		bytes /= 1000
		i++
	}
	return table.Number(bytes) + " " + units[i]
}

// wrap puts parts on lines of so many columns, with commas between them.
func wrap(parts []string, columns int) []string {
	var lines []string
	for _, part := range parts {
		last := len(lines) - 1
		if last >= 0 && len([]rune(lines[last]))+2+len([]rune(part)) <= columns {
			lines[last] += ", " + part
			continue
		}
		lines = append(lines, part)
	}
	return lines
}

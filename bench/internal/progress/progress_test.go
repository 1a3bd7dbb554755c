package progress

import (
	"bytes"
	"testing"
	"time"

	"fanout/bench/internal/trial"
)

// testClock is a clock that stands still until it is moved.
type testClock struct{ at time.Time }

func (c *testClock) now() time.Time { return c.at }

// On what is no terminal: a line for each phase and each invocation, clean.
func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	p := New(&out)
	clock := &testClock{}
	p.now = clock.now
	p.Begin("seeding", 60)
	p.Count(60, 60)
	p.End()
	for _, total := range []int{20, 1} {
		p.BeginSized("computing the right answer from", total, "5.37 GB")
		p.End()
	}
	setting := trial.Setting{Target: trial.Target{Contender: "go", MemoryMB: 128}, Client: "lean"}
	s := trial.Step{Total: 14, Left: 75 * time.Second, Setting: setting, Start: trial.Cold}
	for _, last := range []*trial.Result{nil, {OK: true, DurationMS: 12.4}, nil, {ErrorType: "\x1b[2JBad\nthing"}} {
		if s.Last = last; last != nil {
			s.Done++
			clock.at = clock.at.Add(3 * time.Second)
		}
		p.Step(s)
	}
	s.Done, s.Last, s.Left = 14, &trial.Result{ErrorType: "Sandbox.Timedout"}, 0
	p.Step(s)
	p.End()
	want := `seeding 60 objects
computing the right answer from 20 objects, 5.37 GB
computing the right answer from 1 object, 5.37 GB
14 invocations to measure; warm-ups are not counted
[ 1/14] go 128 MB lean auto cold: 12 ms, elapsed 3s, left about 1m15s
[ 2/14] go 128 MB lean auto cold: failed, Bad thing, elapsed 6s, left about 1m14s
[14/14] go 128 MB lean auto cold: timed out
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

// The time left counts down by itself, takes the first measurement's word for
// it, and later moves a part of the way to each new forecast.
func TestTimeLeft(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	var left timeLeft
	left.set(at(0), 100*time.Second) // guessed
	left.adjust(at(10), 200*time.Second)
	if got := left.at(at(20)); got != 190*time.Second {
		t.Errorf("%v after the first measurement, want 190s", got)
	}
	left.adjust(at(20), 180*time.Second)
	left.adjust(at(20), 180*time.Second)
	left.adjust(at(20), 283*time.Second)
	if got := left.at(at(21)); got < 212*time.Second || got > 213*time.Second {
		t.Errorf("%v, want 0.3 of the way from 183 to 283, less a second", got)
	}
	if got := left.at(at(1000)); got != 0 {
		t.Errorf("%v, want nothing below 0", got)
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 400 * time.Millisecond: "0s", 119 * time.Second: "1m59s", 134 * time.Second: "2m10s",
		20 * time.Minute: "20m0s", time.Hour: "1h0m", 65*time.Minute + 20*time.Second: "1h5m", 30 * time.Hour: "30h0m",
	} {
		if got := Short(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// What may have been cold or warm is a sample of neither, as in the report.
func TestUnknownStart(t *testing.T) {
	setting := trial.Setting{Target: trial.Target{Contender: "go", MemoryMB: 128}, Client: "lean"}
	var known table
	known.add(setting, trial.Result{OK: true, Start: trial.Unknown, DurationMS: 900})
	known.add(setting, trial.Result{OK: true, Start: trial.Warm, DurationMS: 12})
	row := known.rows[setting.Key()]
	if len(row.cold) != 0 || len(row.warm) != 1 || row.warm[0] != 12 {
		t.Errorf("warm %v, cold %v; want one warm of 12 ms", row.warm, row.cold)
	}
}

package scan

import (
	"fmt"
	"io"
	"strings"
	"time"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/scan/forecast"
	"fanout/bench/internal/table"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
)

// WriteText says in a few lines what a scan found, what it took, and what is
// left to do: all of it from the file.
func WriteText(w io.Writer, f File) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "%s\n", term.Clean(fmt.Sprintf(format, args...))) }
	h, e := f.Header, f.End
	reason := e.Reason
	if reason == "" {
		reason = "no closing line: the command was killed"
	}
	if e.Text != "" {
		reason += ": " + e.Text
	}
	line("job %s: %s", h.Job, reason)
	if f.Summary == nil {
		if n := len(f.Samples); n > 0 {
			c := f.Samples[n-1].Items
			line("%s of %s objects read when last seen", table.Grouped(float64(c.Succeeded)), table.Grouped(float64(c.Total)))
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	s := *f.Summary
	line("%s", s.read())
	if rate := s.rates(); rate != "" {
		line("%s", rate)
	}
	if h.Input.Event.Find != nil {
		line("%s", plural(s.Matches, "match", "matches"))
	}
	for _, kind := range s.Failures {
		text := fmt.Sprintf("not read: %s: %s", objectCount(kind.Count), kind.Error)
		if len(kind.Keys) > 0 {
			text += fmt.Sprintf(", such as %s: %s", TextKey(kind.Keys[0]), kind.Message)
		}
		line("%s", text)
	}
	if n := s.Missing(); n > 0 && e.Reason != Changed {
		line("not read: %s in batches that failed or were stopped", objectCount(n))
	}
	line("digest %s%s", s.Digest, s.expectation())
	if s.Bill.Total() > 0 {
		on := ""
		if h.Backend == trial.Sandbox {
			on = "on AWS at these times: "
		}
		line("%s%s", on, Dollars(s.Bill, s.Objects))
	}
	if h.Backend == trial.Sandbox {
		line("These are sandbox times, not AWS times.")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// read says how much was read of how much.
func (s Summary) read() string {
	what := objectCount(s.Objects) + " read"
	if listed := max(s.Total, s.Keys); listed > s.Objects {
		what = fmt.Sprintf("%s of the %s listed were read", table.Grouped(float64(s.Objects)), objectCount(listed))
	}
	return fmt.Sprintf("%s, %s, in %s", what, Size(float64(s.Bytes)), forecast.Duration(s.time()))
}

func (s Summary) time() time.Duration { return time.Duration(s.Seconds() * float64(time.Second)) }

// rates are how fast that was; empty: nothing was read.
func (s Summary) rates() string {
	seconds := s.Seconds()
	if s.Objects == 0 || seconds <= 0 {
		return ""
	}
	text := fmt.Sprintf("%s objects/s, %s, in %s, %.1f at once; %.2f ms of CPU per object",
		table.Grouped(float64(s.Objects)/seconds), Rate(float64(s.Bytes)/seconds), plural(int64(s.Parts), "batch", "batches"),
		s.BusyMS/1000/seconds, s.CPUMS/float64(s.Objects))
	if s.Retries > 0 {
		text += ", " + plural(s.Retries, "retried GET", "retried GETs")
	}
	return text
}

// expectation is how what was found compares with what is expected.
func (s Summary) expectation() string {
	e := s.Expected
	switch {
	case e == nil:
		return ""
	case e.Right && e.Match != "":
		return ", as the objects' seed has it, and so is the match"
	case e.Right:
		return ", as the objects' seed has it"
	case s.Digest != e.Digest || s.Objects != e.Objects:
		return fmt.Sprintf(": wrong, the objects' seed has %s, %s", e.Digest, objectCount(e.Objects))
	case e.Match != "":
		return ", as the objects' seed has it; but only " + e.Match + " has the needle"
	}
	return ", as the objects' seed has it; but the rest is wrong"
}

// leastShare is what a part of a bill is shown from on.
const leastShare = 0.0005

// Dollars says what reading so many objects costs, and for what.
func Dollars(b cost.Bill, objects int64) string {
	var parts []string
	for _, g := range groups(b) {
		if part := b.Of(g); part >= leastShare*b.Total() {
			parts = append(parts, g.Title+" "+table.Share(part/b.Total()))
		}
	}
	text := table.Dollars(b.Total())
	if objects > 0 {
		text += fmt.Sprintf(", %s per million objects", table.Dollars(b.Total()/float64(objects)*1e6))
	}
	return text + ": " + strings.Join(parts, ", ")
}

func objectCount(n int64) string { return plural(n, "object", "objects") }

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return table.Grouped(float64(n)) + " " + many
}

// Unread says how many objects were not read: "1 object was not read".
func Unread(n int64) string {
	if n == 1 {
		return "1 object was not read"
	}
	return objectCount(n) + " were not read"
}

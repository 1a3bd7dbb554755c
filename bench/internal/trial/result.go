package trial

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// Backends: where the functions ran.
const (
	AWS      = "aws"
	Sandbox  = "sandbox"  // this machine: its times are never AWS times
	Endpoint = "endpoint" // something else that speaks the Lambda API: not AWS times either
)

// Result is one invocation. Units are in the names: milliseconds with a
// fraction, MB of 2^20 bytes.
type Result struct {
	Run         string        `json:"run"`
	Backend     string        `json:"backend"`
	Host        string        `json:"host"`
	Contender   string        `json:"contender"`
	Function    string        `json:"function"`
	MemoryMB    int           `json:"memory_mb"`
	Arch        string        `json:"arch"`
	Client      string        `json:"client"`      // empty: the contender's own
	Concurrency int           `json:"concurrency"` // asked for; 0: the function's own choice
	Start       string        `json:"start"`       // Cold, Warm or Unknown
	Seq         int           `json:"seq"`
	Event       string        `json:"event,omitempty"` // of several of the caller's own: the name of the one that was sent
	OK          bool          `json:"ok"`
	ErrorType   string        `json:"error_type,omitempty"`
	Error       string        `json:"error,omitempty"`
	Log         string        `json:"log,omitempty"`     // of a failed one: the end of what the function logged
	InitMS      float64       `json:"init_ms,omitempty"` // cold ones only
	DurationMS  float64       `json:"duration_ms"`       // from REPORT
	BilledMS    float64       `json:"billed_ms"`
	MaxMemoryMB int           `json:"max_memory_mb"`
	RoundtripMS float64       `json:"roundtrip_ms"`             // the last Invoke, as its caller saw it
	APIRetries  int           `json:"api_retries,omitempty"`    // Invoke calls before it that Lambda throttled, or that failed in passing
	ProcessMS   *float64      `json:"process_cpu_ms,omitempty"` // sandbox: CPU of the whole process during the invocation
	Limits      lambda.Limits `json:"limits,omitzero"`          // sandbox: how this process was limited
	Runtime     string        `json:"runtime,omitempty"`        // sandbox: the managed runtime that was asked for, such as python3.13
	RanBy       string        `json:"ran_by,omitempty"`         // sandbox: what ran it, such as "Python 3.11.7, awslambdaric 4.2.2"
	Note        string        `json:"note,omitempty"`           // what is unusual about the figures
	Stats       *fetch.Stats  `json:"stats,omitempty"`
	At          time.Time     `json:"at"` // when it was sent
}

// Error types that are neither the function's nor Lambda's.
const (
	WrongAnswer  = "WrongAnswer"  // the invocation ended well, with an answer that is not true
	InvokeFailed = "InvokeFailed" // no answer came from the Lambda API
)

// OutOfMemory says whether the process was killed for memory. Where Lambda does
// not say so, a killed process is all that shows of it, which is taken for it if
// the process had used its memory up, or if nobody knows how much it used.
func (r Result) OutOfMemory() bool {
	if r.ErrorType != lambda.ExitError || !strings.Contains(r.Error, "signal: killed") {
		return r.ErrorType == lambda.OutOfMemory
	}
	limit := r.MemoryMB
	if r.Limits.MemoryMB > 0 {
		limit = r.Limits.MemoryMB
	}
	return r.MaxMemoryMB == 0 || r.MaxMemoryMB*100 >= limit*95
}

// TimedOut says whether the function ran into its time limit, or stopped just
// before it.
func (r Result) TimedOut() bool {
	return r.ErrorType == lambda.TimedOut || r.ErrorType == fetch.DeadlineNear
}

// Bounds of what a line holds, so that whatever a contender answers its line
// can be read again.
const (
	maxTextBytes = 4 << 10 // an error, a log's end, a note
	maxNameBytes = 256     // an error's type, a client's name
	maxFigure    = 1e15    // milliseconds are 31,000 years
)

// cut bounds a text, and says where it did. What is not UTF-8 is replaced.
func cut(text string, limit int) string {
	const mark = " … (cut)"
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	keep := limit - len(mark)
	for !utf8.RuneStart(text[keep]) {
		keep--
	}
	return text[:keep] + mark
}

// cutFront bounds a log, of which the end matters.
func cutFront(text string, limit int) string {
	const mark = "(cut) … "
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	from := len(text) - limit + len(mark)
	for !utf8.RuneStart(text[from]) {
		from++
	}
	return mark + text[from:]
}

// bound cuts a line's texts to what a line may hold.
func (r *Result) bound() {
	r.ErrorType, r.Client = cut(r.ErrorType, maxNameBytes), cut(r.Client, maxNameBytes)
	r.Runtime, r.RanBy = cut(r.Runtime, maxNameBytes), cut(r.RanBy, maxNameBytes)
	r.Error, r.Note, r.Log = cut(r.Error, maxTextBytes), cut(r.Note, maxTextBytes), cutFront(r.Log, maxTextBytes)
}

// Validate says what figure of a line can be none of an invocation's, by the
// line's own name for it.
func (r Result) Validate() error {
	switch r.Start {
	case Cold, Warm, Unknown:
	default:
		return fmt.Errorf("start %q: must be %s, %s or %s", cut(r.Start, maxNameBytes), Cold, Warm, Unknown)
	}
	if r.MemoryMB < 1 { // there is no upper bound: an emulator may have sizes that Lambda has not
		return fmt.Errorf("memory_mb %d: must be above 0", r.MemoryMB)
	}
	var cpu float64
	if r.ProcessMS != nil {
		cpu = *r.ProcessMS
	}
	err := cmp.Or(
		checkFigure("concurrency", float64(r.Concurrency)), checkFigure("seq", float64(r.Seq)),
		checkFigure("init_ms", r.InitMS), checkFigure("duration_ms", r.DurationMS), checkFigure("billed_ms", r.BilledMS),
		checkFigure("max_memory_mb", float64(r.MaxMemoryMB)), checkFigure("roundtrip_ms", r.RoundtripMS),
		checkFigure("process_cpu_ms", cpu), checkFigure("api_retries", float64(r.APIRetries)),
	)
	if err == nil && r.Stats != nil {
		err = checkStats(*r.Stats)
	}
	return err
}

// checkFigure refuses a negative figure, and one that nothing takes.
func checkFigure(name string, v float64) error {
	if !(v >= 0 && v <= maxFigure) {
		return fmt.Errorf("%s %g: must be 0 or more, and no more than %g", name, v, float64(maxFigure))
	}
	return nil
}

// checkStats refuses what no contender can have counted.
func checkStats(s fetch.Stats) error {
	err := cmp.Or(
		checkFigure("stats.objects", float64(s.Objects)), checkFigure("stats.bytes", float64(s.Bytes)),
		checkFigure("stats.errors", float64(s.Errors)), checkFigure("stats.retries", float64(s.Retries)),
		checkFigure("stats.connections", float64(s.Connections)), checkFigure("stats.list_ms", s.ListMS),
		checkFigure("stats.cpu_ms", s.CPUMS), checkFigure("stats.max_rss_mb", s.MaxRSSMB),
		checkFigure("stats.concurrency", float64(s.Concurrency)), checkFigure("stats.connect_min_ms", orZero(s.ConnectMinMS)),
	)
	for _, v := range []*float64{s.TTFBP50MS, s.TTFBP99MS} {
		if v != nil {
			err = cmp.Or(err, checkFigure("stats.ttfb", *v))
		}
	}
	if len(s.Client) > maxNameBytes || len(s.Digest) > maxNameBytes {
		err = cmp.Or(err, fmt.Errorf("stats.client and stats.digest: must be %d bytes at most", maxNameBytes))
	}
	return err
}

// orZero is a figure that may be missing.
func orZero(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

package scan

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/network"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

// FileName is what a scan's result file is called inside its folder: as that
// of a run, from which its first line tells it.
const FileName = trial.FileName

// schema is the version of the file format; [Read] refuses a newer one.
const schema = 1

// Header is the first line of a scan's result file: what was asked for, and of
// what. The lines after it are [Sample]s, in the order of time; in between, a
// [Mark] for each redrive; in the end a [Summary] of the parts, if the job got
// so far, and an [End]. A file that is completed later, by status, result or
// redrive, goes on after its End with lines of the same kinds: the last Summary
// and the last End count.
type Header struct {
	Schema    int    `json:"fanout_scan"` // version of this format
	Version   string `json:"version"`     // of the command
	Job       string `json:"job"`         // name of the execution
	Execution string `json:"execution_arn"`
	Stack     string `json:"stack,omitempty"` // name of the stack that has the state machine
	Backend   string `json:"backend"`         // as in trial: aws, sandbox, endpoint
	Host      string `json:"host"`            // kind of machine, or "AWS Lambda, REGION"
	Region    string `json:"region,omitempty"`
	Network   string `json:"network,omitempty"` // sandbox: what the embedded S3 modelled
	// Model is that of a model file, whole; nil: Network is one of the built-in ones.
	Model     *network.Model `json:"model,omitempty"`
	Bandwidth string         `json:"bandwidth,omitempty"` // lambda.QuotaBandwidth if it grew with the memory size
	Limits    lambda.Limits  `json:"limits,omitzero"`     // sandbox: how CPU and memory were limited, or why not
	Lab       *Lab           `json:"lab,omitempty"`       // sandbox: what else it takes to go on with the job
	Input     fn.Input       `json:"input"`               // of the execution
	Function  Function       `json:"function"`            // which reads the batches
	Children  string         `json:"children"`            // type of the child executions: EXPRESS or STANDARD
	Corpus    *corpus.Spec   `json:"corpus,omitempty"`    // the objects, where they are the seed's; nil: somebody's own
	Class     string         `json:"storage_class,omitempty"`
	Prices    string         `json:"prices,omitempty"` // date of the table of prices
	Estimate  *Estimate      `json:"estimate,omitempty"`
	Tolerated float64        `json:"tolerated_percent"`
	Budget    float64        `json:"budget_usd,omitempty"` // 0: none
	At        time.Time      `json:"at"`
}

// NetworkModel is what lay between the functions and their objects; the zero
// Model on AWS, where nobody knows.
func (h Header) NetworkModel() network.Model {
	return network.Of(h.Network, h.Model, h.Bandwidth == lambda.QuotaBandwidth)
}

// BandwidthOf is what its function had, in bytes a second; 0: it was not limited.
func (h Header) BandwidthOf() float64 {
	if m := h.NetworkModel(); m.Name != "" {
		return m.BandwidthOf(h.Function.MemoryMB)
	}
	return lambda.Bandwidth(h.Function.MemoryMB, h.Bandwidth == lambda.QuotaBandwidth)
}

// Function is the one that the state machine invokes. Zero values: not known.
type Function struct {
	Name     string `json:"name,omitempty"`
	MemoryMB int    `json:"memory_mb,omitempty"`
	Arch     string `json:"arch,omitempty"`
}

// Lab is what of a sandbox stands nowhere else in the header.
type Lab struct {
	TimeoutS int    `json:"timeout_s"` // of the function
	Seed     uint64 `json:"seed"`      // of the network's latencies
	NoLimits bool   `json:"no_limits,omitempty"`
}

// Estimate is what was said before the start.
type Estimate struct {
	Objects int64     `json:"objects"` // 0: not known
	Seconds float64   `json:"seconds"`
	Limit   string    `json:"limit"` // which limit binds, by name
	Bill    cost.Bill `json:"bill"`
}

// Phases of a job.
const (
	Listing = "listing" // the Map Run still lists: its total grows
	Reading = "reading"
	Merging = "merging" // every batch has ended; the parts are added up
	Ended   = "ended"
)

// Sample is the state of the job at one time, as DescribeMapRun tells it.
type Sample struct {
	At      time.Time `json:"at"`
	Phase   string    `json:"phase"`
	Items   Counts    `json:"items"`   // objects
	Batches Counts    `json:"batches"` // child executions
	// Bytes of the bodies read so far, BusyMS the batches' time in all, and USD
	// what that costs by now: estimates from a sample of the parts, as Parts says
	// of how many. 0: nothing is known yet.
	Bytes  int64   `json:"bytes,omitempty"`
	BusyMS float64 `json:"busy_ms,omitempty"`
	USD    float64 `json:"usd,omitempty"`
	Parts  int     `json:"parts_sampled,omitempty"`
}

// Counts are a Map Run's of its items or of its child executions.
type Counts struct {
	Total     int64 `json:"total"`
	Pending   int64 `json:"pending"`
	Running   int64 `json:"running"`
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	TimedOut  int64 `json:"timed_out"`
	Aborted   int64 `json:"aborted"`
	Written   int64 `json:"results_written"` // by ResultWriter
}

// Done is how many have come to an end, whatever it was.
func (c Counts) Done() int64 { return c.Succeeded + c.Failed + c.TimedOut + c.Aborted }

// Lost is how many have come to another end than success.
func (c Counts) Lost() int64 { return c.Failed + c.TimedOut + c.Aborted }

// Mark is a line that says that something was done to the job.
type Mark struct {
	Mark string    `json:"fanout_mark"` // Redriven
	At   time.Time `json:"at"`
}

// Redriven says that the execution was started again where it had failed.
const Redriven = "redriven"

// Summary is the sum of a job's parts.
type Summary struct {
	Parts    int           `json:"fanout_parts"`
	Total    int64         `json:"total"`   // objects that the Map Run counted; 0: not known
	Keys     int64         `json:"keys"`    // in the parts
	Objects  int64         `json:"objects"` // read whole
	Bytes    int64         `json:"bytes"`   // of those
	Digest   string        `json:"digest"`  // of those, see fetch.Digest
	Matches  int64         `json:"matches"`
	First    string        `json:"first_match,omitempty"` // the least of the matching keys
	Failures []FailureKind `json:"failures,omitempty"`    // by kind, the most frequent first
	Retries  int64         `json:"retries"`               // of GETs
	CPUMS    float64       `json:"cpu_ms"`
	BusyMS   float64       `json:"busy_ms"`    // the parts' times in all
	Started  int64         `json:"started_ms"` // of the first part, Unix milliseconds
	Ended    int64         `json:"ended_ms"`   // of the last part
	Timeline Timeline      `json:"timeline"`
	Expected *Expected     `json:"expected,omitempty"` // nil: nobody knows what the objects hold
	Bill     cost.Bill     `json:"bill,omitempty"`     // nil: the table of prices does not have the region
}

// Failed is how many keys could not be read.
func (s Summary) Failed() int64 {
	var n int64
	for _, f := range s.Failures {
		n += f.Count
	}
	return n
}

// Gone is how many of those keys were listed, and had no object when they were
// to be read.
func (s Summary) Gone() int64 {
	for _, f := range s.Failures {
		if f.Error == fetch.NoSuchKey {
			return f.Count
		}
	}
	return 0
}

// Missing is how many of the Map Run's objects are in no part.
func (s Summary) Missing() int64 { return max(s.Total-s.Keys, 0) }

// Seconds from the first part's start to the last part's end.
func (s Summary) Seconds() float64 { return float64(s.Ended-s.Started) / 1000 }

// FailureKind counts the keys that could not be read for one reason.
type FailureKind struct {
	Error   string   `json:"error"` // such as NoSuchKey
	Count   int64    `json:"count"`
	Keys    []string `json:"keys"`    // the first few
	Message string   `json:"message"` // of the first
}

// Expected is what a right scan of the seed objects finds.
type Expected struct {
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
	Digest  string `json:"digest"`
	Match   string `json:"match,omitempty"` // the one key that has the needle; empty: another string was looked for
	Right   bool   `json:"right"`           // whether the parts say the same
}

// Timeline has the throughput over time, in bins of equal width. A part's
// objects count evenly over its time.
type Timeline struct {
	FromMS  int64 `json:"from_ms"`  // Unix milliseconds
	WidthMS int64 `json:"width_ms"` // of a bin; 0: no part
	Bins    []Bin `json:"bins"`
}

// Bin is what was done in a stretch of time.
type Bin struct {
	Objects float64 `json:"objects"`
	Bytes   float64 `json:"bytes"`
	CPUMS   float64 `json:"cpu_ms"`
	BusyMS  float64 `json:"busy_ms"` // by the width: how many batches were read at once
}

// End is the closing line: why the command ended, which is not always why the
// job did.
type End struct {
	Reason string    `json:"fanout_end"`      // one of the constants below
	Text   string    `json:"text,omitempty"`  // what there is to say beyond the reason
	Error  string    `json:"error,omitempty"` // of a job that failed: the error's name, as Step Functions has it
	At     time.Time `json:"at"`
}

// Reasons for the end.
const (
	Complete    = "complete"     // every object was read, and every part is there
	Incomplete  = "incomplete"   // something was not read: redrive the job
	Left        = "left running" // the command ended; the job goes on
	Budget      = "budget"       // the job was stopped: its dollars passed it
	Stopped     = "stopped"      // somebody stopped the job
	Interrupted = "interrupted"  // a local job, which ends with the command
	WrongAnswer = "wrong answer" // everything was read, and it is not what the objects hold
	Changed     = "changed"      // every object was read, and the parts are not any more what they were then
	Failed      = "failed"       // the job, for another reason than what could not be read
)

// File is the content of a scan's result file.
type File struct {
	Header  Header
	Samples []Sample
	Marks   []Mark
	Summary *Summary // nil: the job did not get so far, or the command did not see it
	End     End      // the zero value: the command was killed
	Skipped int      // lines that could not be read
}

// Is says whether the first line of a result file is a scan's.
func Is(line []byte) bool {
	var h struct {
		Schema *int `json:"fanout_scan"`
	}
	return json.Unmarshal(bytes.TrimPrefix(line, []byte("\uFEFF")), &h) == nil && h.Schema != nil
}

// ReadPath reads a scan's result file, or the one inside a folder.
func ReadPath(path string) (File, error) { return trial.ReadFileBy(path, Read) }

// maxLine bounds one line of a result file.
const maxLine = 4 << 20

// Read reads a scan's result file. A line that is none of its lines costs that
// line, and is counted in Skipped; a last line that was cut off is nothing. The
// error says that it is no such file.
func Read(r io.Reader) (File, error) {
	var f File
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	if !lines.Scan() {
		if err := lines.Err(); err != nil {
			return f, fmt.Errorf("line 1: %w", err)
		}
		return f, errors.New("line 1: no header")
	}
	if !Is(lines.Bytes()) {
		return f, errors.New("line 1: not a scan's header: it has no fanout_scan")
	}
	if err := json.Unmarshal(bytes.TrimPrefix(lines.Bytes(), []byte("\uFEFF")), &f.Header); err != nil {
		return f, fmt.Errorf("line 1: not a header: %w", err)
	}
	if f.Header.Schema < 1 || f.Header.Schema > schema {
		return f, fmt.Errorf("format %d: this version reads 1 to %d", f.Header.Schema, schema)
	}
	for lines.Scan() {
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 && !f.take(line) {
			f.Skipped++
		}
	}
	return f, lines.Err()
}

// take reads one line after the header, and says whether it is one.
func (f *File) take(line []byte) bool {
	var kind struct {
		Mark  *json.RawMessage `json:"fanout_mark"`
		Parts *json.RawMessage `json:"fanout_parts"`
		End   *json.RawMessage `json:"fanout_end"`
		Phase string           `json:"phase"`
	}
	if json.Unmarshal(line, &kind) != nil {
		return false
	}
	switch {
	case kind.End != nil:
		var e End
		if json.Unmarshal(line, &e) != nil || e.Reason == "" {
			return false
		}
		f.End = e
	case kind.Parts != nil:
		var s Summary
		if json.Unmarshal(line, &s) != nil {
			return false
		}
		f.Summary = &s
	case kind.Mark != nil:
		var m Mark
		if json.Unmarshal(line, &m) != nil {
			return false
		}
		f.Marks, f.End = append(f.Marks, m), End{} // it goes on
	case kind.Phase != "":
		var s Sample
		if json.Unmarshal(line, &s) != nil {
			return false
		}
		f.Samples = append(f.Samples, s)
	default:
		return false
	}
	return true
}

// Writer writes the lines of a result file, each in one write, so that whatever
// ends the process leaves whole lines.
type Writer struct{ out io.Writer }

// NewWriter begins a result file with its header.
func NewWriter(out io.Writer, h Header) (*Writer, error) {
	h.Schema = schema
	w := &Writer{out}
	return w, w.line(h)
}

// Continue writes lines to a file that has a header already.
func Continue(out io.Writer) *Writer { return &Writer{out} }

// Sample adds a line.
func (w *Writer) Sample(s Sample) error { return w.line(s) }

// Mark adds a line.
func (w *Writer) Mark(mark string, at time.Time) error { return w.line(Mark{mark, at}) }

// Summary adds a line.
func (w *Writer) Summary(s Summary) error { return w.line(s) }

// End adds a closing line.
func (w *Writer) End(e End) error { return w.line(e) }

func (w *Writer) line(v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = w.out.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

package trial

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// Backends: where the functions ran.
const (
	AWS      = "aws"
	Sandbox  = "sandbox"  // this machine: its times are never AWS times
	Endpoint = "endpoint" // something else that speaks the Lambda API: not AWS times either
)

// FileName is what a result file is called inside its folder.
const FileName = "results.jsonl"

// schema is the version of the file format; Read refuses a newer one.
const schema = 1

// Header is the first line of a result file.
type Header struct {
	Schema  int           `json:"fanout_results"` // version of this format
	Version string        `json:"version"`        // of the command
	Run     string        `json:"run"`
	Backend string        `json:"backend"`
	Host    string        `json:"host"`              // kind of machine: processor, cores, kernel
	Region  string        `json:"region,omitempty"`  // aws
	Network string        `json:"network,omitempty"` // sandbox: what the embedded S3 modelled
	Limits  lambda.Limits `json:"limits,omitzero"`   // sandbox: how CPU and memory were limited, or why not
	Plan    Plan          `json:"plan"`
	Corpus  corpus.Spec   `json:"corpus"`
	Bytes   int64         `json:"corpus_bytes"`
	Class   string        `json:"storage_class,omitempty"` // of the objects, as in fanout prices; empty: as Network says, else standard
	Prices  string        `json:"prices,omitempty"`        // date of the table of prices that the run knew
	At      time.Time     `json:"at"`
}

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
	Start       string        `json:"start"`       // Cold or Warm
	Seq         int           `json:"seq"`
	OK          bool          `json:"ok"`
	ErrorType   string        `json:"error_type,omitempty"`
	Error       string        `json:"error,omitempty"`
	InitMS      float64       `json:"init_ms,omitempty"` // cold ones only
	DurationMS  float64       `json:"duration_ms"`       // from REPORT
	BilledMS    float64       `json:"billed_ms"`
	MaxMemoryMB int           `json:"max_memory_mb"`
	RoundtripMS float64       `json:"roundtrip_ms"`             // Invoke, as its caller saw it
	ProcessMS   *float64      `json:"process_cpu_ms,omitempty"` // sandbox: CPU of the whole process during the invocation
	Limits      lambda.Limits `json:"limits,omitzero"`          // sandbox: how this process was limited
	Note        string        `json:"note,omitempty"`           // what is unusual about the figures
	Stats       *fetch.Stats  `json:"stats,omitempty"`
	At          time.Time     `json:"at"` // when it was sent
}

// WrongAnswer is the error type of an invocation that ended well with an
// answer that is not true.
const WrongAnswer = "WrongAnswer"

// OutOfMemory says whether the process was killed for memory: a killed
// process is all that Lambda shows of it.
func (r Result) OutOfMemory() bool {
	return r.ErrorType == lambda.OutOfMemory ||
		r.ErrorType == lambda.ExitError && bytes.Contains([]byte(r.Error), []byte("signal: killed"))
}

// TimedOut says whether the function ran into its time limit, or stopped just
// before it.
func (r Result) TimedOut() bool {
	return r.ErrorType == lambda.TimedOut || r.ErrorType == fetch.DeadlineNear
}

// File is a result file's content.
type File struct {
	Header  Header
	Results []Result
}

// ReadPath reads a result file, or the one inside a folder.
func ReadPath(path string) (File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, FileName)
	}
	f, err := os.Open(path)
	if err != nil {
		return File{}, fmt.Errorf("read results: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	file, err := Read(f)
	if err != nil {
		return File{}, fmt.Errorf("read results from %s: %w", path, err)
	}
	return file, nil
}

// maxLine bounds one line of a result file.
const maxLine = 1 << 20

// Read reads a result file. A last line without its end, as an interrupted
// run can leave it, is passed over; any other line that is not a result is an
// error with its number.
func Read(r io.Reader) (File, error) {
	var f File
	lines := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF):
			if n == 1 {
				return f, errors.New("line 1: no header")
			}
			return f, nil // an unfinished line is no line
		case err != nil:
			return f, fmt.Errorf("line %d: %w", n, err)
		case len(line) > maxLine:
			return f, fmt.Errorf("line %d: longer than %d bytes", n, maxLine)
		case n == 1:
			if err := json.Unmarshal(line, &f.Header); err != nil {
				return f, fmt.Errorf("line 1: not a header: %w", err)
			}
			if f.Header.Schema < 1 || f.Header.Schema > schema {
				return f, fmt.Errorf("line 1: format %d: this version reads 1 to %d", f.Header.Schema, schema)
			}
		default:
			var res Result
			if err := json.Unmarshal(line, &res); err != nil {
				return f, fmt.Errorf("line %d: not a result: %w", n, err)
			}
			f.Results = append(f.Results, res)
		}
	}
}

// writeLine appends one JSON line in one write, so that whatever ends the
// process leaves whole lines.
func writeLine(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

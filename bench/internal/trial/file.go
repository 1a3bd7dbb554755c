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
	"slices"
	"time"

	"fanout/bench/internal/network"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

// FileName is what a result file is called inside its folder.
const FileName = "results.jsonl"

// schema is the version of the file format; Read refuses a newer one. 2 has a
// closing line.
const schema = 2

// Header is the first line of a result file.
type Header struct {
	Schema  int    `json:"fanout_results"` // version of this format
	Version string `json:"version"`        // of the command
	Run     string `json:"run"`
	Backend string `json:"backend"`
	Host    string `json:"host"`              // kind of machine: processor, cores, operating system and architecture
	Region  string `json:"region,omitempty"`  // aws
	Network string `json:"network,omitempty"` // sandbox: what the embedded S3 modelled
	// Model is that of a model file, whole: what Network names, the CPU factor,
	// and what both were calibrated by. nil: Network is one of the built-in ones.
	Model *network.Model `json:"model,omitempty"`
	// Bandwidth is lambda.QuotaBandwidth if it grew with the memory size, or was
	// said to; empty: it did not.
	Bandwidth string        `json:"bandwidth,omitempty"`
	Limits    lambda.Limits `json:"limits,omitzero"` // sandbox: how CPU and memory were limited, or why not
	Plan      Plan          `json:"plan"`
	Corpus    corpus.Spec   `json:"corpus"`
	Bytes     int64         `json:"corpus_bytes"`
	Class     string        `json:"storage_class,omitempty"` // of the objects, as in fanout prices; empty: as Network says, else standard
	Prices    string        `json:"prices,omitempty"`        // date of the table of prices that the run knew
	At        time.Time     `json:"at"`
}

// NetworkModel is what lay between the functions and their objects; the zero
// Model on AWS, where nobody knows.
func (h Header) NetworkModel() network.Model {
	return network.Of(h.Network, h.Model, h.Bandwidth == lambda.QuotaBandwidth)
}

// BandwidthOf is what a function of a memory size had, in bytes a second; 0: it
// was not limited.
func (h Header) BandwidthOf(memoryMB int) float64 {
	if m := h.NetworkModel(); m.Name != "" {
		return m.BandwidthOf(memoryMB)
	}
	return lambda.Bandwidth(memoryMB, h.Bandwidth == lambda.QuotaBandwidth)
}

// Calibration says what the model of a sandbox was fitted to; nil: nothing.
func (h Header) Calibration() *network.Calibration {
	if h.Model == nil {
		return nil
	}
	return h.Model.Calibration
}

// modelText is the model as a line, to compare and to name.
func (h Header) modelText() string {
	if h.Model == nil {
		return ""
	}
	text, err := json.Marshal(h.Model)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// End is the closing line of a result file: why the run ended. A run that was
// killed outright, and a file of schema 1, have none.
type End struct {
	Reason string `json:"fanout_end"`     // one of the constants below
	Text   string `json:"text,omitempty"` // what there is to say beyond the reason
	// Warnings are what went wrong beside: functions that lost their cold starts,
	// that were left out, or whose description could not be put back.
	Warnings []string  `json:"warnings,omitempty"`
	At       time.Time `json:"at"`
}

// Reasons for the end of a run.
const (
	Complete        = "complete"
	Budget          = "budget"           // the next step would have passed it
	PrecisionMissed = "precision missed" // every step was made, and an interval is still too wide
	Interrupted     = "interrupted"
	WrongAnswers    = "wrong answer" // at least one answer was not true: all steps were made, or, if the probe's, none
	Failed          = "failed"
)

// File is a result file's content.
type File struct {
	Header  Header
	Results []Result
	End     End       // the zero value: the run could not say
	Skipped []Skipped // lines that could not be read
}

// InModelCPU gives a file whose CPU times, and shares of this machine's CPU, are
// those of the Lambda that was modelled: times a model file's CPU factor.
func (f File) InModelCPU() File {
	factor := f.Header.NetworkModel().Factor()
	if factor == 1 {
		return f
	}
	f.Header.Limits.VCPU *= factor
	f.Results = slices.Clone(f.Results)
	for i := range f.Results {
		r := &f.Results[i]
		r.Limits.VCPU *= factor
		if r.ProcessMS != nil {
			ms := *r.ProcessMS * factor
			r.ProcessMS = &ms
		}
		if r.Stats != nil {
			s := *r.Stats
			s.CPUMS *= factor
			r.Stats = &s
		}
	}
	return f
}

// Skipped is a line of a result file that is not among the results.
type Skipped struct {
	Line int // from 1
	Why  string
}

// Stdin is the path that stands for standard input.
const Stdin = "-"

// ReadPath reads a result file, the one inside a folder, or standard input.
func ReadPath(path string) (File, error) {
	if path == Stdin {
		file, err := Read(os.Stdin)
		if err != nil {
			return File{}, fmt.Errorf("read results from standard input: %w", err)
		}
		return file, nil
	}
	return ReadFileBy(path, Read)
}

// ReadFileBy reads a result file of some kind, or the one inside a folder.
func ReadFileBy[F any](path string, read func(io.Reader) (F, error)) (file F, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, FileName)
	}
	f, err := os.Open(path)
	if err != nil {
		return file, fmt.Errorf("read results: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	if file, err = read(f); err != nil {
		var none F
		return none, fmt.Errorf("read results from %s: %w", path, err)
	}
	return file, nil
}

// maxLine bounds one line of a result file.
const maxLine = 1 << 20

// Read reads a result file, or several one after the other (cat a b) whose runs
// are alike. A line that is no result of theirs costs that line and is in
// Skipped; blank lines, and a last line that was cut off, are nothing. The error
// says in which line there is something that is no result file, or results that
// must not be mixed: of runs that are not alike, or of the same run twice.
func Read(r io.Reader) (File, error) {
	read := reader{lines: bufio.NewReaderSize(r, 64<<10), seen: map[sameLine]int{}}
	for {
		line, err := read.next()
		if line != nil {
			if err := read.take(line, errors.Is(err, io.EOF)); err != nil {
				return read.file, fmt.Errorf("line %d: %w", read.n, err)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return read.file, read.finish()
		case err != nil:
			return read.file, fmt.Errorf("line %d: %w", read.n, err)
		}
	}
}

// reader reads one file.
type reader struct {
	lines *bufio.Reader
	n     int // the line's number, from 1
	file  File
	runs  []string // in the order of their headers
	ends  []End    // one a run
	seen  map[sameLine]int
}

// sameLine is what no two lines share: no two invocations of a setting begin at
// the same time.
type sameLine struct {
	run string
	key Key
	at  time.Time
}

// next gives the next line, without what ends it; the error is io.EOF beside
// the last one. A line that is too long is nil, and skipped.
func (r *reader) next() ([]byte, error) {
	r.n++
	var line []byte
	long := false
	for {
		part, err := r.lines.ReadSlice('\n')
		if long = long || len(line)+len(part) > maxLine; !long {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		line = bytes.TrimPrefix(line, []byte("\uFEFF")) // of the file, or of one that was put behind another
		if long {
			if len(r.runs) == 0 {
				return nil, fmt.Errorf("longer than %d bytes: not a header", maxLine)
			}
			r.skip("longer than %d bytes", maxLine)
			return nil, err
		}
		return bytes.TrimSpace(line), err
	}
}

func (r *reader) skip(format string, args ...any) {
	r.file.Skipped = append(r.file.Skipped, Skipped{r.n, fmt.Sprintf(format, args...)})
}

// take reads a line, the last one of the file or not.
func (r *reader) take(line []byte, last bool) error {
	if len(line) == 0 {
		return nil
	}
	if len(r.runs) == 0 {
		if foreign := foreignFormat(line); foreign != "" {
			return errors.New(foreign)
		}
	}
	var kind struct {
		Schema *json.RawMessage `json:"fanout_results"`
		End    *json.RawMessage `json:"fanout_end"`
	}
	err := json.Unmarshal(line, &kind)
	if header := bytes.Index(line, []byte(`{"fanout_results":`)); err != nil && header > 0 && len(r.runs) > 0 {
		// A file whose last line was cut off, with another one put behind it.
		if err := r.take(bytes.TrimSpace(line[:header]), true); err != nil {
			return err
		}
		return r.take(line[header:], last)
	}
	switch {
	case err == nil && kind.Schema != nil:
		return r.takeHeader(line)
	case len(r.runs) == 0 && err == nil:
		return errors.New("not a header: it has no fanout_results")
	case len(r.runs) == 0:
		return fmt.Errorf("not a header: %w", err)
	case err != nil && last: // as an interrupted write leaves it
		return nil
	case err == nil && kind.End != nil:
		var e End
		if err := json.Unmarshal(line, &e); err != nil || e.Reason == "" {
			r.skip("not a closing line")
			return nil
		}
		r.ends[len(r.ends)-1] = e
		return nil
	}
	var res Result
	if err := json.Unmarshal(line, &res); err != nil {
		r.skip("not a result: %v", err)
		return nil
	}
	return r.takeResult(res)
}

// foreignFormat tells a file of another kind by its first bytes, and what to
// do; empty: it may be ours.
func foreignFormat(line []byte) string {
	switch {
	case bytes.HasPrefix(line, []byte{0x1f, 0x8b}):
		return "compressed by gzip: unpack it first (zcat FILE | fanout report -)"
	case bytes.HasPrefix(line, []byte{0xff, 0xfe}), bytes.HasPrefix(line, []byte{0xfe, 0xff}):
		return "UTF-16: save it as UTF-8"
	}
	return ""
}

// takeHeader begins a run: the first of the file, or one like those before it.
func (r *reader) takeHeader(line []byte) error {
	var h Header
	if err := json.Unmarshal(line, &h); err != nil {
		return fmt.Errorf("not a header: %w", err)
	}
	if h.Schema < 1 || h.Schema > schema {
		return fmt.Errorf("format %d: this version reads 1 to %d", h.Schema, schema)
	}
	if h.Bytes < 0 || h.Corpus.Count < 0 {
		return fmt.Errorf("header: %d objects of %d bytes: must not be negative", h.Corpus.Count, h.Bytes)
	}
	if len(r.runs) == 0 {
		r.file.Header = h
	} else {
		if h.Run != "" && slices.Contains(r.runs, h.Run) {
			return fmt.Errorf("run %s is in this file already: the same results twice would look like more results", h.Run)
		}
		if err := r.file.Header.join(h); err != nil {
			return err
		}
	}
	r.runs, r.ends = append(r.runs, h.Run), append(r.ends, End{})
	return nil
}

// join takes another run into h. The error says what differs, where their
// results must not be mixed.
func (h *Header) join(o Header) error {
	for _, f := range []struct{ name, first, other string }{
		{"backend", h.Backend, o.Backend}, {"region", h.Region, o.Region}, {"network", h.Network, o.Network},
		{"model", h.modelText(), o.modelText()}, {"bandwidth", h.Bandwidth, o.Bandwidth}, {"host", h.Host, o.Host},
		{"limits", h.Limits.String(), o.Limits.String()}, {"storage_class", h.Class, o.Class},
		{"corpus", h.Corpus.String(), o.Corpus.String()}, {"corpus_bytes", fmt.Sprint(h.Bytes), fmt.Sprint(o.Bytes)},
		{"count", fmt.Sprint(h.Plan.Count), fmt.Sprint(o.Plan.Count)},
		{"events", fmt.Sprint(h.Plan.Events), fmt.Sprint(o.Plan.Events)},
	} {
		if f.first != f.other {
			return fmt.Errorf("another run's header, which differs from the first: %s %s, not %s (report each separately)",
				f.name, cut(f.other, maxNameBytes), cut(f.first, maxNameBytes))
		}
	}
	p, q := &h.Plan, o.Plan
	p.MemoriesMB, p.Architectures = union(p.MemoriesMB, q.MemoriesMB), union(p.Architectures, q.Architectures)
	p.Clients, p.Concurrencies = union(p.Clients, q.Clients), union(p.Concurrencies, q.Concurrencies)
	p.Contenders = union(p.Contenders, q.Contenders)
	p.Invocations, p.Cold, p.Sequential = p.Invocations+q.Invocations, p.Cold+q.Cold, p.Sequential+q.Sequential
	return nil
}

// union keeps the first of equal values, and the order.
func union[T comparable](a, b []T) []T {
	all := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// takeResult takes a line, or skips it.
func (r *reader) takeResult(res Result) error {
	if h := r.file.Header; res.Backend != "" && res.Backend != h.Backend {
		return fmt.Errorf("a result of backend %q in a file of backend %q: report each separately", cut(res.Backend, maxNameBytes), h.Backend)
	}
	if err := res.Validate(); err != nil {
		r.skip("not a result: %v", err)
		return nil
	}
	if res.Run != "" && !slices.Contains(r.runs, res.Run) {
		r.skip("a result of run %s, whose header is not above it", cut(res.Run, maxNameBytes))
		return nil
	}
	if !res.At.IsZero() {
		same := sameLine{res.Run, res.Key(), res.At.UTC()}
		if line, ok := r.seen[same]; ok {
			r.skip("the same result as in line %d", line)
			return nil
		}
		r.seen[same] = r.n
	}
	r.file.Results = append(r.file.Results, res)
	return nil
}

// finish says what is wrong with the file as a whole, and how its runs ended.
func (r *reader) finish() error {
	f := &r.file
	if len(r.runs) == 0 {
		return errors.New("line 1: no header")
	}
	if len(f.Results) == 0 && len(f.Skipped) > 0 {
		return fmt.Errorf("line %d: %s; and no line that is a result", f.Skipped[0].Line, f.Skipped[0].Why)
	}
	f.End = r.ends[len(r.ends)-1]
	for _, e := range r.ends { // of several runs, one that did not come to its end counts
		if e.Reason != Complete {
			f.End = e
			break
		}
	}
	return nil
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

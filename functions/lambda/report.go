package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Report is what Lambda says of one invocation, in the REPORT line of a log in
// text or the platform.report record of a log in JSON, and what the records
// beside it tell of a new process.
type Report struct {
	RequestID       string
	DurationMS      float64 // handler time, without INIT unless RedoneInitMS
	BilledMS        float64 // a whole number; INIT included since August 2025
	InitMS          float64 // INIT before the invocation; 0: none is told of
	RedoneInitMS    float64 // INIT inside the invocation, and so within DurationMS, after one that failed or took over 10 s
	RestoreMS       float64 // restore of a SnapStart snapshot, in place of INIT
	BilledRestoreMS float64 // the part of RestoreMS that is paid for
	MemoryMB        int     // configured
	MaxMemoryMB     float64 // the process's peak so far
	Status          string  // "timeout", "error" or "failure"; empty when the runtime stayed whole
	ErrorType       string  // with such a Status, as Runtime.ExitError

	// NewProcess says that a record of an INIT or a restore was in the log:
	// INIT_START, INIT_REPORT, RESTORE_START, RESTORE_REPORT, or platform.init…
	// and platform.restore….
	NewProcess bool
	// Known are the figures that were there; the others are 0. It is empty in a
	// Report that was not parsed.
	Known Fields
}

// Fields is a set of a report's figures.
type Fields uint8

// The figures of a [Report].
const (
	Duration Fields = 1 << iota
	Billed
	Init // InitMS, from the report itself or from an INIT record
	Restore
	BilledRestore
	Memory
	MaxMemory
)

// Has says whether all of the fields are in the set.
func (f Fields) Has(fields Fields) bool { return f&fields == fields }

// Cold says whether the log tells of a new process: by an Init or a Restore
// Duration, or by a record of either. False does not mean that the process was
// warm: SnapStart, a failed INIT or one of over 10 s leave no Init Duration, a
// log level of WARN leaves no report, and a log tail is the last 4 KB.
func (r Report) Cold() bool {
	return r.InitMS > 0 || r.RedoneInitMS > 0 || r.RestoreMS > 0 || r.NewProcess
}

// String writes r as Lambda does, without the newline, and without the figures
// that a parsed report did not have.
func (r Report) String() string {
	var b strings.Builder
	write := func(field Fields, format string, value any) {
		if r.Known == 0 || r.Known.Has(field) {
			fmt.Fprintf(&b, format, value)
		}
	}
	fmt.Fprintf(&b, "REPORT RequestId: %s\t", r.RequestID)
	write(Duration, "Duration: %.2f ms\t", r.DurationMS)
	write(Billed, "Billed Duration: %.0f ms\t", r.BilledMS)
	write(Memory, "Memory Size: %d MB\t", r.MemoryMB)
	write(MaxMemory, "Max Memory Used: %.0f MB\t", r.MaxMemoryMB)
	if r.InitMS > 0 {
		write(Init, "Init Duration: %.2f ms\t", r.InitMS)
	}
	if r.RestoreMS > 0 {
		write(Restore, "Restore Duration: %.2f ms\t", r.RestoreMS)
		write(BilledRestore, "Billed Restore Duration: %.0f ms\t", r.BilledRestoreMS)
	}
	if r.Status != "" {
		fmt.Fprintf(&b, "Status: %s", r.Status)
		if r.ErrorType != "" {
			fmt.Fprintf(&b, "\tError Type: %s", r.ErrorType)
		}
	}
	return b.String()
}

// Milliseconds gives d in milliseconds, as logs and result files have it.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// BilledMS rounds what is paid for up to a whole millisecond.
func BilledMS(d time.Duration) float64 { return math.Ceil(Milliseconds(d)) }

// ErrNoReport means that a log tail says nothing of what the invocation took.
var ErrNoReport = errors.New("no REPORT line in the log tail")

// ParseReport reads a log tail, as decoded from base64, AWS's or the sandbox's,
// in text or in JSON: its last report, and the records of INIT and restore. It
// is lenient: a field that is new, missing or no figure is passed over, and
// Known says which ones were read. The only error is [ErrNoReport]; the Report
// then still has what the other records tell, as NewProcess.
func ParseReport(tail string) (Report, error) {
	var p reportParser
	for line := range strings.SplitSeq(tail, "\n") {
		p.line(line)
	}
	r := p.report
	if !p.found {
		r = Report{RequestID: p.requestID, Status: p.status, ErrorType: p.errorType}
	}
	r.NewProcess, r.RedoneInitMS = p.newProcess, p.redoneMS
	if !r.Known.Has(Init) && p.initKnown {
		r.InitMS, r.Known = p.initMS, r.Known|Init
	}
	if !r.Known.Has(Restore) && p.restoreKnown {
		r.RestoreMS, r.Known = p.restoreMS, r.Known|Restore
	}
	if !p.found {
		return r, ErrNoReport
	}
	return r, nil
}

// reportParser gathers what the lines of a log tell.
type reportParser struct {
	report Report // the last one
	found  bool

	// What other records say: platform.start and platform.runtimeDone of the
	// invocation, the rest of the process.
	requestID, status, errorType string
	newProcess                   bool
	initMS, redoneMS, restoreMS  float64
	initKnown, restoreKnown      bool
}

// line reads one line: the function's own, and a cut-off first one, say
// nothing.
func (p *reportParser) line(line string) {
	name, rest, _ := strings.Cut(line, " ")
	switch name {
	case "REPORT":
		if r, ok := parseReportLine(rest); ok {
			p.report, p.found = r, true
		}
	case "INIT_START", "RESTORE_START":
		// The function's own line may begin with the word alone.
		p.newProcess = p.newProcess || strings.HasPrefix(rest, "Runtime Version:")
	case "INIT_REPORT":
		fields := parseFields(rest)
		if ms, ok := parseNumber(fields["Init Duration"], " ms"); ok {
			p.init(fields["Phase"], ms)
		}
	case "RESTORE_REPORT":
		if ms, ok := parseNumber(parseFields(rest)["Restore Duration"], " ms"); ok {
			p.newProcess, p.restoreMS, p.restoreKnown = true, ms, true
		}
	default:
		if strings.HasPrefix(line, "{") && strings.Contains(line, `"platform.`) {
			p.record(line)
		}
	}
}

// init notes an INIT. That of phase "invoke" ran inside the invocation.
func (p *reportParser) init(phase string, ms float64) {
	p.newProcess = true
	if phase == "invoke" {
		p.redoneMS = ms
	} else {
		p.initMS, p.initKnown = ms, true
	}
}

// fieldEnd ends a field of a REPORT line; a copied line may have lost its tabs.
var fieldEnd = regexp.MustCompile(`\t|  +`)

func parseFields(line string) map[string]string {
	fields := map[string]string{}
	for _, field := range fieldEnd.Split(line, -1) {
		if name, value, ok := strings.Cut(strings.TrimSpace(field), ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}

// parseReportLine reads what follows "REPORT ".
func parseReportLine(rest string) (r Report, ok bool) {
	if !strings.HasPrefix(rest, "RequestId:") {
		return r, false
	}
	fields := parseFields(rest)
	r.RequestID, r.Status, r.ErrorType = plain(fields["RequestId"]), plain(fields["Status"]), plain(fields["Error Type"])
	take := func(field Fields, name, unit string) float64 {
		n, ok := parseNumber(fields[name], unit)
		if ok {
			r.Known |= field
		}
		return n
	}
	r.DurationMS = take(Duration, "Duration", " ms")
	r.BilledMS = take(Billed, "Billed Duration", " ms")
	r.InitMS = take(Init, "Init Duration", " ms")
	r.RestoreMS = take(Restore, "Restore Duration", " ms")
	r.BilledRestoreMS = take(BilledRestore, "Billed Restore Duration", " ms")
	r.MemoryMB = int(take(Memory, "Memory Size", " MB"))
	r.MaxMemoryMB = take(MaxMemory, "Max Memory Used", " MB")
	return r, true
}

// platformRecord is a system log record in JSON
// (docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html).
type platformRecord struct {
	RequestID string
	Phase     string
	Status    string
	ErrorType string
	Metrics   struct {
		DurationMS, BilledDurationMS, InitDurationMS, RestoreDurationMS, BilledRestoreDurationMS jsonFigure
		MemorySizeMB, MaxMemoryUsedMB                                                            jsonFigure
	}
}

func (p *reportParser) record(line string) {
	var entry struct {
		Type   string
		Record platformRecord
	}
	if err := json.Unmarshal([]byte(line), &entry); err != nil {
		// A field of another kind than it was says nothing; the others are read.
		if kind := new(json.UnmarshalTypeError); !errors.As(err, &kind) {
			return
		}
	}
	record := entry.Record
	status, errorType := plain(record.Status), plain(record.ErrorType)
	if status == "success" {
		status = ""
	}
	switch entry.Type {
	case "platform.report":
		if r := record.report(); r.Known != 0 || r.RequestID != "" {
			r.Status, r.ErrorType = status, errorType
			p.report, p.found = r, true
		}
	case "platform.start":
		p.requestID = plain(record.RequestID)
	case "platform.runtimeDone":
		p.requestID, p.status, p.errorType = plain(record.RequestID), status, errorType
	case "platform.initReport":
		if m := record.Metrics.DurationMS; m.known {
			p.init(record.Phase, m.value)
		}
		p.newProcess = true
	case "platform.restoreReport":
		if m := record.Metrics.DurationMS; m.known {
			p.restoreMS, p.restoreKnown = m.value, true
		}
		p.newProcess = true
	default:
		p.newProcess = p.newProcess || strings.HasPrefix(entry.Type, "platform.init") || strings.HasPrefix(entry.Type, "platform.restore")
	}
}

// report takes the figures of a platform.report.
func (p platformRecord) report() Report {
	r := Report{RequestID: plain(p.RequestID)}
	take := func(field Fields, f jsonFigure) float64 {
		if f.known {
			r.Known |= field
		}
		return f.value
	}
	r.DurationMS = take(Duration, p.Metrics.DurationMS)
	r.BilledMS = take(Billed, p.Metrics.BilledDurationMS)
	r.InitMS = take(Init, p.Metrics.InitDurationMS)
	r.RestoreMS = take(Restore, p.Metrics.RestoreDurationMS)
	r.BilledRestoreMS = take(BilledRestore, p.Metrics.BilledRestoreDurationMS)
	r.MemoryMB = int(take(Memory, p.Metrics.MemorySizeMB))
	r.MaxMemoryMB = take(MaxMemory, p.Metrics.MaxMemoryUsedMB)
	return r
}

// plain is text that can stand in a report; what cannot is left out.
func plain(text string) string {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return ""
	}
	return text
}

// jsonFigure is a figure in JSON, if there is one.
type jsonFigure struct {
	value float64
	known bool
}

// UnmarshalJSON does not fail: what is no figure is not known.
func (f *jsonFigure) UnmarshalJSON(data []byte) error {
	f.value, f.known = parseNumber(string(data), "")
	return nil
}

// maxFigure, in milliseconds 31 years, is past anything Lambda can mean.
const maxFigure = 1e12

// parseNumber reads a figure that has a unit after it.
func parseNumber(s, unit string) (float64, bool) {
	number, ok := strings.CutSuffix(s, unit)
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(n >= 0 && n <= maxFigure) {
		return 0, false
	}
	return n, true
}

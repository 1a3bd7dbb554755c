package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Report is what Lambda's REPORT line says of one invocation.
type Report struct {
	RequestID   string
	DurationMS  float64 // handler time, without INIT
	BilledMS    float64 // a whole number; INIT included since August 2025
	InitMS      float64 // 0 on a warm start
	MemoryMB    int     // configured
	MaxMemoryMB float64 // the process's peak so far
	Status      string  // "timeout" or "error"; empty when the runtime stayed whole
	ErrorType   string  // with Status "error", such as Runtime.ExitError
}

// Cold says whether the invocation started a new process.
func (r Report) Cold() bool { return r.InitMS > 0 }

// String writes r as Lambda does, without the newline.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %.0f ms\tMemory Size: %d MB\tMax Memory Used: %.0f MB\t",
		r.RequestID, r.DurationMS, r.BilledMS, r.MemoryMB, r.MaxMemoryMB)
	if r.Cold() {
		fmt.Fprintf(&b, "Init Duration: %.2f ms\t", r.InitMS)
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

// ParseReport reads the last report of a log tail, as decoded from base64,
// AWS's or the sandbox's: a REPORT line, or a platform.report record where the
// function's log format is JSON. Fields it does not know, such as X-Ray's, are
// left out. The error is [ErrNoReport], or says which field it could not read.
func ParseReport(tail string) (Report, error) {
	const mark = "REPORT RequestId:"
	at := strings.LastIndex("\n"+tail, "\n"+mark) // same index in tail: the added newline is first
	if at < 0 {
		return parseRecord(tail)
	}
	line, _, _ := strings.Cut(tail[at:], "\n")
	var r Report
	seen := map[string]bool{}
	for _, field := range strings.Split(strings.TrimPrefix(line, "REPORT "), "\t") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		var err error
		switch name {
		case "RequestId":
			r.RequestID = value
		case "Duration":
			r.DurationMS, err = parseNumber(value, " ms")
		case "Billed Duration":
			r.BilledMS, err = parseNumber(value, " ms")
		case "Init Duration":
			r.InitMS, err = parseNumber(value, " ms")
		case "Memory Size":
			var mb float64
			mb, err = parseNumber(value, " MB")
			r.MemoryMB = int(mb)
		case "Max Memory Used":
			r.MaxMemoryMB, err = parseNumber(value, " MB")
		case "Status":
			r.Status = value
		case "Error Type":
			r.ErrorType = value
		}
		if err != nil {
			return Report{}, fmt.Errorf("report line: %s: %w", name, err)
		}
		seen[name] = true
	}
	for _, name := range []string{"RequestId", "Duration", "Billed Duration", "Memory Size", "Max Memory Used"} {
		if !seen[name] {
			return Report{}, fmt.Errorf("report line: %s is missing", name)
		}
	}
	return r, nil
}

// parseRecord reads the last platform.report record of a log in JSON
// (docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html).
func parseRecord(tail string) (Report, error) {
	lines := strings.Split(tail, "\n")
	for _, line := range slices.Backward(lines) {
		var entry struct {
			Type   string
			Record struct {
				RequestID string
				Status    string
				ErrorType string
				Metrics   *struct {
					DurationMS, BilledDurationMS, InitDurationMS, MaxMemoryUsedMB float64
					MemorySizeMB                                                  int
				}
			}
		}
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Type != "platform.report" || entry.Record.Metrics == nil {
			continue // the function's own lines, or the cut-off first one
		}
		m := entry.Record.Metrics
		r := Report{
			RequestID: entry.Record.RequestID, DurationMS: m.DurationMS, BilledMS: m.BilledDurationMS, InitMS: m.InitDurationMS,
			MemoryMB: m.MemorySizeMB, MaxMemoryMB: m.MaxMemoryUsedMB, ErrorType: entry.Record.ErrorType,
		}
		if entry.Record.Status != "success" {
			r.Status = entry.Record.Status
		}
		if text := r.RequestID + r.Status + r.ErrorType; strings.ContainsFunc(text, unicode.IsControl) || strings.ContainsAny(text, ":") {
			return Report{}, fmt.Errorf("report record: %q is not the text of a report", text)
		}
		for _, v := range []float64{m.DurationMS, m.BilledDurationMS, m.InitDurationMS, m.MaxMemoryUsedMB, float64(m.MemorySizeMB)} {
			if v < 0 || v > 1e12 {
				return Report{}, fmt.Errorf("report record: %g is not a figure of an invocation", v)
			}
		}
		return r, nil
	}
	return Report{}, ErrNoReport
}

// parseNumber reads a number that has a unit after it. 1e12, in milliseconds
// 31 years, is past anything Lambda can mean.
func parseNumber(s, unit string) (float64, error) {
	number, ok := strings.CutSuffix(s, unit)
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(n >= 0 && n <= 1e12) {
		return 0, fmt.Errorf("%q is not a number and %q", s, strings.TrimSpace(unit))
	}
	return n, nil
}

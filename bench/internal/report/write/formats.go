// Package write writes reports and comparisons. [Formats] lists how a report
// can be written, and [CompareFormats] how a comparison can: a new format is a
// line there.
package write

import (
	"encoding/json"
	"io"

	"fanout/bench/internal/report"
	"fanout/bench/internal/report/page"
)

// Format is one way to write a T.
type Format[T any] struct {
	Name  string
	About string // what it is for, as a help text continues after "NAME:"
	Write func(io.Writer, T) error
}

// Formats is how a report can be written; the first is the usual one.
var Formats = []Format[*report.Report]{
	{"text", "for a terminal of 80 columns", Text},
	{"csv", "one row per setting, with every figure", CSV},
	{"markdown", "for a page or a pull request", Markdown},
	{"html", "one self-contained page with charts", page.Write},
	{"benchfmt", "one line per invocation, for benchstat", Benchfmt},
	{"json", "everything, for programs", JSON},
}

// CompareFormats is how a comparison can be written; the first is the usual
// one.
var CompareFormats = []Format[*report.Comparison]{
	{"text", "for a terminal", CompareText},
	{"markdown", "for a pull request", CompareMarkdown},
	{"html", "one self-contained page", page.WriteComparison},
	{"json", "everything, for programs", CompareJSON},
}

// PredictFormats is how a prediction can be written; the first is the usual one.
var PredictFormats = []Format[*report.Prediction]{
	{"text", "for a terminal", PredictText},
	{"csv", "one row per setting", PredictCSV},
	{"markdown", "for a page or a pull request", PredictMarkdown},
	{"json", "everything, for programs", PredictJSON},
}

// Names lists the names of formats.
func Names[T any](formats []Format[T]) []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.Name)
	}
	return names
}

// JSON writes the whole report as one JSON document; the fields are those of
// [report.Report].
func JSON(w io.Writer, r *report.Report) error { return writeJSON(w, r) }

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// CSV writes a row for each setting, with every figure; what cannot be had is
// empty. Amounts are US dollars for one invocation.
func CSV(w io.Writer, r *report.Report) error { return r.Table().CSV(w) }

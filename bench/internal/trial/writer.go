package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Writer writes a result file for what measures invocation by invocation, with
// [Runner.Measure]; [Runner.Run] writes its own.
type Writer struct{ out io.Writer }

// NewWriter begins a result file with its header.
func NewWriter(out io.Writer, h Header) (*Writer, error) {
	h.Schema = schema
	w := &Writer{out}
	return w, w.line(h)
}

// Result adds a line.
func (w *Writer) Result(r Result) error { return w.line(r) }

// End adds the closing line of what ended with err: nil for all that was to be
// measured, a cancelled context's for an interruption. warnings say what went
// wrong beside.
func (w *Writer) End(err error, warnings ...string) error {
	e := End{Reason: Complete, Warnings: warnings, At: time.Now().UTC()}
	switch {
	case errors.Is(err, context.Canceled):
		e.Reason = Interrupted
	case err != nil:
		e.Reason, e.Text = Failed, cut(err.Error(), maxTextBytes)
	}
	return w.line(e)
}

func (w *Writer) line(v any) error {
	if err := writeLine(w.out, v); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

package trial

import (
	"fmt"
	"io"
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

func (w *Writer) line(v any) error {
	if err := writeLine(w.out, v); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

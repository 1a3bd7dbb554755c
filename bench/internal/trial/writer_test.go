package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"fanout/functions/corpus"
)

// What a Writer wrote is read back, with why it ended.
func TestWriter(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"to its end", nil, Complete},
		{"Ctrl-C", fmt.Errorf("invoke: %w", context.Canceled), Interrupted},
		{"something else", errors.New("no more"), Failed},
	} {
		var b bytes.Buffer
		w, err := NewWriter(&b, Header{Run: "r", Backend: Sandbox, Corpus: corpus.Default()})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Result(Result{Run: "r", Backend: Sandbox, MemoryMB: 128, Start: Warm, OK: true}); err != nil {
			t.Fatal(err)
		}
		if err := w.End(tc.err, "beside"); err != nil {
			t.Fatal(err)
		}
		f, err := Read(&b)
		if err != nil || len(f.Results) != 1 || len(f.Skipped) != 0 || f.End.Reason != tc.want || f.End.Warnings[0] != "beside" {
			t.Errorf("%s: %+v, %v", tc.name, f, err)
		}
	}
}

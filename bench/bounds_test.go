package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/report"
	"fanout/bench/internal/trial"
)

func TestConfirm(t *testing.T) {
	for _, tc := range []struct {
		name    string
		backend string
		yes     bool
		answer  io.Reader
		asked   bool
		message string
	}{
		{"the sandbox costs nothing", trial.Sandbox, false, strings.NewReader(""), false, ""},
		{"yes", trial.AWS, false, strings.NewReader("Y\n"), true, ""},
		{"yes before", trial.AWS, true, strings.NewReader(""), false, ""},
		{"no", trial.AWS, false, strings.NewReader("n\n"), true, "not confirmed"},
		{"just return", trial.AWS, false, strings.NewReader("\n"), true, "not confirmed"},
		{"the end", trial.AWS, false, strings.NewReader(""), true, "not confirmed"},
	} {
		var said bytes.Buffer
		err := confirm(t.Context(), tc.backend, tc.yes, tc.answer, &said)
		if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if asked := strings.Contains(said.String(), "Go on?"); asked != tc.asked {
			t.Errorf("%s: said %q", tc.name, &said)
		}
	}
	// A pipe has nobody to ask.
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(in.Close(), out.Close()) }()
	var p *hint.Error
	err = confirm(t.Context(), trial.AWS, false, in, io.Discard)
	if !errors.As(err, &p) || p.Status != hint.StatusUsage || !strings.Contains(p.Next, "--yes") {
		t.Errorf("a pipe: %v", err)
	}
	// Ctrl-C ends the question.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, answers := io.Pipe()
	defer func() { _ = answers.Close() }()
	if err := confirm(ctx, trial.AWS, false, silent, io.Discard); err == nil || err.Error() != "interrupted" {
		t.Errorf("Ctrl-C: %v", err)
	}
}

// A budget in dollars needs prices; one in minutes does not.
func TestGuardNeedsPrices(t *testing.T) {
	r := trial.Runner{Header: trial.Header{Region: "mars-north-1"}}
	o := report.Options{Prices: cost.Builtin}
	for _, tc := range []struct {
		budget, message string
	}{{"1", "mars-north-1"}, {"1,1m", "mars-north-1"}, {"1m", ""}, {"", ""}} {
		b := boundFlags{budget: tc.budget}
		if err := b.parse(); err != nil {
			t.Fatal(err)
		}
		_, err := b.guard(o, &r)
		if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%q: %v", tc.budget, err)
		}
	}
}

package main

import (
	"context"
	"errors"
	"testing"

	"fanout/bench/internal/calibrate"
	"fanout/bench/internal/hint"
)

// Ctrl-C ends a fit, which with very many objects takes long.
func TestFitInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := fit(ctx, calibrate.Input{})
	var hinted *hint.Error
	if !errors.As(err, &hinted) || err.Error() != "interrupted" || hinted.Status != hint.StatusFailed {
		t.Errorf("%v", err)
	}
	if _, err := fit(t.Context(), calibrate.Input{}); err == nil || err.Error() == "interrupted" {
		t.Errorf("of no results: %v", err)
	}
}

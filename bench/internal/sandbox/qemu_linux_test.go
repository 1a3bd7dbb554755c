//go:build qemu

package sandbox

import (
	"testing"

	"fanout/functions/lambda"
)

// An arm64 bootstrap runs, under qemu where this is another machine.
func TestARM64(t *testing.T) {
	f := startTest(t, func(c *Config) { c.Functions[0].Arch, c.Functions[0].Code = lambda.ARM, probe(t, lambda.ARM) })
	f.needLimits()
	if r := f.invoke(`{"mode":"echo","text":"hello"}`); r.Text != "hello" || r.report.MaxMemoryMB < 2 {
		t.Errorf("got %s, report %+v", r.raw, r.report)
	}
}

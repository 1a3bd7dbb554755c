package main

import (
	"context"

	"fanout/bench/internal/hint"
)

// openLab refuses a scan on this machine, which there is no engine for yet.
func (sf *scanFlags) openLab(context.Context, *scanning) (end func() error, err error) {
	return nil, hint.Usage("give --stack", "a scan runs on AWS alone so far")
}

package main

import (
	"fmt"
	"io"
	"strings"

	"fanout/bench/internal/scan"
	"fanout/bench/internal/scan/forecast"
	"fanout/bench/internal/table"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

// maxPrefixes is how many a forecast takes.
const maxPrefixes = 1_000_000

// millionObjects stands for how many there are where nobody knows.
const millionObjects = 1_000_000

// forecastOf is what the job is forecast to take on AWS; ok is false where the
// prices are not known.
func (s *scanning) forecastOf(w scanWhat) (f forecast.Forecast, known, ok bool) {
	if s.pricing == nil {
		return f, false, false
	}
	p := forecast.Plan{
		Objects: millionObjects, Bytes: forecast.Measured.Bytes, Prefixes: w.prefixes, Class: s.pricing.Class, MapRuns: 1,
		Inventory: w.inventoryObject != nil, Quota: s.header.Bandwidth == lambda.QuotaBandwidth,
		MemoryMB: s.pricing.Function.MemoryMB, Arch: s.pricing.Function.Arch, Children: s.pricing.Children,
		Batch: w.batchItems, MaxConcurrency: w.maxConcurrency, Speed: forecast.Measured,
	}
	if c := s.header.Corpus; c != nil {
		known, p.Objects, p.Bytes = true, int64(c.Count), float64(c.MeanBytes())
	}
	f, err := forecast.New(p, s.pricing.Prices)
	return f, known, err == nil
}

// announce says before the start what the job will take.
func (s *scanning) announce(w io.Writer, f forecast.Forecast, known bool) error {
	if s.local() { // nothing is known of its times, and it costs nothing
		_, err := fmt.Fprintf(w, "%s objects on this machine; on AWS about %s and %s, held by: %s\n",
			table.Grouped(float64(f.Plan.Objects)), forecast.Duration(f.Time()), table.Dollars(f.Bill.Total()), f.Binding.Name)
		return err
	}
	if !known {
		fmt.Fprintln(w, "How many objects there are is not known before they are listed. For each million:")
	}
	s.header.Estimate = &scan.Estimate{Seconds: f.Time().Seconds(), Limit: f.Binding.Name, Bill: f.Bill}
	if known {
		s.header.Estimate.Objects = f.Plan.Objects
	}
	_, err := fmt.Fprintln(w, strings.Join(f.Lines(), "\n"))
	return err
}

// atOnceHere is how many batches run at once on this machine unless flags say:
// as many as the processors can give their share of a vCPU to, and one more.
func atOnceHere(cores, memoryMB int) int {
	return max(int(float64(cores)/lambda.VCPU(memoryMB)), 1) + 1
}

// batchBytes bounds the keys of a batch, as JSON: of the 256 KiB of a child's
// input the rest is for what all batches share.
const batchBytes = 240 << 10

// plan sets what was left to the command: batch and concurrency.
func (s *scanning) plan(w scanWhat, f forecast.Forecast, ok bool, cores int) (fn.BatchSize, int) {
	batch := fn.BatchSize{Items: w.batchItems, Bytes: batchBytes}
	if batch.Items == 0 {
		batch.Items = forecast.PageBatch
		if ok {
			batch.Items = f.Plan.Batch
		}
	}
	switch {
	case w.maxConcurrency > 0:
		return batch, w.maxConcurrency
	case s.local():
		return batch, atOnceHere(cores, s.header.Function.MemoryMB)
	case ok:
		return batch, f.Plan.MaxConcurrency
	}
	return batch, 0
}

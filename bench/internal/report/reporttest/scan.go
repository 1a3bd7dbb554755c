package reporttest

import (
	"math"
	"time"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/scan"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

// began is when the scans of these files did.
var began = time.Date(2026, 11, 25, 21, 45, 0, 0, time.UTC)

// Scan is the file of a scan of a million seed objects on this machine that
// went well: it lists for 40 s, reads for 100, with a dip, and merges for 2.
func Scan() scan.File {
	find := "MyMagicString"
	spec := corpus.Default()
	spec.Count, spec.MinBytes, spec.MaxBytes = 1_000_000, 1000, 2000
	f := scan.File{
		Header: scan.Header{
			Schema: 1, Version: "dev", Job: "scan-20261125-214500-3f9a", Backend: "sandbox", Host: "Some CPU, 2 cores, linux/amd64",
			Network: "s3-standard", Limits: lambda.Limits{By: lambda.CgroupV1}, Children: fn.Express, Class: "standard", Corpus: &spec,
			Function: scan.Function{Name: "fanout-go-x86_64-512", MemoryMB: 512, Arch: lambda.X86}, Prices: "2026-11-24", At: began,
			Input: fn.Input{
				Event: fetch.Event{Bucket: "fanout-seed", Find: &find}, Prefix: "objects/", Batch: fn.BatchSize{Items: 1000, Bytes: 200_000},
				Concurrency: 8,
			},
			Estimate: &scan.Estimate{Objects: 1_000_000, Seconds: 183, Limit: "GET rate of a prefix", Bill: bill(1000, 700)},
		},
		End: scan.End{Reason: scan.Complete, At: began.Add(145 * time.Second)},
	}
	phase := func(second int) string {
		switch {
		case second < 40:
			return scan.Listing
		case second < 140:
			return scan.Reading
		case second < 142:
			return scan.Merging
		}
		return scan.Ended
	}
	s := &scan.Summary{
		Parts: 1000, Total: 1_000_000, Keys: 1_000_000, Objects: 1_000_000, Bytes: 1_500_000_000, Digest: "9f86d081884c7d65", Matches: 1,
		First: "objects/0742000", Retries: 312, CPUMS: 118_000, BusyMS: 1_020_000, Started: began.Add(2 * time.Second).UnixMilli(),
		Ended: began.Add(140 * time.Second).UnixMilli(), Bill: bill(1000, 1020),
		Expected: &scan.Expected{Objects: 1_000_000, Bytes: 1_500_000_000, Digest: "9f86d081884c7d65", Match: "objects/0742000", Right: true},
		Timeline: scan.Timeline{FromMS: began.Add(2 * time.Second).UnixMilli(), WidthMS: 2000},
	}
	done := 0.0
	for i := range 69 { // 138 s
		rate := 7246.4 * (1 + 0.12*math.Sin(float64(i)/3))
		if i > 30 && i < 35 {
			rate /= 3
		}
		done += rate * 2
		s.Timeline.Bins = append(s.Timeline.Bins, scan.Bin{Objects: rate * 2, Bytes: rate * 3000, CPUMS: rate * 0.236, BusyMS: 2000 * 7.4})
		if i%5 == 0 {
			at := 2 * i
			f.Samples = append(f.Samples, scan.Sample{
				At: began.Add(time.Duration(at) * time.Second), Phase: phase(at),
				Items:   scan.Counts{Total: int64(min(at+5, 40) * 25_000), Succeeded: int64(min(done, 1e6)), Running: 8000},
				Batches: scan.Counts{Total: int64(min(at+5, 40) * 25), Running: 8, Succeeded: int64(min(done, 1e6) / 1000)},
			})
		}
	}
	for _, at := range []int{140, 142} {
		f.Samples = append(f.Samples, scan.Sample{
			At: began.Add(time.Duration(at) * time.Second), Phase: phase(at),
			Items: scan.Counts{Total: 1_000_000, Succeeded: 1_000_000}, Batches: scan.Counts{Total: 1000, Succeeded: 1000},
		})
	}
	f.Summary = s
	return f
}

// bill is what a scan of a million objects costs, in so many batches that take
// so many seconds in all.
func bill(batches int64, seconds float64) cost.Bill {
	prices, err := cost.Builtin.Prices("us-east-1")
	if err != nil {
		panic(err) // a test of cost reads it
	}
	b, err := prices.Scan(cost.Scan{
		Arch: lambda.X86, MemoryMB: 512, Class: cost.Standard, GETs: 1000 * batches, LISTs: batches, Bytes: float64(1_500_000 * batches),
		Invocations: batches, ComputeS: seconds, ExpressRequests: batches, ExpressS: seconds, Transitions: 8, PUTs: batches,
		MergeGETs: batches, MergeLISTs: 1,
	})
	if err != nil {
		panic(err)
	}
	return b
}

// Incomplete is the file of a scan on AWS that left something unread, and was
// redriven once, with texts that are no text of ours.
func Incomplete() scan.File {
	f := Scan()
	f.Header.Backend, f.Header.Region, f.Header.Host, f.Header.Stack = "aws", "eu-west-1", "AWS Lambda, eu-west-1", "Fanout<script>"
	f.Header.Network, f.Header.Limits, f.Header.Corpus, f.Header.Estimate = "", lambda.Limits{}, nil, nil
	hostile := "<script>alert(1)</script>\x1b[31m"
	f.Header.Input.Event.Find, f.Header.Input.Prefix = &hostile, hostile
	f.End = scan.End{Reason: scan.Incomplete, Text: "Scan.Incomplete: " + hostile, Error: "Scan.Incomplete", At: f.End.At}
	f.Marks = []scan.Mark{{Mark: scan.Redriven, At: began.Add(time.Minute)}}
	f.Skipped = 2
	s := f.Summary
	s.Keys, s.Objects, s.Expected, s.Bill = 998_000, 997_958, nil, nil
	s.Failures = []scan.FailureKind{
		{Error: "AccessDenied", Count: 40, Keys: []string{"a\u202eb" + hostile}, Message: "no access: " + hostile},
		{Error: "NoSuchKey", Count: 2, Keys: []string{"objects/gone"}, Message: "the object is not there"},
	}
	return f
}

// Running is the file of a scan that goes on: no summary, no closing line.
func Running() scan.File {
	f := Scan()
	f.Summary, f.End = nil, scan.End{}
	f.Samples = f.Samples[:9]
	return f
}

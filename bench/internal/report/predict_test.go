package report_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/network"
	"fanout/bench/internal/report"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

// run makes a run with one warm invocation of each duration, by memory size.
func runOf(name, backend string, ms map[int]float64) trial.File {
	f := trial.File{Header: trial.Header{
		Schema: 2, Run: name, Backend: backend, Region: "eu-west-1", Host: "a host", Corpus: corpus.Default(), Bytes: 25_500_000,
		Network: map[string]string{trial.Sandbox: "twin"}[backend],
	}, End: trial.End{Reason: trial.Complete}}
	for mb, d := range ms {
		f.Results = append(f.Results, trial.Result{Contender: "go", MemoryMB: mb, Arch: lambda.X86, Client: "lean", Concurrency: 16,
			Start: trial.Warm, OK: true, DurationMS: d})
	}
	return f
}

// calibratedBy gives the model of a sandbox that was calibrated by a run.
func calibratedBy(run string) *network.Model {
	return &network.Model{Name: "twin", FirstByteMedian: 30 * time.Millisecond, FirstByteP99: 90 * time.Millisecond, Bandwidth: 60e6,
		CPUFactor: 1.4, Calibration: &network.Calibration{Runs: []string{run}, Backend: trial.AWS, Region: "eu-west-1",
			Measured: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), Residual: 0.031, Settings: 12}}
}

func TestPredict(t *testing.T) {
	measured := runOf("m", trial.AWS, map[int]float64{128: 1000, 256: 500, 512: 300, 1024: 200, 1769: 100, 3008: 90, 4096: 80})
	predicted := runOf("p", trial.Sandbox, map[int]float64{128: 1100, 256: 500, 512: 270, 1024: 210, 1769: 90, 3008: 99, 10240: 70})
	predicted.Header.Model = calibratedBy("other")
	p, err := report.Predict(report.New(measured, report.Options{}), report.New(predicted, report.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	// Errors +10, 0, -10, +5, -10, +10: the median of their sizes is 10. 1769 and 3008 are swapped: tau (14 - 1) / 15, rho 1 - 6·2/210.
	if len(p.Rows) != 6 || p.Only != 2 || math.Abs(p.Off.Median.Median-0.1) > 1e-9 || math.Abs(p.Off.Bias.Median-0.025) > 1e-9 ||
		math.Abs(p.Off.Worst-0.1) > 1e-9 || !p.Off.Median.HasInterval {
		t.Errorf("%+v", p)
	}
	if p.Rank.Swapped != 1 || p.Rank.Pairs != 15 || math.Abs(p.Rank.Kendall-13./15) > 1e-9 || math.Abs(p.Rank.Spearman-(1-12./210)) > 1e-9 {
		t.Errorf("%+v", p.Rank)
	}
	said := strings.Join(append(p.Summary(), p.Warnings...), "\n")
	for _, want := range []string{
		"calibrated by run other on AWS, eu-west-1, of 2026-11-25, residual 3.1% over 12 settings", "Kendall's tau-b 0.87, Spearman's rho 0.94",
		"95% interval 0% to 10%", "2 settings in one run only", "sandbox, network twin (calibrated)",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
}

// A pair of settings whose measured intervals overlap is in no order: another one
// predicted is no fault.
func TestPredictRanksApart(t *testing.T) {
	around := func(name, backend string, ms map[int]float64, spread float64) trial.File {
		f := runOf(name, backend, nil)
		for i := range 6 {
			more := map[int]float64{}
			for mb, d := range ms {
				more[mb] = d * (1 + spread*float64(i-3))
			}
			f.Results = append(f.Results, runOf(name, backend, more).Results...)
		}
		return f
	}
	measured := around("m", trial.AWS, map[int]float64{128: 1000, 512: 300, 1024: 290, 1769: 100, 3008: 50}, 0.05)
	// 512 and 1024 are told apart by chance alone; 1769 and 3008 by more, and in the wrong order.
	predicted := around("p", trial.Sandbox, map[int]float64{128: 1000, 512: 290, 1024: 300, 1769: 60, 3008: 70}, 0.01)
	predicted.Header.Model = calibratedBy("other")
	p, err := report.Predict(report.New(measured, report.Options{}), report.New(predicted, report.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if r := p.Rank; r.Pairs != 10 || r.Swapped != 2 || r.Apart != 9 || r.SwappedApart != 1 {
		t.Errorf("%+v", r)
	}
	if said := strings.Join(p.Summary(), "\n"); !strings.Contains(said, "2 of 10 pairs in another order, 1 of the 9 whose measured intervals "+
		"do not overlap") {
		t.Errorf("said:\n%s", said)
	}
}

func TestPredictWarns(t *testing.T) {
	ms := map[int]float64{128: 1000, 512: 300}
	for _, row := range []struct {
		name   string
		change func(m, p *trial.File)
		says   string
	}{
		{"not calibrated", func(_, p *trial.File) { p.Header.Model = nil }, "was not calibrated"},
		{"by this very run", func(_, p *trial.File) { p.Header.Model = calibratedBy("m") }, "by the measured run itself"},
		{"few settings", func(_, _ *trial.File) {}, "an interval takes 6"},
		{"of AWS", func(_, p *trial.File) { p.Header.Backend = trial.AWS }, "is not one of a sandbox"},
	} {
		m, p := runOf("m", trial.AWS, ms), runOf("p", trial.Sandbox, ms)
		p.Header.Model = calibratedBy("other")
		row.change(&m, &p)
		got, err := report.Predict(report.New(m, report.Options{}), report.New(p, report.Options{}))
		if err != nil || !strings.Contains(strings.Join(got.Warnings, "\n"), row.says) {
			t.Errorf("%s: %v, %v", row.name, got, err)
		}
	}
	twin, aws := runOf("p", trial.Sandbox, ms), runOf("m", trial.AWS, ms)
	twin.Header.Model = calibratedBy("m")
	if _, err := report.Predict(report.New(twin, report.Options{}), report.New(aws, report.Options{})); !errors.Is(err, report.ErrSwapped) {
		t.Errorf("swapped: %v", err)
	}
	for _, row := range []struct {
		name   string
		change func(m, p *trial.File)
		says   string
	}{
		{"other objects", func(_, p *trial.File) { p.Header.Bytes *= 2 }, "another workload"},
		{"counted", func(m, _ *trial.File) { m.Header.Plan.Count = true }, "one counted"},
		{"no setting in both", func(_, p *trial.File) { p.Results[0].MemoryMB, p.Results[1].MemoryMB = 1, 2 }, "no setting"},
		{"own events", func(m, _ *trial.File) { m.Header.Plan.Events = []trial.EventInfo{{}} }, "events of the caller's own"},
	} {
		m, p := runOf("m", trial.AWS, ms), runOf("p", trial.Sandbox, ms)
		row.change(&m, &p)
		var hinted *hint.Error
		if _, err := report.Predict(report.New(m, report.Options{}), report.New(p, report.Options{})); !errors.As(err, &hinted) ||
			!strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// A calibrated sandbox's CPU times are those of the Lambda that it models, and
// every format for readers says by what it was calibrated.
func TestCalibrated(t *testing.T) {
	f := runOf("p", trial.Sandbox, map[int]float64{1769: 200})
	cpu := 100.0
	f.Results[0].ProcessMS, f.Header.Limits = &cpu, lambda.Limits{By: lambda.CgroupV2}
	f.Header.Model = calibratedBy("m")
	r := report.New(f, report.Options{})
	if got := r.Rows[0].Verdict.CPU.Value; math.Abs(got-0.7) > 1e-9 { // 140 of 200 ms
		t.Errorf("CPU share %g", got)
	}
	if got := r.Rows[0].CPUPerObject.Median; math.Abs(got-140) > 1e-9 {
		t.Errorf("%g µs of CPU an object", got)
	}
	if *f.Results[0].ProcessMS != 100 {
		t.Error("the caller's results were changed")
	}
	if said := strings.Join(r.Caveats(), " "); !strings.Contains(said, "not AWS times") ||
		!strings.Contains(said, "calibrated by run m on AWS, eu-west-1") {
		t.Errorf("caveats: %s", said)
	}
	if !strings.Contains(r.Subject(), "network twin (calibrated)") || !strings.Contains(r.Command(), "--network FILE") {
		t.Errorf("%s\n%s", r.Subject(), r.Command())
	}
}

// What a bandwidth that grows with memory does to a verdict.
func TestBandwidthVerdict(t *testing.T) {
	f := runOf("m", trial.AWS, map[int]float64{1769: 330, 10240: 330})
	f.Header.Bandwidth = lambda.QuotaBandwidth
	rows := report.New(f, report.Options{}).Rows
	if small, large := rows[0].Verdict, rows[1].Verdict; small.Kind != report.NetworkBound ||
		!strings.Contains(small.Figure, "of 625 Mbit/s") ||
		large.Kind == report.NetworkBound || math.Abs(large.Network.Value-0.206) > 0.001 {
		t.Errorf("%+v\n%+v", small, large)
	}
}

// A bandwidth that grows with the memory size stands beside the network.
func TestEnvironmentTellsBandwidth(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(f *trial.File)
		says   string // empty: nothing of it
	}{
		{"flat", func(*trial.File) {}, ""},
		{"quota", func(f *trial.File) { f.Header.Bandwidth = lambda.QuotaBandwidth },
			"network s3-standard, bandwidth quota: 1812 Mbit/s at 6144 MB, limits"},
		{"on AWS", func(f *trial.File) {
			f.Header.Backend, f.Header.Network, f.Header.Bandwidth = trial.AWS, "", lambda.QuotaBandwidth
		},
			", bandwidth quota: 1812 Mbit/s at 6144 MB"},
		{"on AWS, flat", func(f *trial.File) { f.Header.Backend, f.Header.Network = trial.AWS, "" }, ""},
		{"of a model file", func(f *trial.File) {
			f.Header.Model = calibratedBy("m")
			f.Header.Model.Quota = true
		}, "bandwidth quota: "},
		{"without a limit", func(f *trial.File) { f.Header.Network, f.Header.Bandwidth = "none", lambda.QuotaBandwidth }, ""},
	} {
		f := runOf("m", trial.Sandbox, map[int]float64{1769: 900, 6144: 300})
		f.Header.Network = "s3-standard"
		row.change(&f)
		said := report.New(f, report.Options{}).Environment()
		if strings.Contains(said, "bandwidth") != (row.says != "") || !strings.Contains(said, row.says) {
			t.Errorf("%s: %q, want %q", row.name, said, row.says)
		}
	}
}

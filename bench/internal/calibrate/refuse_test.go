package calibrate

import (
	"errors"
	"strings"
	"testing"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/network"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

// What cannot be fitted is refused, and the error says what to do.
func TestRefused(t *testing.T) {
	plan := played{
		model: network.S3Standard, backend: trial.AWS, memories: []int{512, 1769}, clients: []string{"lean"}, workers: []int{16},
		invocations: 6, spec: corpus.Default(), seed: 1,
	}
	here := plan
	here.backend, here.seed = trial.Sandbox, 2
	mine := here.file()
	if _, err := Fit(Input{Measured: []trial.File{plan.file()}, Sandbox: &mine}); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	for _, row := range []struct {
		name   string
		change func(in *Input, p *played)
		says   string
	}{
		{"failed", func(in *Input, _ *played) { in.Measured[0].End.Reason = trial.Failed }, "ended as"},
		{"wrong answers", func(in *Input, _ *played) { in.Measured[0].End.Reason = trial.WrongAnswers }, "ended as"},
		{"killed", func(in *Input, _ *played) { in.Measured[0].End = trial.End{} }, "no closing line"},
		{"no results", func(in *Input, _ *played) { in.Measured[0].Results = nil }, "no setting has warm invocations"},
		{"one of each setting failed", func(in *Input, _ *played) {
			for i := range in.Measured[0].Results {
				in.Measured[0].Results[i].OK = i%7 != 3
			}
		}, "no setting has warm invocations"},
		{"too few invocations", func(in *Input, p *played) {
			p.memories, p.invocations = []int{1769}, 5
			in.Measured[0] = p.file()
		}, "too few invocations: 5 warm ones"},
		{"no percentiles", func(in *Input, _ *played) {
			for _, r := range in.Measured[0].Results {
				r.Stats.TTFBP99MS = nil
			}
		}, "no function says the first byte's percentiles of objects of 2"},
		{"too few objects for a percentile", func(in *Input, p *played) {
			p.spec = objects(60, 20_000, 30_000)
			in.Measured[0] = p.file()
			for _, r := range in.Measured[0].Results {
				r.Stats.TTFBP99MS = nil
			}
		}, "too few objects: 60 of 2"},
		{"too few of both", func(in *Input, p *played) {
			p.spec, p.memories, p.invocations = objects(60, 20_000, 30_000), []int{1769}, 2
			in.Measured[0] = p.file()
			for _, r := range in.Measured[0].Results {
				r.Stats.TTFBP99MS = nil
			}
		}, "too few objects: 60 of 2"},
		{"all short of CPU", func(in *Input, p *played) {
			p.memories, p.clients = []int{128}, []string{"stock"}
			in.Measured[0] = p.file()
		}, "used most of its CPU share or bandwidth"},
		{"ran into the request rate", func(in *Input, _ *played) {
			for _, r := range in.Measured[0].Results {
				r.Stats.Retries = 30
			}
		}, "no setting has warm invocations"},
		{"calibrated already", func(in *Input, _ *played) {
			in.Measured[0].Header.Model = &network.Model{Name: "m", Calibration: &network.Calibration{Runs: []string{"r"}}}
		}, "was calibrated itself"},
		{"own events", func(in *Input, _ *played) { in.Measured[0].Header.Plan.Events = []trial.EventInfo{{}} }, "events of the caller's own"},
		{"a sandbox without limits", func(in *Input, _ *played) {
			in.Measured[0].Header.Backend, in.Measured[0].Header.Limits = trial.Sandbox, lambda.Limits{By: lambda.Unlimited}
		}, "no limits on CPU"},
		{"given twice", func(in *Input, _ *played) { in.Measured = append(in.Measured, in.Measured[0]) }, "given twice"},
		{"of two regions", func(in *Input, p *played) {
			p.seed = 9
			other := p.file()
			other.Header.Region = "us-east-1"
			in.Measured = append(in.Measured, other)
		}, `region "eu-west-1", "us-east-1"`},
		{"compared with AWS", func(in *Input, _ *played) { in.Sandbox.Header.Backend = trial.AWS }, "is not of a sandbox"},
		{"compared with a failed run", func(in *Input, _ *played) { in.Sandbox.End.Reason = trial.Failed }, "ended as"},
		{"compared with a run that has a CPU factor", func(in *Input, _ *played) {
			in.Sandbox.Header.Model = &network.Model{Name: "m", CPUFactor: 2}
		}, "had a CPU factor already"},
		{"compared with other settings", func(in *Input, p *played) {
			p.memories = []int{256}
			*in.Sandbox = p.file()
			in.Sandbox.Header.Backend, in.Sandbox.Header.Limits.By = trial.Sandbox, lambda.CgroupV2
		}, "has no setting of the measured ones"},
		{"compared with larger objects", func(in *Input, p *played) {
			p.spec = objects(1000, 50_000, 60_000)
			*in.Sandbox = p.file()
			in.Sandbox.Header.Backend, in.Sandbox.Header.Limits.By = trial.Sandbox, lambda.CgroupV2
		}, "another workload"},
		{"compared with more objects", func(in *Input, p *played) {
			p.spec.Count = 1100
			*in.Sandbox = p.file()
			in.Sandbox.Header.Backend, in.Sandbox.Header.Limits.By = trial.Sandbox, lambda.CgroupV2
		}, "another workload"},
		{"compared with counting", func(in *Input, _ *played) { in.Sandbox.Header.Plan.Count = true }, "another workload"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := plan
			here := plan
			here.backend, here.seed = trial.Sandbox, 2
			mine := here.file()
			in := Input{Measured: []trial.File{p.file()}, Sandbox: &mine}
			row.change(&in, &p)
			_, err := Fit(in)
			var hinted *hint.Error
			if err == nil || !strings.Contains(err.Error(), row.says) || !errors.As(err, &hinted) || hinted.Next == "" {
				t.Errorf("error %v, want %q and a hint", err, row.says)
			}
		})
	}
}

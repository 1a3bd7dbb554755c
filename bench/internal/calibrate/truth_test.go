package calibrate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"fanout/bench/internal/network"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// clientCPU is what the clients take an object on the machine that plays this one,
// in ms, and how much of it a hidden Lambda takes is its CPU factor.
var clientCPU = map[string]float64{"lean": 0.07, "tuned": 0.25, "stock": 0.6}

// played makes the result file of a run by playing each invocation: the network's
// figures, CPU times and clocks are those of the model, and each line differs from
// the next by chance. It stands in for AWS, or for the sandbox of this machine.
type played struct {
	model       network.Model
	backend     string
	memories    []int
	clients     []string
	workers     []int
	invocations int
	spec        corpus.Spec
	seed        uint64
}

func (p played) file() trial.File {
	rng := rand.New(rand.NewPCG(p.seed, 0))
	f := trial.File{Header: trial.Header{
		Schema: 2, Run: fmt.Sprintf("run-%d", p.seed), Backend: p.backend, Host: "a host", Corpus: p.spec, Bytes: p.spec.TotalBytes(),
		Limits: lambda.Limits{By: lambda.CgroupV2}, At: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC),
	}, End: trial.End{Reason: trial.Complete}}
	if p.backend == trial.Sandbox {
		f.Header.Network = p.model.Name
	}
	if p.backend == trial.AWS {
		f.Header.Region, f.Header.Limits = "eu-west-1", lambda.Limits{}
	}
	all := make([]int64, p.spec.Count)
	for i := range all {
		all[i] = p.spec.Size(i)
	}
	for _, mb := range p.memories {
		for _, client := range p.clients {
			for _, workers := range p.workers {
				for i := range p.invocations + 1 {
					cpu := clientCPU[client] * p.model.Factor() * math.Exp(0.02*rng.NormFloat64())
					o := simulate(p.model, load{sizes: all, workers: workers, memoryMB: mb, vcpu: lambda.VCPU(mb), cpuMS: cpu}, rng)
					r := trial.Result{
						Run: f.Header.Run, Backend: p.backend, Contender: "go", MemoryMB: mb, Arch: lambda.X86, Client: client,
						Concurrency: workers, Start: trial.Warm, OK: true, DurationMS: o.durationMS, Stats: &fetch.Stats{
							Objects: p.spec.Count, Bytes: f.Header.Bytes, ListMS: o.listMS, TTFBP50MS: &o.p50MS, TTFBP99MS: &o.p99MS,
							CPUMS: cpu * float64(p.spec.Count), Concurrency: workers, Client: client,
						},
					}
					if i == 0 { // a set-up takes what both ends do for it, too
						ms := lambda.Milliseconds(p.model.Connect) + 1.2*math.Exp(0.1*rng.NormFloat64())
						r.Start, r.Stats.ConnectMinMS = trial.Cold, &ms
					}
					f.Results = append(f.Results, r)
				}
			}
		}
	}
	return f
}

func objects(count int, least, most int64) corpus.Spec {
	s := corpus.Default()
	s.Count, s.MinBytes, s.MaxBytes = count, least, most
	return s
}

// hiddens are Lambdas and networks that play AWS; the calibration sees their
// results only.
var hiddens = []struct {
	name  string
	model network.Model
}{
	{"farther away, slower processor", network.Model{
		FirstByteMedian: 34 * time.Millisecond, FirstByteP99: 210 * time.Millisecond, Bandwidth: 480e6 / 8, GetLimit: 5500,
		Connect: 18 * time.Millisecond, List: 75 * time.Millisecond, CPUFactor: 1.4,
	}},
	{"closer, steadier, faster processor", network.Model{
		FirstByteMedian: 9 * time.Millisecond, FirstByteP99: 22 * time.Millisecond, Bandwidth: 700e6 / 8, GetLimit: 5500,
		Connect: 6 * time.Millisecond, CPUFactor: 0.8,
	}},
	{"bandwidth by memory", network.Model{
		FirstByteMedian: 15 * time.Millisecond, FirstByteP99: 60 * time.Millisecond, Bandwidth: 600e6 / 8, Quota: true, GetLimit: 5500,
		Connect: 11 * time.Millisecond, List: 40 * time.Millisecond, CPUFactor: 1.15,
	}},
}

// within5 says whether a figure is within 5% of the truth.
func within5(t *testing.T, what string, got, want float64) {
	t.Helper()
	within(t, 0.05, what, got, want)
}

// within says whether a figure is within a share of the truth.
func within(t *testing.T, share float64, what string, got, want float64) {
	t.Helper()
	if off := got/want - 1; !(math.Abs(off) <= share) {
		t.Errorf("%s: %g, and the truth is %g (%+.1f%%)", what, got, want, off*100)
	}
}

// A hidden truth plays AWS: calibration recovers each parameter within 5%, the
// forecast medians of settings that were not fitted to lie within 10% of the
// hidden ones, and their order is the same but for those that hardly differ.
//
// It shows that the parameters can be told from a result file, and that the fit
// finds them. It does not show that a real sandbox behaves as the simulation: that
// is what `make calibration` measures.
func TestHiddenTruth(t *testing.T) {
	const seed = 41
	for _, hidden := range hiddens {
		t.Run(hidden.name, func(t *testing.T) {
			aws := played{
				model: hidden.model, backend: trial.AWS, memories: []int{128, 512, 1769}, clients: []string{"lean", "stock"},
				workers: []int{16, 64, 256}, invocations: 7, spec: corpus.Default(), seed: seed,
			}
			if hidden.model.Quota {
				aws.memories = append(aws.memories, 6144)
			}
			large := aws // which tells the bandwidth
			large.clients, large.workers, large.memories, large.seed = []string{"lean"}, []int{64}, aws.memories[2:], seed+10
			large.spec = objects(200, 2_000_000, 2_000_000)
			here := aws
			here.model, here.backend, here.seed = network.S3Standard, trial.Sandbox, seed+1
			measured, mine := aws.file(), here.file()
			r, err := Fit(Input{Measured: []trial.File{measured, large.file()}, Sandbox: &mine, Now: time.Now(), Version: "test"})
			if err != nil {
				t.Fatal(err)
			}
			got, want := r.Model, hidden.model
			within5(t, "first byte's median", got.FirstByteMedian.Seconds(), want.FirstByteMedian.Seconds())
			within5(t, "first byte's 99th percentile", got.FirstByteP99.Seconds(), want.FirstByteP99.Seconds())
			within5(t, "sigma", got.Sigma(), want.Sigma())
			within5(t, "bandwidth", got.Bandwidth, want.Bandwidth)
			within5(t, "connection set-up", got.Connect.Seconds(), want.Connect.Seconds())
			within5(t, "CPU factor", got.CPUFactor, want.CPUFactor)
			gotList, _ := got.FirstByteOfList()
			wantList, _ := want.FirstByteOfList()
			// Of an invocation there is one, so chance is allowed three standard errors: see TestHiddenTruthOfListing.
			within(t, 3*want.Sigma()/math.Sqrt(35), "listing", gotList.Seconds(), wantList.Seconds())
			if got.Quota != want.Quota {
				t.Errorf("bandwidth by memory: %t", got.Quota)
			}
			if len(r.Settings) != len(measured.Results)/8+len(large.memories) || got.Calibration.Residual > 0.05 ||
				got.Calibration.Against != "a host" {
				t.Errorf("%d settings, %+v", len(r.Settings), got.Calibration)
			}

			// Settings that nothing was fitted to: other memories, client and workers.
			aws.memories, aws.clients, aws.workers, aws.seed = []int{256, 1024, 3008}, []string{"lean", "tuned"}, []int{8, 32, 128}, seed+2
			aws.invocations = 21
			forecast := aws
			forecast.model, forecast.backend, forecast.seed = got, trial.Sandbox, seed+3
			sameOrder(t, medians(aws.file()), medians(forecast.file()))
		})
	}
}

// medians gives the warm medians by setting.
func medians(f trial.File) map[trial.Key]float64 {
	values := map[trial.Key][]float64{}
	for _, r := range f.Results {
		if r.Start == trial.Warm {
			values[r.Key()] = append(values[r.Key()], r.DurationMS)
		}
	}
	all := map[trial.Key]float64{}
	for key, v := range values {
		all[key] = median(v)
	}
	return all
}

// sameOrder checks that each forecast median lies within 10% of the truth, and
// that of each two settings whose truths differ by more than 10% the same one is
// the faster.
func sameOrder(t *testing.T, truth, forecast map[trial.Key]float64) {
	t.Helper()
	keys := slices.SortedFunc(func(yield func(trial.Key) bool) {
		for key := range truth {
			if !yield(key) {
				return
			}
		}
	}, trial.Key.Compare)
	if len(keys) < 10 || len(forecast) != len(truth) {
		t.Fatalf("%d and %d settings", len(truth), len(forecast))
	}
	for i, key := range keys {
		if off := forecast[key]/truth[key] - 1; !(math.Abs(off) <= 0.10) {
			t.Errorf("%v: %.0f ms, and the truth is %.0f (%+.1f%%)", key, forecast[key], truth[key], off*100)
		}
		for _, other := range keys[:i] {
			apart := truth[key] / truth[other]
			if apart > 1.1 && forecast[key] < forecast[other] || apart < 1/1.1 && forecast[key] > forecast[other] {
				t.Errorf("%v and %v are in another order", key, other)
			}
		}
	}
}

// Of two runs with objects of other sizes the first byte is fitted by size.
func TestHiddenTruthBySize(t *testing.T) {
	hidden := network.Model{Bandwidth: 620e6 / 8, GetLimit: 5500, Connect: 9 * time.Millisecond, Sizes: []network.FirstByte{
		{Bytes: 10_000, Median: 14 * time.Millisecond, P99: 45 * time.Millisecond},
		{Bytes: 1_000_000, Median: 28 * time.Millisecond, P99: 140 * time.Millisecond},
	}}
	var files []trial.File
	for i, spec := range []corpus.Spec{objects(1000, 9_900, 10_100), objects(1000, 990_000, 1_010_000)} {
		files = append(files, played{
			model: hidden, backend: trial.AWS, memories: []int{1769}, clients: []string{"lean"}, workers: []int{1, 2, 64}, invocations: 9,
			spec: spec, seed: uint64(i + 1),
		}.file())
	}
	r, err := Fit(Input{Measured: files})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Model.Sizes) != len(hidden.Sizes) {
		t.Fatalf("%d sizes: %+v", len(r.Model.Sizes), r.Model)
	}
	for i, want := range hidden.Sizes {
		got := r.Model.Sizes[i]
		within5(t, "size", float64(got.Bytes), float64(want.Bytes))
		within5(t, "median", got.Median.Seconds(), want.Median.Seconds())
		within5(t, "99th percentile", got.P99.Seconds(), want.P99.Seconds())
	}
	within5(t, "bandwidth", r.Model.Bandwidth, hidden.Bandwidth)
	if r.Model.CPUFactor != 1 || len(r.Model.Calibration.Assumed) != 2 {
		t.Errorf("what was not told is not said to be assumed: %+v", r.Model.Calibration.Assumed)
	}
}

// A listing's first byte is told by many invocations: of each there is one sample,
// or the sum of some where the objects take several pages.
func TestHiddenTruthOfListing(t *testing.T) {
	hidden := network.Model{
		FirstByteMedian: 15 * time.Millisecond, FirstByteP99: 45 * time.Millisecond, List: 60 * time.Millisecond, Bandwidth: 620e6 / 8,
	}
	for _, row := range []struct{ objects, invocations int }{{100, 1200}, {2500, 200}} {
		aws := played{
			model: hidden, backend: trial.AWS, memories: []int{1769}, clients: []string{"lean"}, workers: []int{16},
			invocations: row.invocations, spec: corpus.Default(), seed: 5,
		}
		aws.spec.Count = row.objects
		r, err := Fit(Input{Measured: []trial.File{aws.file()}})
		if err != nil {
			t.Fatal(err)
		}
		within5(t, fmt.Sprintf("listing of %d objects", row.objects), r.Model.List.Seconds(), hidden.List.Seconds())
	}
	aws := played{
		model: hidden, backend: trial.AWS, memories: []int{1769}, clients: []string{"lean"}, workers: []int{16}, invocations: 6,
		spec: corpus.Default(), seed: 5,
	}.file()
	aws.Results[3].Stats.ListMS = 0 // of somebody's own contender, which does not tell it
	r, err := Fit(Input{Measured: []trial.File{aws}})
	if err != nil {
		t.Fatal(err)
	}
	if assumed := strings.Join(r.Model.Calibration.Assumed, "\n"); r.Model.List != 0 || !strings.Contains(assumed, "a listing's page") {
		t.Errorf("5 invocations: %v, assumed:\n%s", r.Model.List, assumed)
	}
}

// That bandwidth grows with the memory size is told by the functions themselves
// where no run shows it; where one does, it is as that shows.
func TestBandwidthSaid(t *testing.T) {
	quota := network.Model{FirstByteMedian: 15 * time.Millisecond, FirstByteP99: 60 * time.Millisecond, Bandwidth: 600e6 / 8, Quota: true}
	flat := quota
	flat.Quota = false
	for _, row := range []struct {
		name     string
		model    network.Model // that plays AWS
		memories []int         // with large objects, which use the bandwidth up
		said     string
		quota    bool
		assumed  string // part of what is assumed
		none     string // no part of that
	}{
		{"not shown, not said", quota, []int{1769}, "", false, "", "the functions say so"},
		{"not shown, said", quota, []int{1769}, lambda.QuotaBandwidth, true, "the functions say so", "of bandwidth"},
		{"shown by large ones alone, said", quota, []int{6144}, lambda.QuotaBandwidth, true, "the functions say so", "the same at each size"},
		{"shown by large ones alone, not said", flat, []int{6144}, "", false, "the same at each size", "the functions say so"},
		{"shown, not said", quota, []int{1769, 6144}, "", true, "", "the functions say so"},
		{"shown to be flat, but said", flat, []int{1769, 6144}, lambda.QuotaBandwidth, false, "", "the functions say so"},
	} {
		t.Run(row.name, func(t *testing.T) {
			small := played{
				model: row.model, backend: trial.AWS, memories: []int{1769}, clients: []string{"lean"}, workers: []int{16}, invocations: 6,
				spec: corpus.Default(), seed: 1,
			}
			large := small
			large.memories, large.workers, large.spec, large.seed = row.memories, []int{64}, objects(200, 2_000_000, 2_000_000), 2
			files := []trial.File{small.file(), large.file()}
			files[1].Header.Bandwidth = row.said
			r, err := Fit(Input{Measured: files})
			if err != nil {
				t.Fatal(err)
			}
			assumed := strings.Join(r.Model.Calibration.Assumed, "\n")
			if r.Model.Quota != row.quota || !strings.Contains(assumed, row.assumed) || strings.Contains(assumed, row.none) {
				t.Errorf("quota %t, assumed:\n%s", r.Model.Quota, assumed)
			}
			within5(t, "bandwidth", r.Model.Bandwidth, row.model.Bandwidth)
		})
	}
}

// A bandwidth that no setting used up is assumed, and not to be less than what one
// of them moved, also if only large memory sizes did.
func TestBandwidthMoved(t *testing.T) {
	small := played{
		model: network.Model{FirstByteMedian: 15 * time.Millisecond, FirstByteP99: 60 * time.Millisecond}, backend: trial.AWS,
		memories: []int{1769}, clients: []string{"lean"}, workers: []int{16}, invocations: 6, spec: corpus.Default(), seed: 1,
	}
	large := small
	large.memories, large.workers, large.spec, large.seed = []int{6144}, []int{64}, objects(200, 2_000_000, 2_000_000), 2
	for _, said := range []string{"", lambda.QuotaBandwidth} {
		files := []trial.File{small.file(), large.file()}
		files[1].Header.Bandwidth = said
		r, err := Fit(Input{Measured: files})
		if err != nil {
			t.Fatal(err)
		}
		// It moved 400 MB in some 0.1 s, and a network without a limit is not known to have one.
		if got := r.Model.BandwidthOf(6144) * 8 / 1e6; got < 10_000 {
			t.Errorf("said %q: %.0f Mbit/s, assumed:\n%s", said, got, strings.Join(r.Model.Calibration.Assumed, "\n"))
		}
	}
}

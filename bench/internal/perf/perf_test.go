package perf

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/network"
	"fanout/bench/internal/progress"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

var update = flag.Bool("update", false, "write the golden files anew")

func valid() Options {
	return Options{
		Experiments: Experiments, Rounds: 9, Workers: 64, Large: 100_000, Dir: "/nowhere",
		Sets: Sets, Networks: []network.Model{network.None},
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(*Options)
		message string
	}{
		{"as it is", func(*Options) {}, ""},
		{"unknown experiment", func(o *Options) { o.Experiments = []string{"clients", "ceiling"} },
			`part "ceiling": must be one of clients, floor, large, large-objects, auto`},
		{"no experiment", func(o *Options) { o.Experiments = nil }, "parts: give at least one"},
		{"no round", func(o *Options) { o.Rounds = 0 }, "rounds 0: must be 1 to 1000"},
		{"too many rounds", func(o *Options) { o.Rounds = 1001 }, "rounds 1001"},
		{"too many workers", func(o *Options) { o.Workers = 5000 }, "concurrency 5000: must be 1 to 1024"},
		{"auto is no baseline", func(o *Options) { o.Workers = trial.Auto }, "concurrency 0"},
		{"large is small", func(o *Options) { o.Large = 999 }, "large 999: must be 1000 to "},
		{"no set", func(o *Options) { o.Sets = nil }, "large-objects: give at least one set"},
		{"no network", func(o *Options) { o.Networks = nil }, "large-objects: give at least one set, and one network"},
		{"two networks of one name", func(o *Options) { o.Networks = append(o.Networks, network.S3Standard, network.Model{Name: "none"}) },
			"networks: two have the name none"},
		{"no set that nobody reads", func(o *Options) { o.Experiments, o.Sets = []string{"floor"}, nil }, ""},
		{"memory", func(o *Options) { o.MemoriesMB = []int{64} }, "memory 64: must be 128 to 10240 MB"},
		{"a folder with something in it", func(o *Options) { o.Dir = "." }, ". exists already and is not empty"},
		{"a file", func(o *Options) { o.Dir = "perf.go" }, "results' folder: "},
	} {
		o := valid()
		tc.change(&o)
		err := o.Validate()
		if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.message)
		}
	}
}

// line is what a setting's invocation took.
type line struct {
	contender, client string
	memoryMB, workers int
	cpuMS, wallMS     float64
	peakMB            int
	errorType         string
}

// write makes the result file of a folder.
func write(t *testing.T, dir, name string, h trial.Header, lines ...line) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	h.Run, h.Backend, h.Host = "r", trial.Sandbox, "a processor, 2 cores, linux/amd64"
	w, err := trial.NewWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	rounds := map[trial.Key]int{}
	for i, l := range lines {
		k := trial.Key{Contender: l.contender, Client: l.client, MemoryMB: l.memoryMB, Concurrency: l.workers}
		r := trial.Result{
			Run: "r", Backend: trial.Sandbox, Contender: l.contender, Client: l.client, MemoryMB: l.memoryMB, Arch: lambda.X86,
			Concurrency: l.workers, Start: trial.Warm, Seq: rounds[k], OK: l.errorType == "", ErrorType: l.errorType,
			ProcessMS: &l.cpuMS, DurationMS: l.wallMS, MaxMemoryMB: l.peakMB,
			Stats: &fetch.Stats{Concurrency: max(l.workers, 96)}, Limits: limitsOf(l.memoryMB), At: time.Unix(int64(i), 0),
		}
		rounds[k]++
		if err := w.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, name, trial.FileName), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// limitsOf are those of a machine with two processors.
func limitsOf(memoryMB int) lambda.Limits {
	l := lambda.Limits{By: lambda.CgroupV2}
	if lambda.VCPU(memoryMB) > 2 {
		l.VCPU = 2
	}
	return l
}

func header(network string, objects int, concurrencies ...int) trial.Header {
	spec := corpus.Default()
	spec.Count = objects
	return trial.Header{Network: network, Corpus: spec, Plan: trial.Plan{Concurrencies: concurrencies, Invocations: 9}}
}

// lines gives six like l, as many as an interval needs, whose CPU times are these.
func lines(l line, cpuMS ...float64) []line {
	all := make([]line, len(cpuMS))
	for i, ms := range cpuMS {
		all[i] = l
		all[i].cpuMS, all[i].wallMS = ms, 10*ms
	}
	return all
}

// What each experiment shows of its files: ratios with intervals and spreads, a
// ratio that is not given, a competitor that failed, one that failed once, wrk, an
// experiment that was interrupted, memory that was clamped, and a noisy machine.
func TestPrint(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, clientsDir, header("s3-standard", 1000, 64), slices.Concat(
		lines(line{"go", "lean", 512, 64, 0, 0, 60, ""}, 50, 60, 55, 52, 54, 56),
		lines(line{"go", "stock", 512, 64, 0, 0, 60, ""}, 200, 240, 210, 220, 215, 205),
		lines(line{"baseline", "", 512, 64, 0, 0, 60, ""}, 100, 60, 110, 61, 108, 112),
		[]line{
			{"go", "tuned", 512, 64, 100, 900, 60, ""}, {"go", "tuned", 512, 64, 0, 0, 60, fetch.ObjectReadFailed},
			{"mine", "", 512, 0, 0, 0, 60, trial.WrongAnswer}, {"mine", "", 512, 0, 0, 0, 60, trial.WrongAnswer},
			{"go", "lean", 128, 64, 70, 900, 60, ""},
		})...)
	write(t, dir, floorDir, header("none", 1000, 64),
		line{"go", "lean", 1769, 64, 30, 100, 60, ""}, line{"go", "lean", 1769, 64, 33, 100, 60, ""})
	wrk := `{"seq":0,"requests":10000,"cpu_ms":300}
{"seq":1,"requests":0,"cpu_ms":1,"error":"wrk read nothing, or some requests failed: \nx"}
{"seq":2,"req`
	if err := os.WriteFile(filepath.Join(dir, floorDir, wrkFile), []byte(wrk), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, dir, settleDir, header("s3-standard", 1000, 32),
		line{"go", "lean", 1769, 32, 70, 900, 20, ""}, line{"go", "lean", 1769, 32, 70, 900, 33, ""})
	few := line{"go", "lean", 1769, 32, 0, 0, 40, ""}
	write(t, dir, fewDir, header("s3-standard", 1000, 32),
		lines(few, 70, 90, 71, 72, 72, 30, 70, 70, 70, 69, 68, 67, 70, 71, 72, 70, 70, 70)...)
	write(t, dir, manyDir, header("s3-standard", 100_000, 32),
		lines(line{"go", "lean", 1769, 32, 0, 0, 35, ""}, 7700, 7100, 7000, 7200, 7050, 7000)...)
	set := header("none", 8, 8)
	set.Corpus.MinBytes, set.Corpus.MaxBytes, set.Bytes = 256_000_000, 256_000_000, 2_048_000_000
	write(t, dir, largeObjectsDir+"none-8x256MB", set, slices.Concat(
		lines(line{"transfermanager", "", 10240, 8, 0, 0, 40, ""}, 1000, 1010, 1020, 990, 980, 1000),
		lines(line{"go", "lean", 10240, 8, 0, 0, 50, ""}, 500, 510, 520, 490, 480, 500),
		[]line{{"go", "lean", 512, 8, 500, 4000, 50, ""}})...)
	write(t, dir, autoDir("s3-express"), header("s3-express", 1000, trial.Auto, 8, 64),
		line{"go", "lean", 128, 8, 1, 900, 60, ""}, line{"go", "lean", 128, 64, 1, 400, 60, ""}, line{"go", "lean", 128, 0, 1, 420, 60, ""},
		line{"go", "lean", 512, 0, 1, 200, 60, ""}, line{"go", "lean", 512, 64, 1, 0, 60, lambda.TimedOut})
	looks := `{"at":"2026-01-02T03:04:05Z","spin_ms":20,"load":1.5,"steal_ticks":10,"all_ticks":1000}
{"at":"2026-01-02T03:05:05Z","spin_ms":30,"load":0.5,"steal_ticks":30,"all_ticks":2000}
{"at":`
	if err := os.WriteFile(filepath.Join(dir, machineFile), []byte(looks), 0o644); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Print(&b, dir); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/print.golden"
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || b.String() != string(want) {
		t.Errorf("%v: got\n%s\nwant\n%s", err, &b, want)
	}
}

// A folder without experiments is refused; a broken file is named.
func TestPrintRefuses(t *testing.T) {
	dir := t.TempDir()
	err := Print(&bytes.Buffer{}, dir)
	if _, status := hint.Of(err, ""); err == nil || status != hint.StatusUsage {
		t.Errorf("an empty folder: %v, status %d", err, status)
	}
	write(t, dir, floorDir, header("none", 1000, 64))
	for _, tc := range []struct{ file, text string }{ // in this order: results are read first
		{wrkFile, "{}\nhello\n"},
		{trial.FileName, "hello\n"},
	} {
		if err := os.WriteFile(filepath.Join(dir, floorDir, tc.file), []byte(tc.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := Print(&bytes.Buffer{}, dir); err == nil || !strings.Contains(err.Error(), tc.file) {
			t.Errorf("%s: %v", tc.file, err)
		}
	}
}

func TestParseWrk(t *testing.T) {
	const good = "  2 threads and 64 connections\n  81234 requests in 2.00s, 1.93GB read\nRequests/sec:  40600.00\n"
	for _, tc := range []struct {
		name, out string
		want      int
	}{
		{"good", good, 81234},
		{"answers that are none", good + "  Non-2xx or 3xx responses: 7\n", 0},
		{"broken connections", good + "  Socket errors: connect 0, read 3, write 0, timeout 0\n", 0},
		{"nothing read", "  0 requests in 2.00s, 0.00B read\n", 0},
		{"another program", "unable to connect\n", 0},
		{"too many digits", "99999999999999999999 requests in 2.00s", 0},
	} {
		got, err := parseWrk([]byte(tc.out))
		if got != tc.want || (err == nil) != (tc.want > 0) {
			t.Errorf("%s: %d, %v; want %d", tc.name, got, err, tc.want)
		}
	}
}

func FuzzParseWrk(f *testing.F) {
	f.Add([]byte("81234 requests in 2.00s"))
	f.Fuzz(func(t *testing.T, out []byte) {
		if n, err := parseWrk(out); (err == nil) != (n > 0) {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// Fixed concurrencies that can't win any more; auto is always measured.
func TestHopeless(t *testing.T) {
	rival := func(workers int, wall ...float64) *competitor {
		return &competitor{setting: trial.Setting{Concurrency: workers}, wall: wall}
	}
	auto, fast, near, slow, failing := rival(trial.Auto, 900), rival(64, 100, 110, 120), rival(32, 165), rival(8, 166, 166), rival(256)
	got := hopelessOf([]*competitor{auto, fast, near, slow, failing})
	if len(got) != 1 || got[0] != slow {
		t.Errorf("%d hopeless, want the slow one", len(got))
	}
	if got := hopelessOf([]*competitor{auto, failing}); len(got) != 0 {
		t.Errorf("%d hopeless where nothing went well", len(got))
	}
}

func TestLeft(t *testing.T) {
	second := time.Second
	s := session{}
	if s.left() != 0 {
		t.Error("nothing is known yet")
	}
	s.enter(&competitor{took: []time.Duration{2 * second, 4 * second}}, 3)
	s.enter(&competitor{took: []time.Duration{9 * second}}, 1)
	s.enter(&competitor{}, 2) // like the others' mean of 5 s
	if got := s.left(); got != (9+9+10)*second {
		t.Errorf("%v, want 28s", got)
	}
	s.drop(s.competitors[0])
	if got := s.left(); got != 19*second || s.step.Done != 3 || s.step.Total != 6 {
		t.Errorf("%v, %d of %d", got, s.step.Done, s.step.Total)
	}
}

// answering gives a client for a Lambda whose function "bad" always fails and
// whose function "good" counts one object.
func answering(t *testing.T) *awslambda.Client {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Fanout-Cpu-Ms", "3")
		if strings.Contains(r.URL.Path, "/bad/") {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			fmt.Fprint(w, `{"errorType":"Runtime.ExitError","errorMessage":"exit status 1"}`)
			return
		}
		fmt.Fprint(w, `{"result":"1","stats":{"client":"lean","objects":1,"bytes":1,"concurrency":8,"digest":"0000000000000001"}}`)
	}))
	t.Cleanup(server.Close)
	return awslambda.New(awslambda.Options{
		BaseEndpoint: aws.String(server.URL), Region: "us-east-1", Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("A", "B", ""),
	})
}

// A competitor that fails is a line, is given up after two in a row, and does
// not keep the others from going on.
func TestFailureIsARow(t *testing.T) {
	o := valid()
	o.Dir, o.Progress = t.TempDir(), progress.New(&bytes.Buffer{})
	s := session{options: &o, failures: &failures{}, header: header("none", 1, 8)}
	s.header.Plan.Count = true
	out, err := s.file(clientsDir, s.header)
	if err != nil {
		t.Fatal(err)
	}
	runner := &trial.Runner{Lambda: answering(t), Header: s.header, Bucket: "b"}
	for _, function := range []string{"bad", "good"} {
		target := trial.Target{Function: function, Contender: function, MemoryMB: 512, Arch: lambda.X86}
		s.enter(&competitor{setting: trial.Setting{Target: target, Concurrency: 8}, runner: runner, out: out}, 4)
	}
	for round := range 4 {
		for _, c := range s.competitors {
			if err := s.measure(t.Context(), c, round); err != nil {
				t.Fatal(err)
			}
		}
	}
	f, err := read(o.Dir, clientsDir)
	if err != nil {
		t.Fatal(err)
	}
	rows := clientRows(f)
	if len(rows) != 2 || rows[0].this.failed != 2 || len(rows[1].this.wall) != 4 ||
		rows[1].this.workers != 8 || rows[1].this.cpu[0] != 3000 {
		t.Errorf("%+v", rows)
	}
	if s.step.Done != 8 || s.step.Total != 8 {
		t.Errorf("%d of %d steps are done", s.step.Done, s.step.Total)
	}
	const want = "2 of 6 invocations failed; first bad: Runtime.ExitError: exit status 1"
	if err := s.failures.err(); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	if err := (&failures{of: 6}).err(); err != nil {
		t.Errorf("nothing failed: %v", err)
	}
}

func TestRatio(t *testing.T) {
	of := func(from int, values ...float64) series {
		s := series{cpu: values}
		for i := range values {
			s.rounds = append(s.rounds, from+i)
		}
		return s
	}
	for _, tc := range []struct {
		name string
		a, b series
		want string
	}{
		{"every round", of(0, 1, 2, 3, 4, 5, 6), of(0, 4, 8, 12, 16, 20, 20), "0.25 (0.25–0.30)"},
		{"rounds that both have", of(0, 9, 9, 2, 2, 2, 2, 2, 2), of(2, 4, 4, 4, 4, 4, 4, 9), "0.50 (0.50–0.50)"},
		{"too few rounds", of(0, 1, 2, 3, 4, 5), of(0, 1, 2, 3, 4, 5), "unclear (n=5)"},
		{"too wide an interval", of(0, 1, 1, 1, 1.51, 1.51, 1.51), of(0, 1, 1, 1, 1, 1, 1), "unclear (1.00–1.51)"},
		{"as wide as is worth it", of(0, 2, 2, 2, 3, 3, 3), of(0, 2, 2, 2, 2, 2, 2), "1.25 (1.00–1.50)"},
		{"down to nothing", of(0, 0, 0, 0, 1, 1, 1), of(0, 1, 1, 1, 1, 1, 1), "unclear (0.00–1.00)"},
		{"no round that both have", of(0, 3), of(7, 4), "unclear (n=0)"},
		{"no value", of(0), of(0, 4), "–"},
		{"nothing to compare with", of(0, 4), of(0), "–"},
	} {
		if got := ratio(tc.a, tc.b, cpuOf); got.Text != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got.Text, tc.want)
		}
	}
	if got := spread([]float64{90, 100, 130}); got.Text != "±20%" || math.Abs(got.Value-0.2) > 1e-9 {
		t.Errorf("%+v", got)
	}
	if got := spread(nil); got.Known {
		t.Errorf("%+v", got)
	}
}

package forecast

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/table"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

func prices(t testing.TB) cost.Prices {
	t.Helper()
	p, err := cost.Builtin.Prices("us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// plan is what the cases below change: a million objects of 25 kB behind one
// prefix, listed, in batches of 1,000, by functions that each read 1,000 objects
// a second at 512 MB, which is the time of latency: the CPU would do 2,894, the
// bandwidth 3,000. With a PUT of 0.1 s a batch takes 1.1 s: 909.09 a second.
func plan(changes ...func(*Plan)) Plan {
	p := Plan{
		Objects: 1e6, Bytes: 25_000, Prefixes: 1, Class: cost.Standard, MemoryMB: 512, Arch: lambda.X86, Children: fn.Express, Batch: 1000,
		Speed: Speed{MemoryMB: 512, Bytes: 25_000, ObjectsPerS: 1000, CPUPerObject: 100 * time.Microsecond},
	}
	for _, change := range changes {
		change(&p)
	}
	return p
}

// Each limit in its turn, worked out by hand.
func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		name      string
		plan      Plan
		binding   string
		reading   float64 // seconds
		functions int
	}{
		{"1: a prefix's 5,500 GETs a second: 10^6 / 5,500 = 181.8 s, and 5,500 / 909.09 = 6.05 functions, with a quarter more 9",
			plan(), GETRate, 181.818, 9},
		{"2: 16 prefixes give 88,000, but one listing 15 × 1,000: 10^6 / 15,000 = 66.7 s, 15,000 / 909.09 = 16.5",
			plan(func(p *Plan) { p.Prefixes = 16 }), Listing, 66.667, 17},
		{"3: 100 Standard children a second of 100 objects: 10^6 / 10,000 = 100 s; 100 take 0.2 s, 500 a second: 20 functions",
			plan(func(p *Plan) { p.Children, p.Inventory, p.Prefixes, p.Batch = fn.Standard, true, 100, 100 }), Dispatch, 100, 20},
		{"4: 10 × 909.09 = 9,090.9: 10^6 / 9,090.9 = 110 s",
			plan(func(p *Plan) { p.Prefixes, p.AccountConcurrency = 16, 10 }), Account, 110, 10},
		{"5: 1,000 prefixes give 5,500,000 and take 6,050 functions, 50.5 s to come; by then they had read 909.09 × " +
			"(1,000 × 50.5 + 50 × 50.5²) = 162 million. 10^8 take t with 909.09 × (1,000 t + 50 t²) = 10^8: t = 37.96 s; 1,000 + 3,796 came",
			plan(func(p *Plan) {
				p.Objects, p.Prefixes, p.Inventory, p.MapRuns, p.AccountConcurrency = 1e8, 1000, true, 10, 10_000
			}), Ramp, 37.958, 4796},
		{"6: 10 MB at 78.125 MB/s are 7.8125 a second, 50 of them take 6.5 s, 7.692 a second; × 500 = 3,846: 260 s",
			plan(func(p *Plan) { p.Bytes, p.Batch, p.AccountConcurrency = 10e6, 50, 500 }), Bandwidth, 260, 500},
		{"6, with the bandwidth of 3,000 Mbit/s that 10,240 MB can have: 37.5 a second, 50 take 1.433 s, 34.88 a second: 57.3 s",
			plan(func(p *Plan) {
				p.Bytes, p.Batch, p.AccountConcurrency, p.MemoryMB, p.Quota, p.Prefixes, p.Inventory = 10e6, 50, 500, 10_240, true, 16, true
			}), Bandwidth, 57.333, 500},
		{"7: 10 ms of CPU an object are 28.9 a second at 0.289 vCPU, and 28 were measured; 100 take 3.671 s, 27.24 a second; × 100: 367.1 s",
			plan(func(p *Plan) {
				p.Speed.CPUPerObject, p.Speed.ObjectsPerS, p.Batch, p.AccountConcurrency = 10*time.Millisecond, 28, 100, 100
			}), CPU, 367.143, 100},
		{"8: 5 a second by slow answers, 100 take 20.1 s, 4.975 a second; × 10,000 = 49,751. They come in 90 s and read 4.975 × " +
			"(90,000 + 50 × 90²) = 2,462,687 by then: 90 + (10^8 - 2,462,687) / 49,751 = 2,050.5 s",
			plan(func(p *Plan) {
				p.Objects, p.Prefixes, p.Inventory, p.AccountConcurrency = 1e8, 100, true, 20_000
				p.Speed.ObjectsPerS, p.Batch = 5, 100
			}), Children, 2050.5, 10_000},
		{"asked for 5 at once: 5 × 909.09 = 4,545.5: 220 s", plan(func(p *Plan) { p.MaxConcurrency = 5 }), Concurrency, 220, 5},
		{"5 batches by 5 functions: 1.1 s", plan(func(p *Plan) { p.Objects = 5000 }), Batches, 1.1, 5},
		{"S3 Express One Zone: 2,000,000 GETs, so the listing's 15,000", plan(func(p *Plan) { p.Class = cost.Express }), Listing, 66.667, 17},
		{"one object", plan(func(p *Plan) { p.Objects = 1 }), Batches, 0.101, 1},
		{"10^9 are ten Map Runs at least; one prefix's 5,500: 181,818 s, 50 hours. Each Map Run gets one of the 7 functions",
			plan(func(p *Plan) { p.Objects = 1e9 }), GETRate, 181_818.18, 10},
		{"100 at once of a prefix that feeds 6: they wait, and are paid", plan(func(p *Plan) { p.MaxConcurrency = 100 }), GETRate, 181.818, 100},
		{"objects of 11 GB take 140.8 s of 140; 10^6 / 1,000 × 140.9 s",
			plan(func(p *Plan) { p.Bytes, p.Batch = 11e9, 1 }), TimeLimit, 140_900, 1000},
	} {
		f, err := New(tc.plan, prices(t))
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got := f.Reading.Seconds(); f.Binding.Name != tc.binding || math.Abs(got-tc.reading) > 1e-3*tc.reading || f.Functions != tc.functions {
			t.Errorf("%s:\n%s, %.3f s, %d functions; want %s, %.3f s, %d", tc.name, f.Binding.Name, got, f.Functions, tc.binding,
				tc.reading, tc.functions)
		}
		if (f.Fails != "") != (tc.binding == TimeLimit) {
			t.Errorf("%s: fails %q", tc.name, f.Fails)
		}
		if tc.binding != Ramp && tc.binding != TimeLimit && (len(f.Limits) == 0 || f.Binding != f.Limits[0]) {
			t.Errorf("%s: %+v", tc.name, f.Limits)
		}
	}
}

// What reading costs and saves, worked out by hand, for the first case above.
func TestBill(t *testing.T) {
	f, err := New(plan(), prices(t))
	if err != nil {
		t.Fatal(err)
	}
	for part, want := range map[string]float64{
		"S3 GET":            0.4,             // 10^6 × 0.0004 / 1,000
		"S3 LIST":           0.005,           // 1,000 × 0.005 / 1,000
		"S3 Inventory":      0,               //
		"Lambda compute":    0.0136363909090, // 9 functions × 181.818 s × 0.5 GB × 0.0000166667
		"Lambda requests":   0.0002,          // 1,000 × 0.20 / 10^6
		"Express requests":  0.001,           // 1,000 × 1 / 10^6
		"Express duration":  0.0017569,       // (1,636.36 s + 50 s) × 0.0625 GB × 0.00001667
		"state transitions": 0.00015,         // 6 of the parent
		"results PUT":       0.00502,         // (1,000 parts + 4 files of ResultWriter) × 0.005 / 1,000
		"merge GET":         0.0004,          // 1,000 × 0.0004 / 1,000
		"merge LIST":        0.000005,        // 1 × 0.005 / 1,000
		"merge compute":     0.00000833335,   // 1,000 parts / 1,000 a second × 0.5 GB × 0.0000166667
	} {
		i := slices.IndexFunc(f.Bill, func(p cost.Part) bool { return p.Name == part })
		if i < 0 || math.Abs(f.Bill[i].Amount-want) > 1e-4*want {
			t.Errorf("%s: %+v, want $%v", part, f.Bill, want)
		}
	}
	if f.Merging != time.Second { // 1,000 parts by one function
		t.Errorf("merging %v", f.Merging)
	}
	// 10^6 items and one more are merged by 16 functions: 16 × 1,000, but a prefix
	// answers 5,500.
	if f, err = New(plan(func(p *Plan) { p.Objects = 1e8 }), prices(t)); err != nil || math.Abs(f.Merging.Seconds()-1e5/5500) > 1e-6 {
		t.Errorf("merging %v, %v", f.Merging, err)
	}
}

// What would help is the forecast with one change: 16 prefixes are 2.7 times as
// fast, since the listing then binds (15,000 against 5,500); with 16 Map Runs,
// too, they are 15.9 times, but for the last seconds.
func TestHelps(t *testing.T) {
	f, err := New(plan(func(p *Plan) { p.Objects = 1e8 }), prices(t))
	if err != nil {
		t.Fatal(err)
	}
	help := func(change string) Help {
		for _, h := range f.Helps {
			if h.Change == change {
				return h
			}
		}
		t.Errorf("no %s in %v", change, f.Helps)
		return Help{}
	}
	// (181,81.8 + 18.2) s / (6,666.7 + 18.2) s
	if h := help("16 prefixes"); math.Abs(h.Faster-2.72) > 0.01 || h.Cheaper > 1.1 || h.Binding != Listing {
		t.Errorf("%+v", h)
	}
	// 88,000 GETs a second: 18,200 s / (1,136.4 + 18.2) s
	if h := help("16 prefixes and 16 Map Runs"); math.Abs(h.Faster-15.76) > 0.01 || h.Binding != GETRate {
		t.Errorf("%+v", h)
	}
	// $42.79 against 3.00 of GETs, 0.113 of LISTs, 1.397 of retrieval, and what else there is
	h := help("S3 Express One Zone")
	if !(h.Cheaper > 5 && h.Cheaper < 10) || !(h.Faster > 2.7) {
		t.Errorf("%+v of $%v", h, f.Bill.Total())
	}
	if text := h.String(); !strings.HasPrefix(text, "S3 Express One Zone: 2.7× as fast and ") || !strings.HasSuffix(text, "× cheaper") {
		t.Error(text)
	}
	for _, h := range f.Helps {
		if h.Faster < worthIt && h.Cheaper < worthIt || strings.HasPrefix(h.Change, "an account") || strings.Contains(h.Change, "MB") {
			t.Errorf("does not help where GETs bind: %+v", h)
		}
	}
	// Where functions bind, more of them and more memory do help.
	f, err = New(plan(func(p *Plan) {
		p.Speed.CPUPerObject, p.Speed.ObjectsPerS, p.Batch, p.AccountConcurrency = 10*time.Millisecond, 28, 100, 100
	}), prices(t))
	if err != nil {
		t.Fatal(err)
	}
	// 28 × 1,769 / 512 = 96.7 a second, 100 take 1.134 s: 88.2 × 100 functions, but
	// the prefix answers 5,500: (367.1 s + 10 s) / (181.8 s + 10 s)
	if h := help("1769 MB of memory"); math.Abs(h.Faster-1.97) > 0.01 || h.Binding != GETRate {
		t.Errorf("%+v", h)
	}
	help("an account concurrency of 1000")
	if text := help("1769 MB of memory").String(); text != "1769 MB of memory: 2.0× as fast, for 1.1× the dollars" {
		t.Error(text)
	}
	// One of 140 s of objects that take 147 helps nothing; nor does any change.
	if f, err = New(plan(func(p *Plan) { p.Bytes, p.Batch = 11e9, 1 }), prices(t)); err != nil || len(f.Helps) != 0 {
		t.Errorf("%+v, %v", f.Helps, err)
	}
}

func TestAuto(t *testing.T) {
	for _, tc := range []struct {
		name               string
		plan               Plan
		batch, concurrency int
	}{
		{"a page of keys", plan(), 1000, 9},
		{"keys of 1,024 bytes: 260,096 / 1,035", plan(func(p *Plan) { p.KeyBytes = 1024 }), 251, 10},
		{"30 a second: 70 s of them are 2,100, a page is less; 5,500 / (1,000 / 33.43 s) = 183.9",
			plan(func(p *Plan) { p.Objects, p.Speed.ObjectsPerS = 1e8, 30 }), 1000, 230},
		{"10 a second: 70 s of them; 5,500 / (700 / 70.1 s) = 550.8",
			plan(func(p *Plan) { p.Objects, p.Speed.ObjectsPerS = 1e8, 10 }), 700, 689},
		{"10 a second, a million: 550 functions' 4 batches", plan(func(p *Plan) { p.Speed.ObjectsPerS = 10 }), 455, 690},
		{"objects that take longer than a batch may: one each", plan(func(p *Plan) { p.Bytes = 11e9 }), 1, 1000},
		{"few objects: 6 functions' 4 batches", plan(func(p *Plan) { p.Objects = 12_000 }), 500, 0},
		{"very few: not under 100", plan(func(p *Plan) { p.Objects = 300 }), 100, 4},
		{"one", plan(func(p *Plan) { p.Objects = 1 }), 100, 2},
		{"none", plan(func(p *Plan) { p.Objects = 0 }), 100, 2},
		{"100 starts a second for 50 prefixes' GETs: as many as reach them",
			plan(func(p *Plan) {
				p.Children, p.Inventory, p.Prefixes, p.AccountConcurrency = fn.Standard, true, 50, 10_000
			}), 2750, 0},
		{"the same with long keys: as many as fit", plan(func(p *Plan) {
			p.Children, p.Inventory, p.Prefixes, p.AccountConcurrency, p.KeyBytes = fn.Standard, true, 50, 10_000, 200
		}), 1232, 0},
		{"asked for more than fits", plan(func(p *Plan) { p.Batch = 100_000 }), 3467, 0},
	} {
		p := tc.plan
		if tc.name != "asked for more than fits" {
			p.Batch = 0
		}
		f, err := New(p, prices(t))
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if f.Plan.Batch != tc.batch || tc.concurrency > 0 && f.Plan.MaxConcurrency != tc.concurrency {
			t.Errorf("%s: batch %d, concurrency %d; want %d, %d", tc.name, f.Plan.Batch, f.Plan.MaxConcurrency, tc.batch, tc.concurrency)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name, message string
		change        func(*Plan)
	}{
		{"as it is", "", func(*Plan) {}},
		{"negative objects", "objects -1: must be 0", func(p *Plan) { p.Objects = -1 }},
		{"no prefix", "prefixes 0: must be 1", func(p *Plan) { p.Prefixes = 0 }},
		{"bytes that are no number", "bytes NaN", func(p *Plan) { p.Bytes = math.NaN() }},
		{"bytes of 51 TB", "bytes 5.1e+13: must be 0 to 50 TB", func(p *Plan) { p.Bytes = 51e12 }},
		{"a Map Run for 10^9", "map runs 1: one reads at most 100,000,000 objects, so 1000000000 objects take 10",
			func(p *Plan) { p.Objects, p.MapRuns = 1e9, 1 }},
		{"10^12 objects", "more than 1,000 Map Runs", func(p *Plan) { p.Objects = 1e12 }},
		{"no rate", "rate 0: must be above 0", func(p *Plan) { p.Speed.ObjectsPerS = 0 }},
		{"children of another kind", `children "INLINE"`, func(p *Plan) { p.Children = "INLINE" }},
		{"memory", "memory 64: must be 128 to 10240 MB", func(p *Plan) { p.MemoryMB = 64 }},
		{"architecture", `arch "mips"`, func(p *Plan) { p.Arch = "mips" }},
		{"max concurrency", "max concurrency 20000", func(p *Plan) { p.MaxConcurrency = 20_000 }},
	} {
		err := plan(tc.change).Validate()
		if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.message)
		}
	}
}

// What the state machine's text says is what the forecast goes by.
func TestDefinition(t *testing.T) {
	var machine struct {
		States map[string]struct {
			Type           string
			Choices        []struct{ NumericGreaterThan float64 }
			Next, Default  string
			End            bool
			Result         []string
			TimeoutSeconds int
		}
	}
	if err := json.Unmarshal([]byte(fn.Definition()), &machine); err != nil {
		t.Fatal(err)
	}
	if got := machine.States["Parts"].Choices[0].NumericGreaterThan; got != GroupedItems {
		t.Errorf("merged in groups above %v items, not %v", got, GroupedItems)
	}
	if got := len(machine.States["Groups"].Result); got != groups {
		t.Errorf("%d groups, not %d", got, groups)
	}
	entered, name := 1, "Source" // and the start
	for ; ; entered++ {
		s := machine.States[name]
		if s.End {
			break
		}
		if name = s.Next; name == "" {
			name = s.Default
		}
	}
	if entered+1 != ParentTransitions {
		t.Errorf("%d states are entered, with the start %d transitions, not %d", entered, entered+1, ParentTransitions)
	}
}

// Whatever the plan, the figures are figures, and can be written as JSON.
func FuzzNew(f *testing.F) {
	f.Add(int64(1e9), 25_000.0, 16, 0, 512, 1000.0, int64(100), 0, false, false)
	f.Add(int64(1), 50e12, 1, 1, 128, 1e-6, int64(0), 1, true, true)
	f.Add(int64(0), 0.0, 1, 0, 10_240, 1e6, int64(1e9), 1_000_000, true, false)
	f.Add(int64(1e11), 1e8, 16, 0, 512, 1000.0, int64(100), 0, false, true)
	p := prices(f)
	f.Fuzz(func(t *testing.T, objects int64, bytes float64, prefixes, runs, memory int, rate float64, cpuUS int64, batch int, inventory,
		express bool,
	) {
		plan := Plan{
			Objects: objects, Bytes: bytes, Prefixes: prefixes, MapRuns: runs, MemoryMB: memory, Arch: lambda.ARM, Children: fn.Standard,
			Batch: batch, Inventory: inventory, Class: cost.Standard,
			Speed: Speed{MemoryMB: 512, Bytes: 25_000, ObjectsPerS: rate, CPUPerObject: time.Duration(cpuUS) * time.Microsecond},
		}
		if express {
			plan.Class, plan.Children = cost.Express, fn.Express
		}
		if plan.Validate() != nil {
			return
		}
		got, err := New(plan, p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Fatal(err)
		}
		if got.Time() < 0 || got.Functions < 1 || got.Plan.Batch < 1 || got.Plan.MaxConcurrency < 1 || !(got.Bill.Total() >= 0) ||
			got.Batches < 0 || got.Binding.Name == "" {
			t.Errorf("%+v", got)
		}
	})
}

var update = flag.Bool("update", false, "write the table of docs/scale.md")

// The table of docs/scale.md is what the model gives.
func TestScaleTable(t *testing.T) {
	const path = "../../../../docs/scale.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, objects := range []int64{1e6, 1e8, 1e9} {
		for _, from := range []struct {
			name   string
			change func(*Plan)
		}{
			{"1 prefix", func(*Plan) {}},
			{"16 prefixes", func(p *Plan) { p.Prefixes = 16 }},
			{"16 prefixes, 16 Map Runs", func(p *Plan) { p.Prefixes, p.MapRuns = 16, 16 }},
			{"100 prefixes, 16 Map Runs", func(p *Plan) { p.Prefixes, p.MapRuns = 100, 16 }},
			{"100 prefixes, 16 Map Runs, inventory", func(p *Plan) { p.Prefixes, p.MapRuns, p.Inventory = 100, 16, true }},
			{"S3 Express One Zone, 16 Map Runs", func(p *Plan) { p.Class, p.MapRuns = cost.Express, 16 }},
			{"1 prefix, STANDARD children", func(p *Plan) { p.Children = fn.Standard }},
		} {
			f, err := New(plan(func(p *Plan) { p.Objects, p.Batch, p.Speed = objects, 0, Measured }, from.change), prices(t))
			if err != nil {
				t.Fatal(err)
			}
			name := from.name
			if strings.HasPrefix(name, "1") && f.Plan.MapRuns > 1 && !strings.Contains(name, "Map Run") {
				name += fmt.Sprintf(", %d Map Runs", f.Plan.MapRuns)
			}
			fmt.Fprintf(&rows, "| 1e%.0f | %s | %s | %s | %s | %d | %s | %s |\n", math.Log10(float64(objects)), name, Duration(f.Time()),
				table.Grouped(f.ObjectsPerS), f.Binding.Name, f.Functions, table.Dollars(f.Bill.Total()), table.Dollars(f.USDPerMillion()))
		}
	}
	lines := regexp.MustCompile(`(?m)^(ROWS|\| 1e\d .*)\n(\| 1e\d .*\n)*`)
	if *update {
		text = lines.ReplaceAll(text, []byte(strings.ReplaceAll(rows.String(), "$", "$$")))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(lines.Find(text)); got != rows.String() {
		t.Errorf("docs/scale.md has\n%swant (go test -update)\n%s", got, rows.String())
	}
}

// No line of the text is wider than asked for, of any limit that binds.
func TestTextWidth(t *testing.T) {
	for _, p := range []Plan{
		plan(), plan(func(p *Plan) { p.Bytes, p.MemoryMB, p.Batch = 100e6, 10_240, 0 }), plan(func(p *Plan) { p.Objects = 0 }),
		plan(func(p *Plan) { p.Objects, p.Bytes, p.Batch = 1, 1, 1 }), plan(func(p *Plan) { p.Bytes, p.Batch = 5e12, 0 }),
		plan(func(p *Plan) { p.Objects, p.Children, p.Batch = 1e9, fn.Standard, 1 }),
		plan(func(p *Plan) { p.Speed.Source = strings.Repeat("long\x1b[31m ", 60) }),
	} {
		f, err := New(p, prices(t))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := f.Text(&b, 80); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 || strings.ContainsRune(line, '\x1b') {
				t.Errorf("%d columns: %q", n, line)
			}
		}
		if !strings.Contains(b.String(), "calculated, not measured") || len(f.Lines()) == 0 {
			t.Error(b.String())
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0 s", 1: "<1 ms", time.Millisecond: "0.001 s", 100 * time.Millisecond: "0.1 s", 9949 * time.Millisecond: "9.9 s",
		9951 * time.Millisecond:   "10 s",
		59_499 * time.Millisecond: "59 s", 59_500 * time.Millisecond: "1m 0s", time.Hour - time.Second: "59m 59s", time.Hour: "1h 0m",
		24 * time.Hour: "1d 0h", 50*time.Hour + 31*time.Minute: "2d 3h", -time.Second: "0 s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"html/template"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"fanout/bench/internal/report"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
)

func pageOf(t *testing.T, f trial.File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, report.New(f, report.Options{})); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func parse(t *testing.T, page []byte) *html.Node {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func attribute(n *html.Node, key string) string {
	i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
	if i < 0 {
		return ""
	}
	return n.Attr[i].Val
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// all gives the elements of a name below n.
func all(n *html.Node, name string) []*html.Node {
	var found []*html.Node
	for c := range n.Descendants() {
		if c.Type == html.ElementNode && c.Data == name {
			found = append(found, c)
		}
	}
	return found
}

// readable is a page's everything that is to be read, the pictures by their
// texts and titles.
func readable(page []byte) []byte {
	page = regexp.MustCompile(`(?s)<style>.*?</style>`).ReplaceAll(page, []byte("<style>page.css</style>"))
	page = regexp.MustCompile(`(?s)<script>.*?</script>`).ReplaceAll(page, []byte("<script>page.js</script>"))
	page = regexp.MustCompile(`sha256-[^']*`).ReplaceAll(page, []byte("sha256-HASH"))
	words := regexp.MustCompile(`<(text|title)\b[^>]*>([^<]*)<`)
	return regexp.MustCompile(`(?s)(<svg [^>]*>)(.*?)</svg>`).ReplaceAllFunc(page, func(svg []byte) []byte {
		var b bytes.Buffer
		b.Write(svg[:bytes.IndexByte(svg, '>')+1])
		for _, m := range words.FindAllSubmatch(svg, -1) {
			fmt.Fprintf(&b, "\n  %s: %s", m[1], m[2])
		}
		return append(b.Bytes(), "</svg>"...)
	})
}

// The page of a small file.
func TestHTML(t *testing.T) {
	reporttest.Golden(t, "report.html", readable(pageOf(t, reporttest.Example())))
}

// Pages of few, some and many settings: what is said of them, and how it is
// laid out, must suit each.
func TestSizes(t *testing.T) {
	for _, tc := range []struct {
		settings int
		memories []int
		workers  []int
		clients  []string
	}{
		{2, []int{512}, []int{64}, []string{"lean", "stock"}}, // two clients, nothing else to choose
		{9, []int{128, 512, 1769}, []int{1, 16, 64}, []string{"lean"}},
		{60, []int{128, 256, 512, 1024, 1769, 3008}, []int{1, 16, 64, 128, 256}, []string{"lean", "stock"}},
	} {
		rng := rand.New(rand.NewPCG(uint64(tc.settings), 0))
		f := trial.File{Header: reporttest.Header()}
		f.Header.Plan.MemoriesMB, f.Header.Plan.Concurrencies, f.Header.Plan.Clients = tc.memories, tc.workers, tc.clients
		for _, memory := range tc.memories {
			for _, workers := range tc.workers {
				for i, client := range tc.clients {
					cpu := 80 * float64(1+4*i) // ms of 1,000 objects
					ms := max(25_000/float64(workers)+100, cpu/min(float64(memory)/1769, 2), 340)
					f.Results = append(f.Results, reporttest.Sample(rng, reporttest.Used{
						MemoryMB: memory, Workers: workers, Client: client, MS: ms, CPU: cpu, P50: 20, P99: 100, List: 25, MaxMB: 40,
					}, 6, 0.05)...)
				}
			}
		}
		page := pageOf(t, f)
		if n := len(all(parse(t, page), "tr")); n < tc.settings {
			t.Errorf("%d settings: %d rows", tc.settings, n)
		}
		reporttest.Golden(t, fmt.Sprintf("settings-%d.html", tc.settings), readable(page))
		if *keepPages != "" {
			if err := os.WriteFile(filepath.Join(*keepPages, fmt.Sprintf("settings-%d.html", tc.settings)), page, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

var keepPages = flag.String("pages", "", "folder to keep the pages in, to look at")

// Nothing from a results file becomes anything but text, and the page is one
// that needs nothing else.
func TestHTMLHostile(t *testing.T) {
	for name, file := range map[string]trial.File{"every text reporttest.Hostile": reporttest.Poisoned(), "none": reporttest.AWS(),
		"example": reporttest.Example()} {
		page := pageOf(t, file)
		root := parse(t, page)
		allowed := strings.Fields(`
			html head meta title link style body a header p nav button main section
			h1 h2 h3 div article span strong b dl dt dd ul li
			figure figcaption details summary table thead tbody tr th td small form
			label input select option output code pre script svg g path text`)
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if !slices.Contains(allowed, n.Data) {
				t.Errorf("%s: an element %s", name, n.Data)
			}
			for _, a := range n.Attr {
				switch {
				case strings.HasPrefix(a.Key,
					"on"), a.Key == "style", a.Key == "src", a.Key == "srcset", a.Key == "action", a.Key == "xlink:href":
					t.Errorf("%s: <%s %s=%q>", name, n.Data, a.Key, a.Val)
				case a.Key == "href" && a.Val != "data:," && !strings.HasPrefix(a.Val, "#"):
					t.Errorf("%s: a link to %q", name, a.Val)
				}
			}
		}
		if bytes.ContainsAny(page, "\x1b\u202e\ue000\ue001") {
			t.Errorf("%s: a control character from the results", name)
		}
		scripts, styles := all(root, "script"), all(root, "style")
		if len(scripts) != 1 || len(styles) != 1 || scripts[0].FirstChild.Data != pageScript || styles[0].FirstChild.Data != pageStyle {
			t.Fatalf("%s: %d scripts, %d styles", name, len(scripts), len(styles))
		}
		policy := attribute(all(root, "meta")[1], "content")
		for _, part := range []string{pageScript, pageStyle} {
			sum := sha256.Sum256([]byte(part))
			if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
				t.Errorf("%s: the policy %q does not know the page's own part", name, policy)
			}
		}
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("%s: policy %q", name, policy)
		}
		if strings.Contains(string(pageStyle), "url(") || strings.Contains(string(pageStyle), "@import") {
			t.Error("the style asks for something")
		}
		if name == "every text reporttest.Hostile" && strings.Count(textOf(root), "<script>alert(1)</script>") < 20 {
			t.Error("the names are not on the page as they are")
		}
	}
}

// What a reader who cannot see the pictures, or has no mouse, relies on.
func TestHTMLAccessible(t *testing.T) {
	root := parse(t, pageOf(t, reporttest.AWS()))
	ids := map[string]bool{}
	for n := range root.Descendants() {
		if id := attribute(n, "id"); id != "" {
			if ids[id] {
				t.Errorf("id %q twice", id)
			}
			ids[id] = true
		}
	}
	for n := range root.Descendants() {
		for _, key := range []string{"aria-labelledby", "aria-describedby"} {
			if id := attribute(n, key); id != "" && !ids[id] {
				t.Errorf("<%s %s=%q>: there is none", n.Data, key, id)
			}
		}
		switch {
		case n.DataAtom == atom.Input, n.DataAtom == atom.Select:
			if n.Parent.DataAtom != atom.Label || textOf(n.Parent) == "" {
				t.Errorf("<%s> without a label", n.Data)
			}
		case n.DataAtom == atom.Th && attribute(n, "scope") == "":
			t.Errorf("a header %q without a scope", textOf(n))
		case n.Data == "svg" && attribute(n, "aria-hidden") == "" && (attribute(n, "role") != "img" || attribute(n, "aria-label") == ""):
			t.Error("a picture without a name")
		}
	}
	if got := attribute(all(root, "html")[0], "lang"); got != "en" || len(all(root, "h1")) != 1 || len(all(root, "main")) != 1 {
		t.Errorf("language %q, or no single heading", got)
	}
	figures := all(root, "figure")
	if len(figures) != 6 {
		t.Errorf("%d figures", len(figures))
	}
	for _, f := range figures {
		if len(all(f, "h2")) != 1 || len(all(f, "figcaption")) != 1 || len(all(f, "table")) != 1 ||
			len(textOf(all(f, "figcaption")[0])) < 40 || len(all(f, "svg")) == 0 {
			t.Errorf("figure %s has no title, no words, no picture or no figures", attribute(f, "id"))
		}
	}
	rows := all(all(root, "section")[len(all(root, "section"))-2], "tr")
	headers := len(all(rows[0], "th"))
	if len(rows) != 81 {
		t.Errorf("%d rows of the table, want 80 settings and a head", len(rows))
	}
	for _, row := range rows {
		if n := len(all(row, "th")) + len(all(row, "td")); n != headers {
			t.Errorf("%d cells under %d headers: %s", n, headers, textOf(row))
		}
	}
}

// Every setting is a mark with its figures; colours do not tell alone.
func TestPictures(t *testing.T) {
	c := newCharts(report.New(reporttest.AWS(), report.Options{}))
	for _, f := range c.figures() {
		marks := 0
		for _, p := range f.Pictures {
			marks += strings.Count(string(p.Wide), "<title>")
			if p.Narrow != "" && strings.Count(string(p.Narrow), "<title>") != strings.Count(string(p.Wide), "<title>") {
				t.Errorf("%s: the narrow picture shows something else", f.ID)
			}
		}
		want := map[string]int{
			"memory":  2 * 80,      // 2 contenders, 2 architectures, 5 memories, 4 numbers of workers: time and cost
			"speedup": 80,          // the same
			"cold":    20 * 3,      // the best of each memory: init, first, warm
			"cost":    20 * 3,      // compute, fee, S3
			"runs":    maxBars * 2, // cold and warm ones of the fastest
		}[f.ID]
		if want > 0 && marks != want {
			t.Errorf("%s: %d marks, want %d", f.ID, marks, want)
		}
	}
}

// Series can be told apart by more than their colours: those of one contender,
// and those of several, where colour and shape are the contender's, and how a
// mark is filled and a line dashed is the client's.
func TestStyles(t *testing.T) {
	styles, grouped := map[string]bool{}, map[string]bool{}
	for n := range 64 {
		s := seriesStyle(n)
		styles[fmt.Sprintf("%v %s", s.role, s.shape.name)] = true
		g := groupStyle(n/6, n%6)
		if g.shape.hollow {
			t.Errorf("%s cannot be filled", g.shape.name)
		}
		grouped[fmt.Sprintf("%v %s %v %s", g.role, g.shape.name, g.filling, g.dash)] = true
	}
	if len(styles) != 64 || len(grouped) != 64 {
		t.Errorf("%d and %d of 64 series can be told apart", len(styles), len(grouped))
	}
	for a := range 8 {
		for b := range a {
			if seriesStyle(a).shape.name == seriesStyle(b).shape.name || groupStyle(a, 0).shape.name == groupStyle(b, 0).shape.name {
				t.Errorf("series %d and %d have one shape", a, b)
			}
		}
	}
}

// Of six languages with twelve clients, the page groups by language: in the key,
// and by colour. Each line is named at its end.
func TestLanguages(t *testing.T) {
	page := pageOf(t, reporttest.Languages())
	reporttest.Golden(t, "languages.html", readable(page))
	if *keepPages != "" {
		if err := os.WriteFile(filepath.Join(*keepPages, "languages.html"), page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := newCharts(report.New(reporttest.Languages(), report.Options{}))
	if len(c.series) != 12 {
		t.Fatalf("%d series", len(c.series))
	}
	for i, f := range c.figures()[:2] { // the frontier and the times by memory
		groups := 0
		for _, item := range f.Key {
			if len(item.Of) > 0 {
				groups++
			}
		}
		if i == 1 && groups != 6 || groups < 2 {
			t.Errorf("%s: %d groups in the key", f.ID, groups)
		}
	}
	byMemory := c.memory()
	for _, row := range c.series {
		if n := strings.Count(string(byMemory.Pictures[0].Wide), ">"+c.who(row)+"</text>"); n != 2 { // time and cost
			t.Errorf("%s is named %d times", c.who(row), n)
		}
	}
	// Names stand apart from each other.
	root := parse(t, []byte(byMemory.Pictures[0].Wide))
	for _, svg := range all(root, "svg") {
		at := map[string][]float64{}
		for _, text := range all(svg, "text") {
			y, err := strconv.ParseFloat(attribute(text, "y"), 64)
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range at[attribute(text, "x")] {
				if attribute(text, "text-anchor") == begins && math.Abs(other-y) < nameHeight-0.2 {
					t.Errorf("%s stands %v from another name", textOf(text), math.Abs(other-y))
				}
			}
			at[attribute(text, "x")] = append(at[attribute(text, "x")], y)
		}
	}
}

// A picture that has nothing to show says why, and is not drawn.
func TestMissingPictures(t *testing.T) {
	one := reporttest.Used{MemoryMB: 512, Workers: 64, Client: "lean", MS: 500, CPU: 100, P50: 20, P99: 100}.Result(0)
	failed := one
	failed.OK, failed.Error = false, "no"
	unpriced := trial.File{Header: reporttest.Header(), Results: []trial.Result{one}}
	unpriced.Header.Region = "mars-north-1"
	for _, tc := range []struct {
		name    string
		file    trial.File
		missing map[string]string
	}{
		{"one setting: nothing to compare", trial.File{Header: reporttest.Header(), Results: []trial.Result{one}}, map[string]string{
			"frontier": "two settings", "memory": "Only one memory size", "speedup": "one " +
				"worker", "cold": "--cold", "runs": "", "cost": ""}},
		{"no results", trial.File{Header: reporttest.Header()}, map[string]string{
			"frontier": "two settings", "memory": "No warm", "speedup": "one worker", "cold": "--cold", "runs": "No " +
				"invocation", "cost": "No warm"}},
		{"all failed", trial.File{Header: reporttest.Header(), Results: []trial.Result{failed}}, map[string]string{
			"frontier": "two settings", "memory": "No warm", "runs": "No invocation", "cost": "No warm"}},
		{"no prices", unpriced, map[string]string{"frontier": "No costs", "cost": "No costs", "runs": ""}},
	} {
		r := report.New(tc.file, report.Options{})
		for _, f := range newCharts(r).figures() {
			want, asked := tc.missing[f.ID]
			if asked && (!strings.Contains(f.Missing, want) || (f.Missing == "") != (want == "") ||
				(f.Missing == "") != (len(f.Pictures) > 0)) {
				t.Errorf("%s: %s: missing %q, %d pictures", tc.name, f.ID, f.Missing, len(f.Pictures))
			}
		}
		page := string(pageOf(t, tc.file))
		if tc.missing["runs"] != "" && !strings.Contains(page, "No setting to advise") {
			t.Errorf("%s: advice from nothing", tc.name)
		}
	}
}

// The honest words stand above everything else.
func TestBanner(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*trial.Header)
		want   string // "": no banner
	}{
		{"AWS needs none", func(h *trial.Header) { h.Backend = trial.AWS }, ""},
		{"the sandbox", func(*trial.Header) {}, "These are sandbox times, not AWS times"},
		{"an endpoint", func(h *trial.Header) { h.Backend = trial.Endpoint }, "These are times of a custom endpoint, not AWS times"},
		{"no limits", func(h *trial.Header) { h.Limits = lambda.ParseLimits("none: no permission") }, "NOT LIMITED (none: no permission)"},
	} {
		f := reporttest.Example()
		tc.change(&f.Header)
		page := string(pageOf(t, f))
		at, heading := strings.Index(page, tc.want), strings.Index(page, `class="picks"`)
		if tc.want == "" && strings.Contains(page, `class="banner"`) || at < 0 || at > heading {
			t.Errorf("%s: at %d, picks at %d", tc.name, at, heading)
		}
	}
}

// Colours have the contrast that WCAG 2.2 asks for, light and dark: 4.5 to 1
// for text, 3 to 1 for marks.
func TestContrast(t *testing.T) {
	colours := map[string][2]float64{}
	pair := regexp.MustCompile(`--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)`)
	for _, m := range pair.FindAllStringSubmatch(pageStyle, -1) {
		colours[m[1]] = [2]float64{luminance(t, m[2]), luminance(t, m[3])}
	}
	least := map[string]float64{"ink": 7, "soft": 4.5, "accent": 4.5, "good": 4.5, "warn": 4.5}
	for i := range 8 {
		least[fmt.Sprintf("c%d", i)] = 3
	}
	for name, want := range least {
		for _, back := range []string{"card", "page"} {
			for i, theme := range []string{"light", "dark"} {
				a, b := colours[name][i], colours[back][i]
				if got := (max(a, b) + 0.05) / (min(a, b) + 0.05); got < want {
					t.Errorf("%s on %s, %s: %.1f to 1, want %v", name, back, theme, got, want)
				}
			}
		}
	}
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			sum += weight * c / 12.92
			continue
		}
		sum += weight * math.Pow((c+0.055)/1.055, 2.4)
	}
	return sum
}

// A page of very many runs stays one that a browser opens.
func TestManyRuns(t *testing.T) {
	f := trial.File{Header: reporttest.Header()}
	for i := range 20_000 {
		u := reporttest.Used{MemoryMB: 512, Workers: 64, Client: "lean", MS: 400 + float64(i*7919%20_000)/100, CPU: 100, P50: 20, P99: 100}
		f.Results = append(f.Results, u.Result(i))
	}
	page := string(pageOf(t, f))
	if len(page) > 300_000 || !strings.Contains(page, "more than 200 runs") {
		t.Errorf("%d bytes", len(page))
	}
	if got := byRank(report.New(f, report.Options{}).Rows[0].Warm.Values); len(got) != maxMarks || got[0] != 400 ||
		got[maxMarks-1] != 599.99 || !slices.IsSorted(got) {
		t.Errorf("%d marks: %v", len(got), got)
	}
}

// A range too narrow for its figures ends all the same.
func TestNarrowTicks(t *testing.T) {
	if got := evenTicks(1e12, 1e12+1e-4); len(got) > 12 {
		t.Errorf("%d marks", len(got))
	}
}

// Leaving ticks out leaves the others, each time they are asked for.
func TestSpacedTicks(t *testing.T) {
	a := axis{lo: 1, hi: 100, log: true, measured: true, ticks: []tick{{1, "1"}, {1.01, "2"}, {100, "3"}}}
	for range 2 {
		if got := a.spaced(300, textWidth); len(got) != 2 || got[0].label != "1" || got[1].label != "3" {
			t.Errorf("%v", got)
		}
	}
}

// Where 1, 2 and 5 of each decade do not fit, the decades do: no label of them
// is left out here and there.
func TestCrowdedLogTicks(t *testing.T) {
	a := logarithmic("", 3, 1200)
	var labels []string
	for _, tick := range a.spaced(130, func(string) float64 { return 0.7 * fontSize }) {
		labels = append(labels, tick.label)
	}
	if !slices.Equal(labels, []string{"10", "100", "1000"}) {
		t.Errorf("%q", labels)
	}
}

// Ticks of an axis are round, in order, within it, and neither none nor many.
func TestTicks(t *testing.T) {
	for _, tc := range []struct{ lo, hi float64 }{{100, 110}, {1, 64}, {0.5, 2e9}, {235, 283}, {1e-3, 2e-3}, {125.5, 136.2},
		{404.9, 405.1}} {
		for name, ticks := range map[string]func(lo, hi float64) []tick{"logTicksOf": logTicksOf, "evenTicks": evenTicks} {
			got := ticks(tc.lo, tc.hi)
			labels := map[string]bool{}
			for i, tick := range got {
				labels[tick.label] = true
				if tick.value < tc.lo || tick.value > tc.hi || i > 0 && tick.value <= got[i-1].value {
					t.Errorf("%s of %v: %v", name, tc, got)
				}
			}
			if len(got) < 2 || len(got) > 16 || len(labels) != len(got) {
				t.Errorf("%s of %v: %v", name, tc, got)
			}
		}
	}
}

// An axis puts its ends at its ends, and on a logarithmic one equal ratios are
// equally far apart.
func TestScale(t *testing.T) {
	for _, a := range []axis{{lo: 10, hi: 1000}, {lo: 10, hi: 1000, log: true}} {
		middle := map[bool]float64{false: 505, true: 100}[a.log]
		for v, want := range map[float64]float64{10: 0, middle: 0.5, 1000: 1} {
			if got := a.share(v); math.Abs(got-want) > 1e-9 {
				t.Errorf("log %v: %v lies at %v, want %v", a.log, v, got, want)
			}
		}
	}
}

// What a plot draws lies inside it: axes, labels and marks.
func TestInsidePicture(t *testing.T) {
	for _, f := range newCharts(report.New(reporttest.AWS(), report.Options{})).figures() {
		for _, p := range f.Pictures {
			for _, markup := range []template.HTML{p.Wide, p.Narrow} {
				if markup == "" {
					continue
				}
				root := parse(t, []byte(markup))
				var width, height float64
				if _, err := fmt.Sscanf(attribute(all(root, "svg")[0], "viewbox")+attribute(all(root, "svg")[0], "viewBox"),
					"0 0 %g %g", &width, &height); err != nil {
					t.Fatal(err)
				}
				for _, text := range all(root, "text") {
					x, _ := strconv.ParseFloat(attribute(text, "x"), 64)
					y, _ := strconv.ParseFloat(attribute(text, "y"), 64)
					half := textWidth(textOf(text))
					left, right := map[string]float64{begins: 0, centred: half / 2,
						ends: half}[attribute(text, "text-anchor")],
						map[string]float64{begins: half, centred: half / 2, ends: 0}[attribute(text, "text-anchor")]
					if attribute(text, "transform") != "" {
						left, right = 6, 6
					}
					if x-left < 0 || x+right > width || y < 6 || y > height {
						t.Errorf("%s: %q at %v, %v of %v by %v", f.ID, textOf(text), x, y, width, height)
					}
				}
			}
		}
	}
}

// The page of a comparison: nothing of its names becomes anything but text, and
// it says what keeps it from being decided.
func TestComparisonPage(t *testing.T) {
	few := reporttest.Poisoned()
	few.Results = few.Results[:len(few.Results)/2]
	full := report.New(reporttest.Poisoned(), report.Options{})
	var b bytes.Buffer
	if err := WriteComparison(&b, report.Compare(full, report.New(few, report.Options{}), 0.05)); err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(b.Bytes(), "\x1b\u202e\ue000") || bytes.Contains(b.Bytes(), []byte("<img")) ||
		bytes.Contains(b.Bytes(), []byte("<script")) {
		t.Error("raw text of the results")
	}
	root := parse(t, b.Bytes())
	if !strings.Contains(textOf(root), "only in old") || !strings.Contains(textOf(all(root, "main")[0]), "Not decided: ") {
		t.Errorf("%.2000s", textOf(root))
	}
	if rows := len(all(root, "tr")); rows < 80 {
		t.Errorf("%d rows", rows)
	}
	policy := attribute(all(root, "meta")[1], "content")
	if !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "script-src 'none'") {
		t.Errorf("policy %q", policy)
	}
}

// The distribution of the objects' sizes is drawn where there is one, whatever
// it is, and named among the facts.
func TestObjectSizes(t *testing.T) {
	for _, tc := range []struct {
		name, shape string
		points      int
	}{
		{"formula", `{"name":"lognormal 100,2000","bins":[[500000,20,60,100],[490000,101,700,2000],[10000,2001,3000,9000]]}`, 4},
		{"one size", `{"name":"sizes.txt","objects":7,"bins":[[1000000,5,5,5]]}`, 2},
		{"nothing but folders", `{"name":"sizes.txt","objects":7,"bins":[[1000000,0,0,0]]}`, 2},
		{"folders and large ones", `{"name":"<b>.txt","objects":7,"bins":[[500000,0,0,0],[500000,5368709120,5368709120,5368709120]]}`, 3},
	} {
		f := reporttest.AWS()
		if err := json.Unmarshal([]byte(tc.shape), &f.Header.Corpus.Shape); err != nil {
			t.Fatal(err)
		}
		figures := newCharts(report.New(f, report.Options{})).figures()
		sizes := figures[len(figures)-1]
		wide := string(sizes.Pictures[0].Wide)
		if sizes.ID != "sizes" || strings.Count(wide, "<title>") != 2*tc.points || strings.Contains(wide, "NaN") ||
			len(sizes.Rows) != tc.points-1 || sizes.Rows[tc.points-2][1] != "100%" {
			t.Errorf("%s: %s, %d marks, %v", tc.name, sizes.ID, strings.Count(wide, "<title>"), sizes.Rows)
		}
		page := string(pageOf(t, f))
		if !strings.Contains(page, "<dt>object sizes</dt><dd>"+html.EscapeString(f.Header.Corpus.Shape.String()+", ")) ||
			strings.Contains(page, "<b>.txt") {
			t.Errorf("%s: the facts lack %s", tc.name, f.Header.Corpus.Shape)
		}
	}
	if strings.Contains(string(pageOf(t, reporttest.AWS())), "Object sizes") {
		t.Error("sizes between bounds are drawn")
	}
}

// Of a function of the caller's own, the page says nothing that nobody knows.
func TestPageOwn(t *testing.T) {
	f := reporttest.Own(512, reporttest.OneEvent, slices.Repeat([][2]float64{{400, 20}}, 6)...)
	f.Results = append(f.Results, reporttest.Own(1024, reporttest.OneEvent, slices.Repeat([][2]float64{{300, 21}}, 6)...).Results...)
	var b bytes.Buffer
	if err := Write(&b, report.New(f, report.Options{})); err != nil {
		t.Fatal(err)
	}
	body := b.String()[strings.Index(b.String(), "<body"):strings.Index(b.String(), "<script>")]
	body = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, "") // attributes are for the script
	for _, word := range []string{"worker", "speed-up", "Speed-up", "S3's part", "GETs", "objects", "needle", "client", "Client"} {
		if i := strings.Index(body, word); i >= 0 {
			t.Errorf("the page says %q: %s", word, body[max(0, i-80):i+80])
		}
	}
	for _, word := range []string{
		"Choose 512 MB mine", "order.json, 7 bytes", "run by Python 3.11.7", "Answers were compared with the first one",
		"What the function calls",
	} {
		if !strings.Contains(body, word) {
			t.Errorf("the page does not say %q", word)
		}
	}
}

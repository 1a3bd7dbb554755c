//go:build chromium

package page

import (
	"bytes"
	"context"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"fanout/bench/internal/report"
	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/trial"
)

// browser is a headless Chromium with a profile of its own, and what it said.
type browser struct {
	ctx      context.Context // lives as long as the browser
	mu       sync.Mutex
	said     []string // on the console, and as errors of any kind
	requests []string // but for data in the page
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: apt-get install -y chromium", err)
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true))
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(ctx)
	t.Cleanup(leave)
	b := &browser{ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	command(t, b, network.Enable, network.EnableParams{})
	command(t, b, log.Enable, cdp.Empty{})
	return b
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, "console: "+string(e.Type))
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, "exception: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.said = append(b.said, "log: "+e.Entry.Text)
	case *cdppage.EventJavascriptDialogOpening:
		b.said = append(b.said, "dialog: "+e.Message)
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, "data:") {
			b.requests = append(b.requests, e.Request.URL)
		}
	}
}

// patience bounds one step: a browser that hangs fails the test.
const patience = time.Minute

func command[P, R any](t *testing.T, b *browser, c cdp.Command[P, R], params P) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, c, params); err != nil {
		t.Fatal(err)
	}
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

func value[T any](t *testing.T, b *browser, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func eval[T any](t *testing.T, b *browser, script string) T {
	t.Helper()
	return value(t, b, chromedp.Evaluate[T](script))
}

// screen is what the page is shown on.
func (b *browser) screen(t *testing.T, width, height int64, phone bool) {
	t.Helper()
	scale := 1.0
	if phone {
		scale = 2
	}
	command(t, b, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: scale, Mobile: phone})
}

// open shows a page as a file, as somebody with the results' folder does.
func (b *browser) open(t *testing.T, content []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	b.do(t, chromedp.Navigate((&url.URL{Scheme: "file", Path: path}).String()), chromedp.WaitReady(chromedp.ID("run")))
}

// quiet says what a page did that it must not.
func (b *browser) quiet(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) > 0 {
		t.Errorf("the browser says %q", b.said)
	}
	if len(b.requests) != 1 {
		t.Errorf("requests: %q, want the page's only", b.requests)
	}
}

// rows gives the settings of the rows that are shown.
func (b *browser) rows(t *testing.T) []string {
	t.Helper()
	return eval[[]string](t, b, `[...document.querySelectorAll("#settings tbody tr")].filter(r => r.offsetParent)
		.map(r => r.cells[0].textContent.trim())`)
}

// screenshot writes what is seen to the folder that FANOUT_SCREENSHOTS names.
func (b *browser) screenshot(t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv("FANOUT_SCREENSHOTS")
	picture := value(t, b, chromedp.FullScreenshot(100))
	if len(picture) < 10_000 {
		t.Errorf("%s: %d bytes of a picture", name, len(picture))
	}
	if folder == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *browser) media(t *testing.T, scheme string) {
	t.Helper()
	command(t, b, emulation.SetEmulatedMedia,
		emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

const darkPage = "rgb(20, 23, 28)"

func (b *browser) background(t *testing.T) string {
	t.Helper()
	return eval[string](t, b, `getComputedStyle(document.body).backgroundColor`)
}

// The page as a reader uses it, by keyboard only.
func TestChromium(t *testing.T) {
	b := newBrowser(t)
	b.screen(t, 1280, 900, false)
	b.media(t, "light")
	b.open(t, pageOf(t, reporttest.AWS()))
	b.screenshot(t, "light")

	if n := len(b.rows(t)); n != 80 {
		t.Fatalf("%d rows", n)
	}
	// Sort by warm time: Tab reaches the button, Enter and Space press it.
	focus := func(name string) {
		t.Helper()
		b.do(t, chromedp.Focus(chromedp.ID("table")))
		for range 60 {
			b.do(t, chromedp.KeyEvent(kb.Tab))
			if eval[string](t, b, `document.activeElement.tagName + " "
				+ (document.activeElement.labels?.[0] ? [...document.activeElement.labels[0].childNodes]
				.filter(n => n.nodeType === 3).map(n => n.textContent).join("") : document.activeElement.textContent).trim()`) == name {
				return
			}
		}
		t.Fatalf("Tab does not reach %s", name)
	}
	warm := func() []float64 {
		t.Helper()
		return eval[[]float64](t, b, `[...document.querySelectorAll("#settings tbody tr")].filter(r => r.offsetParent
			&& r.cells[3].dataset.sort).map(r => Number(r.cells[3].dataset.sort))`)
	}
	sorted := func() string {
		t.Helper()
		return eval[string](t, b, `[...document.querySelectorAll("#settings th[aria-sort]")].map(h => h.textContent.trim()
			+ " " + h.ariaSort).join()`)
	}
	focus("BUTTON Warm ms")
	b.do(t, chromedp.KeyEvent(kb.Enter))
	if v := warm(); !slices.IsSorted(v) || len(v) != 80 || sorted() != "Warm ms ascending" {
		t.Errorf("%s: %v", sorted(), v)
	}
	b.do(t, chromedp.KeyEvent(" "))
	if v := warm(); !slices.IsSortedFunc(v, func(a, b float64) int { return int(b - a) }) || sorted() != "Warm ms descending" {
		t.Errorf("%s: %v", sorted(), v)
	}
	focus("BUTTON Why")
	b.do(t, chromedp.KeyEvent(kb.Enter))
	if sorted() != "Why ascending" {
		t.Errorf("sorted by %s", sorted())
	}
	// Filter: choose a memory, then a word, then clear.
	focus("SELECT Memory, MB")
	b.do(t, chromedp.KeyEvent("512"))
	if v := b.rows(t); len(v) != 16 || slices.ContainsFunc(v, func(s string) bool { return !strings.HasPrefix(s, "512 MB") }) {
		t.Errorf("512 MB: %q", v)
	}
	focus("INPUT Search")
	b.do(t, chromedp.KeyEvent("rust arm64"))
	if v := b.rows(t); len(v) != 4 || slices.ContainsFunc(v, func(s string) bool { return !strings.Contains(s, "rust arm64") }) {
		t.Errorf("rust arm64: %q", v)
	}
	if said := eval[string](t, b, `document.querySelector("#count").textContent`); said != "4 of 80" {
		t.Errorf("it says %q", said)
	}
	// Words are whole: 51 is none of 512, and what finds nothing says so.
	focus("INPUT Search")
	b.do(t, chromedp.KeyEvent(" 51"))
	if v := b.rows(t); len(v) != 0 || !eval[bool](t, b, `!!document.querySelector("#nothing").offsetParent`) {
		t.Errorf("51: %q", v)
	}
	focus("BUTTON Clear")
	b.do(t, chromedp.KeyEvent(kb.Enter), chromedp.Poll[chromedp.Void](`document.querySelector("#count").textContent === "80 of 80"`))
	focus("INPUT only the frontier")
	b.do(t, chromedp.KeyEvent(" "))
	if n, want := len(b.rows(t)), len(report.New(reporttest.AWS(), report.Options{}).Advice.Frontier); n != want {
		t.Errorf("%d rows of the frontier, want %d", n, want)
	}
	// Details of a figure open by keyboard.
	b.do(t, chromedp.Focus(chromedp.CSS("#frontier summary")), chromedp.KeyEvent(kb.Enter))
	if !eval[bool](t, b, `document.querySelector("#frontier details").open`) {
		t.Error("the figures of a chart do not open by keyboard")
	}
	b.quiet(t)
}

// Light and dark: as the system has it, until the reader chooses.
func TestChromiumTheme(t *testing.T) {
	b := newBrowser(t)
	b.screen(t, 1280, 900, false)
	b.media(t, "dark")
	b.open(t, pageOf(t, reporttest.AWS()))
	if got := b.background(t); got != darkPage {
		t.Errorf("dark: the page is %s", got)
	}
	pressed := func() string { return eval[string](t, b, `document.querySelector("#theme").ariaPressed`) }
	if pressed() != "true" {
		t.Error("dark, and the button is not pressed")
	}
	mark := func() string {
		return eval[string](t, b, `getComputedStyle(document.querySelector("#frontier .picture .f0")).fill`)
	}
	inTheDark := mark()
	b.screenshot(t, "dark")
	b.do(t, chromedp.Focus(chromedp.ID("theme")), chromedp.KeyEvent(kb.Enter))
	if b.background(t) == darkPage || pressed() != "false" || mark() == inTheDark {
		t.Errorf("after the button: the page is %s, a mark %s", b.background(t), mark())
	}
	b.media(t, "light")
	b.do(t, chromedp.KeyEvent(kb.Enter))
	if b.background(t) != darkPage {
		t.Errorf("chosen dark in a light system: the page is %s", b.background(t))
	}
	// On paper it is light, whatever was chosen.
	command(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	if got := b.background(t); got != "rgb(255, 255, 255)" {
		t.Errorf("printed: the page is %s", got)
	}
	b.screen(t, 794, 1123, false) // A4
	b.screenshot(t, "print")
	b.quiet(t)
}

// On a phone nothing but the tables scrolls sideways, and text can be read.
func TestChromiumPhone(t *testing.T) {
	for name, file := range map[string]trial.File{
		"phone": reporttest.AWS(), "phone-reporttest.Hostile": reporttest.Poisoned(), "phone-languages": reporttest.Languages(),
	} {
		b := newBrowser(t)
		b.screen(t, 390, 844, true)
		b.media(t, "light")
		b.open(t, pageOf(t, file))
		if width := eval[float64](t, b, `document.scrollingElement.scrollWidth`); width > 390 {
			t.Errorf("%s: %v wide: %v", name, width,
				eval[[]string](t, b, `[...document.querySelectorAll("main *")]
					.filter(e => e.getBoundingClientRect().right > 390 && !e.closest(".scroll"))
					.map(e => e.outerHTML.slice(0, 120)).slice(0, 5)`))
		}
		small := eval[[]float64](t, b, `[...document.querySelectorAll(".picture text")]
			.filter(e => e.getBoundingClientRect().width)
			.map(e => parseFloat(getComputedStyle(e).fontSize) * e.ownerSVGElement.getBoundingClientRect().width /
			e.ownerSVGElement.viewBox.baseVal.width)`)
		if len(small) == 0 || slices.Min(small) < 10 {
			t.Errorf("%s: text of pictures, px: %v", name, small)
		}
		b.screenshot(t, name)
		b.quiet(t)
	}
}

// Names that would be script, were they not text.
func TestChromiumHostile(t *testing.T) {
	b := newBrowser(t)
	b.screen(t, 1280, 900, false)
	b.open(t, pageOf(t, reporttest.Poisoned()))
	if n := eval[int](t, b, `document.scripts.length`); n != 1 {
		t.Errorf("%d scripts", n)
	}
	if n := eval[int](t, b, `document.querySelectorAll("img, iframe, object, embed, [onload], [style]").length`); n != 0 {
		t.Errorf("%d elements from names", n)
	}
	names := eval[string](t, b, `document.querySelector("#settings").innerText
		+ document.querySelector(".failures").innerText + document.querySelector(".details").innerText`)
	for _, text := range []string{"<script>alert(1)</script>", "onload=alert(1)"} {
		if strings.Count(names, text) < 10 {
			t.Errorf("%q is not there as text", text)
		}
	}
	// Filters compare such a name as it is.
	chosen := eval[int](t, b, `(() => { const s = document.querySelector("[data-key=who]"); s.selectedIndex = 1;
		s.dispatchEvent(new Event("input", {bubbles: true})); return [...document.querySelectorAll("#settings tbody tr")]
		.filter(r => r.offsetParent).length })()`)
	if chosen == 0 || chosen == 80 {
		t.Errorf("the filter by a reporttest.Hostile name leaves %d rows", chosen)
	}
	b.screenshot(t, "reporttest.Hostile")
	b.quiet(t)
}

// Served from somewhere it asks for nothing more, not even for an icon; and
// without its script it shows all that it has.
func TestChromiumServed(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	content := pageOf(t, reporttest.AWS())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.Path)
		http.ServeContent(w, r, "report.html", time.Time{}, bytes.NewReader(content))
	}))
	defer server.Close()
	b := newBrowser(t)
	command(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.do(t, chromedp.Navigate(server.URL+"/report.html"), chromedp.WaitReady(chromedp.ID("run")))
	if n := len(b.rows(t)); n != 80 {
		t.Errorf("without script: %d rows", n)
	}
	if eval[bool](t, b, `[...document.querySelectorAll("#filters, #theme")].some(e => e.offsetParent)`) {
		t.Error("without script: controls that do nothing")
	}
	b.quiet(t)
	mu.Lock()
	defer mu.Unlock()
	if !reflect.DeepEqual(asked, []string{"/report.html"}) {
		t.Errorf("asked for %q", asked)
	}
}

// A page of twelve series, in the dark and on paper: all lines are named where
// they end, within their card.
func TestChromiumLanguages(t *testing.T) {
	b := newBrowser(t)
	b.screen(t, 1280, 900, false)
	b.media(t, "dark")
	b.open(t, pageOf(t, reporttest.Languages()))
	names := func() int {
		return eval[int](t, b, `(() => { const card = document.querySelector("#memory").getBoundingClientRect();
			return [...document.querySelectorAll("#memory svg.wide text")].filter(e => /^(go|rust|python|node|cpp|java) /.test(e.textContent))
			.filter(e => e.getBoundingClientRect().width > 20 && e.getBoundingClientRect().right < card.right).length })()`)
	}
	if got := names(); got != 24 { // of time and of cost
		t.Errorf("%d names of lines, want 24", got)
	}
	b.screenshot(t, "languages-dark")
	command(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	b.screen(t, 794, 1123, false) // A4
	if got := names(); got != 24 {
		t.Errorf("printed: %d names of lines, want 24", got)
	}
	b.screenshot(t, "languages-print")
	b.quiet(t)
}

// README's pictures: the top of the page, and the figure of the speed-up. make
// pictures draws them from the results that FANOUT_RESULTS names into docs/;
// otherwise they are drawn from made-up ones, and not kept. Of results of many
// series, as a scorecard's, it is the time by memory only.
func TestChromiumPictures(t *testing.T) {
	results := os.Getenv("FANOUT_RESULTS")
	if results == "" {
		pictures(t, reporttest.AWS(), t.TempDir())
		pictures(t, reporttest.Languages(), t.TempDir())
		return
	}
	file, err := trial.ReadPath(results)
	if err != nil {
		t.Fatal(err)
	}
	pictures(t, file, filepath.Join("..", "..", "..", "..", "docs"))
}

func pictures(t *testing.T, file trial.File, folder string) {
	t.Helper()
	all := map[string]chromedp.Action[[]byte]{
		"report.png": chromedp.CaptureScreenshot(), "speedup.png": chromedp.Screenshot(chromedp.ID("speedup")),
	}
	if len(newCharts(report.New(file, report.Options{})).series) >= manySeries {
		all = map[string]chromedp.Action[[]byte]{"languages.png": chromedp.Screenshot(chromedp.ID("memory"))}
	}
	b := newBrowser(t)
	b.screen(t, 1280, 1040, false)
	b.media(t, "light")
	b.open(t, pageOf(t, file))
	for name, action := range all {
		picture := value(t, b, action)
		if config, err := png.DecodeConfig(bytes.NewReader(picture)); err != nil || config.Width < 1000 || config.Height < 300 {
			t.Errorf("%s: %+v, %v", name, config, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.quiet(t)
}

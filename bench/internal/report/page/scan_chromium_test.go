//go:build chromium

package page

import (
	"slices"
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"fanout/bench/internal/report/reporttest"
	"fanout/bench/internal/scan"
)

// The page of a scan on a screen, a phone, in the dark and on paper: nothing
// but tables scrolls sideways, its pictures can be read, and it loads nothing.
func TestChromiumScan(t *testing.T) {
	for name, file := range map[string]scan.File{"scan": reporttest.Scan(), "scan-incomplete": reporttest.Incomplete()} {
		b := newBrowser(t)
		page := scanPageOf(t, file)
		b.screen(t, 1280, 900, false)
		b.media(t, "light")
		b.open(t, page)
		if n := eval[int](t, b, `[...document.querySelectorAll("figure .picture svg")]
			.filter(e => e.getBoundingClientRect().width).length`); n < 4 {
			t.Errorf("%s: %d pictures", name, n)
		}
		b.screenshot(t, name+"-light")
		b.media(t, "dark")
		if got := b.background(t); got != darkPage {
			t.Errorf("%s: dark: the page is %s", name, got)
		}
		b.screenshot(t, name+"-dark")
		b.media(t, "light")
		b.screen(t, 390, 844, true)
		if width := eval[float64](t, b, `document.scrollingElement.scrollWidth`); width > 390 {
			t.Errorf("%s: %v wide: %v", name, width, eval[[]string](t, b, `[...document.querySelectorAll("main *")]
				.filter(e => e.getBoundingClientRect().right > 390 && !e.closest(".scroll")).map(e => e.outerHTML.slice(0, 120)).slice(0, 5)`))
		}
		small := eval[[]float64](t, b, `[...document.querySelectorAll(".picture text")].filter(e => e.getBoundingClientRect().width)
			.map(e => parseFloat(getComputedStyle(e).fontSize) * e.ownerSVGElement.getBoundingClientRect().width /
			e.ownerSVGElement.viewBox.baseVal.width)`)
		if len(small) == 0 || slices.Min(small) < 10 {
			t.Errorf("%s: text of pictures, px: %v", name, small)
		}
		b.screenshot(t, name+"-phone")
		command(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
		if got := b.background(t); got != "rgb(255, 255, 255)" {
			t.Errorf("%s: printed: the page is %s", name, got)
		}
		b.screen(t, 794, 1123, false) // A4
		b.screenshot(t, name+"-print")
		b.quiet(t)
	}
}

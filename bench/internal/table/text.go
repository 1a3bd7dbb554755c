package table

import (
	"fmt"
	"strconv"
	"strings"

	"fanout/bench/internal/term"
)

// The most characters that a cell and its note are shown with: more is cut off
// and marked with "…".
const (
	MaxCell = 200
	MaxNote = 400
)

// Clip makes foreign text safe to print on a terminal, on one line, see
// [term.Clean]; of more than most characters the rest is cut off and marked with
// "…".
func Clip(s string, most int) string {
	s = term.Clean(s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

// EscapeMarkdown makes text plain text in Markdown, whatever it contains. It
// stays one line, and one cell of a table.
func EscapeMarkdown(s string) string {
	var b strings.Builder
	for _, r := range Clip(s, MaxCell) {
		switch {
		case r == '<':
			b.WriteString("&lt;")
			continue
		case r == '&':
			b.WriteString("&amp;")
			continue
		case strings.ContainsRune("\\`*_[]|~#!>@", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// EscapeCSV keeps text from being a formula to a spreadsheet.
func EscapeCSV(s string) string {
	if s = Clip(s, MaxCell); s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

// Number prints three significant digits, but all of an integer's.
func Number(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// Grouped is [Number] with its thousands apart, from five digits on.
func Grouped(v float64) string { return group(Number(v)) }

// group sets the thousands of a whole number of five digits and more apart, and
// leaves any other text as it is.
func group(s string) string {
	if len(s) < 5 || strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Dollars prints an amount to the cent, or three digits of less than one.
func Dollars(v float64) string {
	if v >= 1 {
		return fmt.Sprintf("$%.2f", v)
	}
	return "$" + strconv.FormatFloat(v, 'g', 3, 64)
}

// Share prints 0.034 as 3%, 0.004 as 0.4% and 0.997 as 99.7%: only all of
// something is 100%.
func Share(v float64) string {
	if v < 0.00995 && v > 0 || v > 0.99 && v < 1 {
		return fmt.Sprintf("%.1f%%", min(v*100, 99.9))
	}
	return fmt.Sprintf("%.0f%%", v*100)
}

// Times prints a ratio: 14.9×.
func Times(v float64) string { return fmt.Sprintf("%.1f×", v) }

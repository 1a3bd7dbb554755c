package term

import (
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// escape is a control sequence as terminals take them (ECMA-48): CSI with its
// parameters, strings such as OSC up to their end, and short ones. An unended
// string is taken off up to the end of the text.
var escape = regexp.MustCompile(
	"(?s)(?:\x1b\\[|\u009b)[0-?]*[ -/]*[@-~]?" +
		"|(?:\x1b[PX\\]^_]|[\u0090\u0098\u009d-\u009f]).*?(?:\x07|\x1b\\\\|\u009c|$)" +
		"|\x1b[ -/]*[0-~]?")

// Clean gives the text without escape sequences, and with a space for any
// other character that does not print: text of a contender, such as the type
// of its error, may contain both. The result is one line.
func Clean(text string) string {
	text = escape.ReplaceAllString(strings.ToValidUTF8(text, "\uFFFD"), "")
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, text)
}

// CleanLines does the same for each line of a text.
func CleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = Clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// cells is how many columns a terminal gives to a character at most. A
// combining mark counts as one, though most terminals give it none.
func cells(c rune) int {
	switch width.LookupRune(c).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Width of a clean text, in columns.
func Width(text string) int {
	n := 0
	for _, c := range text {
		n += cells(c)
	}
	return n
}

// Cut shortens a clean text to so many columns.
func Cut(text string, columns int) string {
	if Width(text) <= columns {
		return text
	}
	var b strings.Builder
	used := 0
	for _, c := range text {
		if used += cells(c); used > columns-1 {
			break
		}
		b.WriteRune(c)
	}
	if columns > 0 {
		b.WriteRune('…')
	}
	return b.String()
}

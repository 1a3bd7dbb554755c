// Package table writes tables. A list of [Column] says once what a table
// shows: names, units, alignment and a function from a row to a [Cell].
// [Table.Text], [Table.Markdown], [Table.CSV] and [Table.HTML] write it for a
// terminal, a pull request, a spreadsheet and a page; [Table.Labels] and
// [Table.Cells] feed a template of the caller's own.
//
// Cells may contain any text: each writer escapes what its format would read as
// anything but text. How numbers are printed, for tables and for sentences, is
// said by [Number], [Grouped], [Dollars] and [Share].
package table

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"html"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Cell is what a column shows of one row.
type Cell struct {
	Text  string  // for a reader
	Value float64 // for a program: unrounded, in the unit of the column's Name
	Known bool    // whether there is a Value
	Note  string  // what else to say, in formats with room for it: HTML
}

// None is what stands in place of a figure that cannot be had.
const None = "–"

// Missing is the cell of a figure that cannot be had.
func Missing() Cell { return Cell{Text: None} }

// Text is a cell that contains no number.
func Text(s string) Cell { return Cell{Text: s} }

// Figure is a cell with a number and its text.
func Figure(v float64, text string) Cell { return Cell{Text: text, Value: v, Known: true} }

// Int is a cell with a whole number.
func Int(n int) Cell { return Figure(float64(n), strconv.Itoa(n)) }

// Label is a column's name for readers and its unit, either of which may be
// empty.
type Label struct{ Head, Unit string }

// String reads "warm ms".
func (l Label) String() string { return strings.TrimSpace(l.Head + " " + l.Unit) }

// Format is where a column is shown; formats are added with |.
type Format uint8

// Formats.
const (
	InText Format = 1 << iota
	InMarkdown
	InCSV
	InHTML
	Everywhere = InText | InMarkdown | InCSV | InHTML
)

// Column is one column of a table whose rows are Rs.
type Column[R any] struct {
	Name  string       // for programs, with the unit: "warm_ms_median"; empty: Label's text
	Label Label        // for readers
	Short Label        // for readers of a terminal; zero: Label
	Left  bool         // text: stands to the left, and is sorted as text
	Keep  int          // Text drops the columns with the lowest first; see AlwaysKeep
	In    Format       // where it is shown; 0: Everywhere
	Cell  func(R) Cell // required
}

// AlwaysKeep is the least [Column.Keep] of a column that stays in a text table
// however wide that is; one with Keep 0 is dropped first.
const AlwaysKeep = 8

// Table is columns and rows.
type Table[R any] struct {
	Columns []Column[R]
	Rows    []R
	Gap     int  // spaces between two columns of text; 0: 2
	Upper   bool // heads of text are upper-case, units stand in a line of their own

	// DropEmpty leaves out, but for programs, the columns with a dash in every
	// row, unless their Keep is more than AlwaysKeep.
	DropEmpty bool
}

// in gives the columns that a format shows.
func (t Table[R]) in(f Format) []Column[R] {
	var shown []Column[R]
	for _, c := range t.Columns {
		if c.In != 0 && c.In&f == 0 || t.DropEmpty && f != InCSV && c.Keep <= AlwaysKeep && t.empty(c) {
			continue
		}
		shown = append(shown, c)
	}
	return shown
}

// empty says whether a column has a dash in every row.
func (t Table[R]) empty(c Column[R]) bool {
	for _, row := range t.Rows {
		if c.Cell(row) != Missing() {
			return false
		}
	}
	return len(t.Rows) > 0
}

// Text writes aligned columns: text to the left, numbers to the right. Columns
// with the lowest Keep are dropped until a line fits into width; 0: none is.
func (t Table[R]) Text(w io.Writer, width int) error {
	cols := t.in(InText)
	gap := t.Gap
	if gap == 0 {
		gap = 2
	}
	lines := make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		for _, c := range cols {
			lines[i] = append(lines[i], Clip(c.Cell(row).Text, MaxCell))
		}
	}
	var heads [][]string
	label := func(c Column[R]) Label {
		if c.Short != (Label{}) {
			return c.Short
		}
		return c.Label
	}
	if t.Upper {
		heads = make([][]string, 2)
		for _, c := range cols {
			heads[0] = append(heads[0], strings.ToUpper(label(c).Head))
			heads[1] = append(heads[1], label(c).Unit)
		}
	} else {
		heads = make([][]string, 1)
		for _, c := range cols {
			heads[0] = append(heads[0], label(c).String())
		}
	}
	lines = append(heads, lines...)
	widths := fit(cols, lines, gap, width)
	var b bytes.Buffer
	for _, line := range lines {
		b.WriteString(align(cols, line, widths, strings.Repeat(" ", gap)))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// fit gives the columns' widths; a dropped one has -1.
func fit[R any](cols []Column[R], lines [][]string, gap, width int) []int {
	widths := make([]int, len(cols))
	total := -gap
	for i := range cols {
		for _, line := range lines {
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
		total += widths[i] + gap
	}
	for width > 0 && total > width {
		least := -1
		for i, c := range cols {
			if widths[i] >= 0 && c.Keep < AlwaysKeep && (least < 0 || c.Keep < cols[least].Keep) {
				least = i
			}
		}
		if least < 0 {
			break
		}
		total -= widths[least] + gap
		widths[least] = -1
	}
	return widths
}

func align[R any](cols []Column[R], line []string, widths []int, gap string) string {
	var parts []string
	for i, c := range cols {
		switch {
		case widths[i] < 0:
		case c.Left:
			parts = append(parts, fmt.Sprintf("%-*s", widths[i], line[i]))
		default:
			parts = append(parts, fmt.Sprintf("%*s", widths[i], line[i]))
		}
	}
	return strings.TrimRight(strings.Join(parts, gap), " ") + "\n"
}

// Markdown writes a table of GitHub's Markdown.
func (t Table[R]) Markdown(w io.Writer) error {
	cols := t.in(InMarkdown)
	var b bytes.Buffer
	line := func(cell func(Column[R]) string) {
		for _, c := range cols {
			b.WriteString("| " + cell(c) + " ")
		}
		b.WriteString("|\n")
	}
	line(func(c Column[R]) string { return EscapeMarkdown(c.Label.String()) })
	for _, c := range cols {
		if c.Left {
			b.WriteString("|:--")
		} else {
			b.WriteString("|--:")
		}
	}
	b.WriteString("|\n")
	for _, row := range t.Rows {
		line(func(c Column[R]) string { return EscapeMarkdown(c.Cell(row).Text) })
	}
	_, err := w.Write(b.Bytes())
	return err
}

// CSV writes a line of the columns' names and a line for each row: numbers with
// up to ten digits, and nothing in place of a number that is not known.
func (t Table[R]) CSV(w io.Writer) error {
	cols := t.in(InCSV)
	out := csv.NewWriter(w)
	line := make([]string, len(cols))
	for i, c := range cols {
		if line[i] = c.Name; c.Name == "" {
			line[i] = c.Label.String()
		}
	}
	if err := out.Write(line); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	for _, row := range t.Rows {
		for i, c := range cols {
			switch cell := c.Cell(row); {
			case cell.Known:
				line[i] = decimal(cell.Value)
			case c.Left:
				line[i] = EscapeCSV(cell.Text)
			default:
				line[i] = ""
			}
		}
		if err := out.Write(line); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}

// decimal prints ten digits: more are rounding errors.
func decimal(v float64) string {
	short, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 10, 64), 64)
	return strconv.FormatFloat(short, 'f', -1, 64)
}

// Labels gives the heads of the columns that a page shows.
func (t Table[R]) Labels() []Column[R] { return t.in(InHTML) }

// Cells gives what a page shows of a row, a cell for each of Labels; whoever
// writes them escapes them, as html/template does. Numbers of five digits and
// more have their thousands apart.
func (t Table[R]) Cells(row R) []Cell {
	var cells []Cell
	for _, c := range t.in(InHTML) {
		cell := c.Cell(row)
		cell.Text, cell.Note = Clip(cell.Text, MaxCell), Clip(cell.Note, MaxNote)
		if cell.Known {
			cell.Text = group(cell.Text)
		}
		cells = append(cells, cell)
	}
	return cells
}

// Sort is what a page sorts a cell of the column by; empty: it comes last.
func (c Column[R]) Sort(cell Cell) string {
	switch {
	case cell.Known:
		return strconv.FormatFloat(cell.Value, 'g', -1, 64)
	case c.Left:
		return cell.Text
	}
	return ""
}

// HTML writes a table element.
func (t Table[R]) HTML(w io.Writer) error {
	cols := t.Labels()
	var b bytes.Buffer
	class := func(c Column[R]) string {
		if c.Left {
			return ` class="text"`
		}
		return ""
	}
	b.WriteString("<table>\n<thead><tr>")
	for _, c := range cols {
		fmt.Fprintf(&b, `<th scope="col"%s>%s</th>`, class(c), html.EscapeString(c.Label.String()))
	}
	b.WriteString("</tr></thead>\n<tbody>\n")
	for _, row := range t.Rows {
		b.WriteString("<tr>")
		for i, cell := range t.Cells(row) {
			fmt.Fprintf(&b, `<td data-sort="%s"%s>%s`, html.EscapeString(cols[i].Sort(cell)), class(cols[i]), html.EscapeString(cell.Text))
			if cell.Note != "" {
				fmt.Fprintf(&b, " <small>%s</small>", html.EscapeString(cell.Note))
			}
			b.WriteString("</td>")
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</tbody></table>\n")
	_, err := w.Write(b.Bytes())
	return err
}

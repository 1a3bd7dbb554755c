package table

import (
	"bytes"
	"encoding/csv"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"
)

type row struct {
	name string
	ms   float64
	note string
}

func example(rows ...row) Table[row] {
	return Table[row]{
		Columns: []Column[row]{
			{Name: "client", Label: Label{Head: "client"}, Left: true, Keep: AlwaysKeep, Cell: func(r row) Cell { return Text(r.name) }},
			{Name: "warm_ms", Label: Label{"warm", "ms"}, Keep: AlwaysKeep, Cell: func(r row) Cell {
				if r.ms == 0 {
					return Missing()
				}
				c := Figure(r.ms, Number(r.ms))
				c.Note = r.note
				return c
			}},
			{Name: "objects_per_s", Label: Label{"objects per second", "1/s"}, Short: Label{"obj/s", ""}, Keep: 1, In: InText | InCSV,
				Cell: func(r row) Cell { return Int(int(1e6 / max(r.ms, 1))) }},
		},
		Rows: rows,
	}
}

func write(t *testing.T, to func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := to(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFormats(t *testing.T) {
	table := example(row{"lean", 468.25, "460 to 471"}, row{"stock", 12345.678901234, ""}, row{"none", 0, ""})
	upper := table
	upper.Upper, upper.Gap = true, 1
	for _, tc := range []struct {
		name  string
		write func(io.Writer) error
		want  string
	}{
		{"text", func(w io.Writer) error { return table.Text(w, 80) }, `
client  warm ms    obj/s
lean        468     2135
stock     12346       81
none          –  1000000
`},
		{"text that a column does not fit into", func(w io.Writer) error { return table.Text(w, 20) }, `
client  warm ms
lean        468
stock     12346
none          –
`},
		{"text in less than what must be kept", func(w io.Writer) error { return table.Text(w, 5) }, `
client  warm ms
lean        468
stock     12346
none          –
`},
		{"upper-case heads over units", func(w io.Writer) error { return upper.Text(w, 0) }, `
CLIENT  WARM   OBJ/S
          ms
lean     468    2135
stock  12346      81
none       – 1000000
`},
		{"Markdown", table.Markdown, `
| client | warm ms |
|:--|--:|
| lean | 468 |
| stock | 12346 |
| none | – |
`},
		{"CSV: ten digits, and nothing for what is not known", table.CSV, `
client,warm_ms,objects_per_s
lean,468.25,2135
stock,12345.6789,81
none,,1000000
`},
		{"HTML: thousands apart, and what to sort by", table.HTML, `
<table>
<thead><tr><th scope="col" class="text">client</th><th scope="col">warm ms</th></tr></thead>
<tbody>
<tr><td data-sort="lean" class="text">lean</td><td data-sort="468.25">468 <small>460 to 471</small></td></tr>
<tr><td data-sort="stock" class="text">stock</td><td data-sort="12345.678901234">12,346</td></tr>
<tr><td data-sort="none" class="text">none</td><td data-sort="">–</td></tr>
</tbody></table>
`},
	} {
		if got := "\n" + write(t, tc.write); got != tc.want {
			t.Errorf("%s:%s", tc.name, got)
		}
	}
}

// A table without rows has its heads, in each format.
func TestNoRows(t *testing.T) {
	for _, to := range []func(io.Writer) error{
		func(w io.Writer) error { return example().Text(w, 80) }, example().Markdown, example().CSV, example().HTML,
	} {
		if got := write(t, to); !strings.Contains(got, "client") {
			t.Errorf("%q", got)
		}
	}
}

// Whatever a cell contains stays one cell of one line, and text.
func TestHostile(t *testing.T) {
	for _, text := range []string{
		"a|b", `a\|b`, "a\nb", "a\r\nb", "\x1b[2J", "a\u202eb", "\x00", "=cmd|'/c calc'!A1", "+1", "-1", "@x", "\t=1", "`x` *y* _z_ " +
			"[a](javascript:b) ~c~ #d !e",
		"<script>alert(1)</script>", `"' onload=alert(1) x='`, "&lt;", "</table>", strings.Repeat("x", 1000), "\xff\xfe",
	} {
		table := example(row{text, 1, text})
		plain := write(t, func(w io.Writer) error { return table.Text(w, 80) })
		if strings.Count(plain, "\n") != 2 || strings.ContainsAny(plain, "\x1b\r\x00\u202e") || !utf8.ValidString(plain) {
			t.Errorf("text of %q: %q", text, plain)
		}
		markdown := write(t, table.Markdown)
		line := strings.Split(markdown, "\n")[2]
		bare := strings.ReplaceAll(strings.ReplaceAll(line, `\\`, ""), `\|`, "")
		if strings.Count(markdown, "\n") != 3 || strings.Count(bare, "|") != 3 || strings.Contains(line, "<") ||
			strings.ContainsAny(line, "\x1b\r") {
			t.Errorf("Markdown of %q: %q", text, markdown)
		}
		lines, err := csv.NewReader(strings.NewReader(write(t, table.CSV))).ReadAll()
		if err != nil || len(lines) != 2 || len(lines[1]) != 3 || strings.ContainsAny(lines[1][0], "\x1b\r\n") {
			t.Fatalf("CSV of %q: %q, %v", text, lines, err)
		}
		if cell := lines[1][0]; cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
			t.Errorf("a formula: %q", cell)
		}
		root, err := html.Parse(strings.NewReader(write(t, table.HTML)))
		if err != nil {
			t.Fatal(err)
		}
		cells := 0
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			switch n.Data {
			case "html", "head", "body", "table", "thead", "tbody", "tr", "th", "small":
			case "td":
				cells++
				for _, a := range n.Attr {
					if a.Key != "data-sort" && a.Key != "class" {
						t.Errorf("HTML of %q: an attribute %s", text, a.Key)
					}
				}
			default:
				t.Errorf("HTML of %q: an element %s", text, n.Data)
			}
		}
		if cells != 2 {
			t.Errorf("HTML of %q: %d cells", text, cells)
		}
	}
}

// A negative number is a number to a spreadsheet, and stays one.
func TestNegativeNumber(t *testing.T) {
	if got := write(t, example(row{"x", -1.5, ""}).CSV); !strings.Contains(got, "x,-1.5,") {
		t.Error(got)
	}
}

func TestFigures(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{Number(0.012345), "0.0123"}, {Number(100), "100"}, {Number(100.4), "100"},
		{Grouped(90909), "90,909"}, {Grouped(100000), "100,000"}, {Dollars(1), "$1.00"}, {Dollars(0.999), "$0.999"}, {Share(0.00995), "1%"},
		{EscapeMarkdown("a<b&c|d"), `a&lt;b&amp;c\|d`}, {Number(44.25), "44.2"}, {Number(99.96), "100"}, {Number(1234567), "1234567"},
		{Grouped(9999), "9999"}, {Grouped(12345), "12,345"}, {Grouped(1234567), "1,234,567"}, {Grouped(0.5), "0.5"}, {Grouped(-12345),
			"-1.23e+04"},
		{Dollars(406.5), "$406.50"}, {Dollars(0.0123456), "$0.0123"}, {Share(0.034), "3%"}, {Share(0.004), "0.4%"}, {Share(0),
			"0%"}, {Share(0.99), "99%"}, {Share(0.997), "99.7%"}, {Share(0.99999), "99.9%"}, {Share(1), "100%"}, {Times(14.94), "14.9×"},
		{Clip("abc", 3), "abc"}, {Clip("abcd", 3), "ab…"}, {Clip("a\x1b[31mb\x00c", 9), "ab c"},
	} {
		if tc.got != tc.want {
			t.Errorf("%q, want %q", tc.got, tc.want)
		}
	}
}

// The columns with the lowest Keep go first, and no more of them than must: a
// table that fits exactly stays as it is.
func TestFit(t *testing.T) {
	column := func(name string, keep int) Column[int] {
		return Column[int]{Label: Label{Head: name}, Keep: keep, Cell: func(int) Cell { return Text("") }}
	}
	columns := []Column[int]{column("aaaa", 5), column("bbbb", AlwaysKeep), column("cccc", 0), column("dddd", 5),
		column("eeee", 9)} // 28 wide
	for width, want := range map[int]string{
		0:  "aaaa  bbbb  cccc  dddd  eeee", // without end
		28: "aaaa  bbbb  cccc  dddd  eeee",
		27: "aaaa  bbbb  dddd  eeee",
		22: "aaaa  bbbb  dddd  eeee",
		21: "bbbb  dddd  eeee", // of equals the first goes
		16: "bbbb  dddd  eeee",
		15: "bbbb  eeee",
		3:  "bbbb  eeee", // these are the table
	} {
		got := write(t, func(w io.Writer) error { return Table[int]{Columns: columns}.Text(w, width) })
		if got != want+"\n" {
			t.Errorf("%d wide: %q, want %q", width, got, want)
		}
	}
}

// A column of dashes only says nothing to a reader; to a program it is there.
func TestEmptyColumn(t *testing.T) {
	table := example(row{"lean", 0, ""}, row{"stock", 0, ""})
	if got := write(t, table.Markdown); !strings.Contains(got, "warm ms") {
		t.Errorf("it was not asked to drop any: %s", got)
	}
	table.DropEmpty = true
	for name, to := range map[string]func(io.Writer) error{
		"text": func(w io.Writer) error { return table.Text(w, 80) }, "Markdown": table.Markdown, "HTML": table.HTML,
	} {
		if got := write(t, to); strings.Contains(got, "warm") || !strings.Contains(got, "stock") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := write(t, table.CSV); !strings.HasPrefix(got, "client,warm_ms,") {
		t.Errorf("CSV: %s", got)
	}
	table.Rows[1].ms = 5
	if got := write(t, table.Markdown); !strings.Contains(got, "| lean | – |") {
		t.Errorf("one figure, and no column: %s", got)
	}
	table.Rows[1].ms, table.Columns[1].Keep = 0, AlwaysKeep+1
	if got := write(t, table.Markdown); !strings.Contains(got, "warm ms") {
		t.Errorf("a column to keep is gone: %s", got)
	}
}

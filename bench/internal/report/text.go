package report

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"fanout/bench/internal/trial"
)

// Text writes the table for a terminal: at most 80 columns, a row a setting.
func Text(w io.Writer, f trial.File) error {
	var b bytes.Buffer
	rows := Rows(f)
	t := newTable(rows)
	h := f.Header
	fmt.Fprintf(&b, "%d objects, %.1f MB, %s\n\n", h.Corpus.Count, float64(h.Bytes)/1e6, place(h))
	t.write(&b, rows)
	fmt.Fprintf(&b, "\nwarm: median duration; ±: half its range over it; cold: init + first, median;\n"+
		"cpu/obj: the process's CPU time over objects, warm; max: peak memory;\n"+
		"speed-up: over one worker at the same memory, client and contender.\n")
	for _, r := range rows {
		for _, fail := range r.Failures {
			fmt.Fprintf(&b, "failed: %s: %d× %s: %s\n", t.name(r), fail.Count, fail.Name, clip(fail.Example, 200))
		}
	}
	if h.Backend == trial.Endpoint {
		fmt.Fprintf(&b, "Times of a custom endpoint, not AWS times.\n")
	}
	if h.Backend == trial.Sandbox {
		fmt.Fprintf(&b, "Sandbox times, not AWS times: %s.\n", h.Host)
		if strings.HasPrefix(h.Limits, "none") {
			fmt.Fprintf(&b, "CPU AND MEMORY WERE NOT LIMITED (%s): memory sizes mean nothing here.\n", h.Limits)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func place(h trial.Header) string {
	switch h.Backend {
	case trial.AWS:
		return "AWS Lambda, " + h.Region
	case trial.Endpoint:
		return "a custom endpoint"
	}
	return fmt.Sprintf("sandbox, network %s, limits %s", h.Network, h.Limits)
}

// table knows which columns are worth their width.
type table struct {
	contenders, archs bool // more than one of them
	nameWidth         int
}

func newTable(rows []Row) table {
	var t table
	for _, r := range rows {
		t.contenders = t.contenders || r.Contender != rows[0].Contender
		t.archs = t.archs || r.Arch != rows[0].Arch
	}
	t.nameWidth = len("CLIENT")
	for _, r := range rows {
		t.nameWidth = max(t.nameWidth, utf8.RuneCountInString(t.who(r)))
	}
	t.nameWidth = min(t.nameWidth, 20)
	return t
}

// who says which code ran: the client, and contender and architecture where
// there are several.
func (t table) who(r Row) string {
	var parts []string
	if t.contenders || r.Client == "" {
		parts = append(parts, r.Contender)
	}
	if t.archs {
		parts = append(parts, r.Arch)
	}
	if r.Client != "" {
		parts = append(parts, r.Client)
	}
	return clip(strings.Join(parts, " "), 20)
}

func (t table) name(r Row) string {
	return fmt.Sprintf("%d MB %s, %s workers", r.MemoryMB, t.who(r), workers(r))
}

func workers(r Row) string {
	switch {
	case r.Concurrency != trial.Auto:
		return strconv.Itoa(r.Concurrency)
	case r.Client == "":
		return "own"
	case r.Chosen > 0:
		return fmt.Sprintf("auto %d", r.Chosen)
	}
	return "auto"
}

func (t table) write(b *bytes.Buffer, rows []Row) {
	line := func(memory, who, workers, n, warm, spread, cold, cpu, peak, rate, speedup string) {
		text := fmt.Sprintf("%6s %-*s %8s %3s %8s %4s %7s %7s %5s %6s %8s",
			memory, t.nameWidth, who, workers, n, warm, spread, cold, cpu, peak, rate, speedup)
		fmt.Fprintln(b, strings.TrimRight(text, " "))
	}
	line("MEMORY", "CLIENT", "WORKERS", "N", "WARM", "±", "COLD", "CPU/OBJ", "MAX", "OBJ/S", "SPEED-UP")
	line("MB", "", "", "", "ms", "", "ms", "µs", "MB", "", "")
	const none = "–"
	for _, r := range rows {
		warm, spread, cold, cpu, rate, speedup := none, none, none, none, none, none
		switch {
		case r.Warm.N > 0:
			warm, rate = number(r.Warm.Median), number(r.ObjectsPerS)
		case r.Failed > 0:
			warm = clip(r.Failures[0].Name, 8)
		}
		if r.Warm.N > 1 {
			spread = fmt.Sprintf("%.0f%%", r.Warm.Spread()*100)
		}
		if r.Cold.N > 0 {
			cold = number(r.Cold.Median)
		}
		if r.CPUPerObject.N > 0 {
			cpu = number(r.CPUPerObject.Median)
		}
		if r.SpeedUp > 0 {
			speedup = fmt.Sprintf("%.1f×", r.SpeedUp)
		}
		line(strconv.Itoa(r.MemoryMB), t.who(r), workers(r), strconv.Itoa(r.Warm.N), warm, spread, cold, cpu,
			strconv.Itoa(r.MaxMemoryMB), rate, speedup)
	}
}

// number prints three significant digits, but all of an integer's.
func number(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// clip makes text from a result file safe for a terminal, and short.
func clip(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/network"
	"fanout/bench/internal/table"
	"fanout/bench/internal/term"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
)

// Name says which setting a row is, as far as the report's settings differ,
// and is safe for a terminal.
func (r *Report) Name(row Row) string {
	if r.Own() {
		return fmt.Sprintf("%d MB %s", row.MemoryMB, r.Who(row))
	}
	word := "workers"
	if row.Concurrency == 1 {
		word = "worker"
	}
	return fmt.Sprintf("%d MB %s, %s %s", row.MemoryMB, r.Who(row), row.Workers(), word)
}

// Who says which code ran: the client, and contender and architecture where
// there are several.
func (r *Report) Who(row Row) string { return table.Clip(r.who(row, 20), 20) }

// Series says the same at more length: which code ran, for the series of a
// chart.
func (r *Report) Series(row Row) string { return r.who(row, 24) }

// who is Who, with most characters of each part.
func (r *Report) who(row Row, most int) string {
	var contenders, archs bool
	for _, o := range r.Rows {
		contenders = contenders || o.Contender != row.Contender
		archs = archs || o.Arch != row.Arch
	}
	var parts []string
	if contenders || row.Client == "" {
		parts = append(parts, table.Clip(row.Contender, most))
	}
	if archs {
		parts = append(parts, table.Clip(row.Arch, most))
	}
	if row.Client != "" {
		parts = append(parts, table.Clip(row.Client, most))
	}
	return strings.Join(parts, " ")
}

// fullName names all of a setting: two reports may leave out different parts.
func (r *Report) fullName(row Row) string {
	return table.Clip(fmt.Sprintf("%s %s %s ×%s %d MB", row.Contender, row.Arch, cmp.Or(row.Client, "own"), row.Key.Workers(),
		row.MemoryMB), 60)
}

// Environment says where the functions ran: "AWS Lambda, us-east-1".
func (r *Report) Environment() string {
	switch h := r.Header; h.Backend {
	case trial.AWS:
		return "AWS Lambda, " + table.Clip(h.Region, 100) + r.quota()
	case trial.Endpoint:
		return "a custom endpoint" + r.quota()
	case trial.Sandbox:
		if r.Own() {
			return table.Clip(fmt.Sprintf("sandbox, limits %s", h.Limits), 200)
		}
		fallthrough
	default:
		calibrated := ""
		if h.Calibration() != nil {
			calibrated = " (calibrated)"
		}
		return table.Clip(fmt.Sprintf("sandbox, network %s%s%s, limits %s", h.Network, calibrated, r.quota(), h.Limits), 200)
	}
}

// quota says, where the bandwidth grew with the memory size, up to what: ",
// bandwidth quota: 1812 Mbit/s at 6144 MB", the largest size measured.
func (r *Report) quota() string {
	most := 0
	for _, row := range r.Rows {
		most = max(most, row.MemoryMB)
	}
	h := r.Header
	if quota := h.Bandwidth == lambda.QuotaBandwidth || h.NetworkModel().Quota; !quota || r.Own() || most == 0 || h.BandwidthOf(most) == 0 {
		return ""
	}
	return fmt.Sprintf(", bandwidth quota: %.0f Mbit/s at %d MB", h.BandwidthOf(most)*8/1e6, most)
}

// Subject says what was read, and where: "1000 objects, 25.5 MB, AWS Lambda,
// us-east-1".
func (r *Report) Subject() string {
	if r.Own() {
		return r.Events() + ", " + r.Environment()
	}
	return fmt.Sprintf("%d objects, %.1f MB, %s", r.Objects, float64(r.Bytes)/1e6, r.Environment())
}

// Events says what the caller's own functions were invoked with: "event
// order.json" or "3 events".
func (r *Report) Events() string {
	events := r.Header.Plan.Events
	if len(events) == 1 {
		return "event " + table.Clip(events[0].Name, 60)
	}
	return counted(len(events), "event")
}

// Answers says how the answers to these events were checked.
func (r *Report) Answers() string {
	switch r.Header.Plan.Expect {
	case trial.ExpectNone:
		return "Answers were not compared"
	case trial.ExpectGiven:
		return "Answers were compared with the given one"
	}
	return "Answers were compared with the first one"
}

// Caveats say what the times are not, and that the run was cut. They stand above
// everything else, in each format for readers.
func (r *Report) Caveats() []string {
	var said []string
	if ending := r.Ending(); ending != "" {
		said = append(said, ending+".")
	}
	h := r.Header
	switch h.Backend {
	case trial.Endpoint:
		said = append(said, "These are times of a custom endpoint, not AWS times, and costs at those times.")
	case trial.Sandbox:
		said = append(said, fmt.Sprintf("These are sandbox times, not AWS times, and costs at those times: %s.", table.Clip(h.Host, 100)))
		if by := r.CalibratedBy(); by != "" {
			said = append(said, "The sandbox was calibrated by "+by+".")
		}
		if h.Limits.None() {
			said = append(said, fmt.Sprintf("CPU and memory were NOT LIMITED (%s): memory sizes mean nothing here.",
				table.Clip(h.Limits.String(), 100)))
		}
	}
	return said
}

// CalibratedBy says what the sandbox was fitted to, when that was measured, and
// with which residual; empty: to nothing.
func (r *Report) CalibratedBy() string { return calibratedBy(r.Header.Calibration()) }

func calibratedBy(c *network.Calibration) string {
	if c == nil {
		return ""
	}
	return table.Clip(c.String(), 300)
}

// Ending says why a run ended before it was complete, without a period; empty:
// it is complete, or its file is of the first format, which does not say.
func (r *Report) Ending() string {
	said := map[string]string{
		trial.Budget:          "CUT RUN: its budget was used up",
		trial.Interrupted:     "CUT RUN: it was interrupted",
		trial.Failed:          "CUT RUN: it failed",
		trial.PrecisionMissed: "The precision was not reached",
		trial.WrongAnswers:    "WRONG ANSWERS were given in this run",
		"":                    "CUT RUN: its file has no closing line, so it was killed, or is still running",
	}[r.End.Reason]
	switch {
	case r.End.Reason == trial.Complete || r.End.Reason == "" && r.Header.Schema < 2:
		return ""
	case said == "":
		said = "Ended: " + table.Clip(r.End.Reason, 60)
	}
	if r.End.Text != "" {
		said += " (" + table.Clip(r.End.Text, 200) + ")"
	}
	if r.Cut() {
		said += "; settings may have fewer invocations than planned, or none"
	}
	return said
}

// Cut says whether invocations that were planned are missing.
func (r *Report) Cut() bool {
	switch r.End.Reason {
	case trial.Budget, trial.Interrupted, trial.Failed:
		return true
	case "":
		return r.Header.Schema >= 2
	}
	return false
}

// counted reads "1 line" or "3 lines".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Command is what repeats the run: in the sandbox as it was, elsewhere with the
// stack to be named. A contender's path is not in the file, and to be filled in.
func (r *Report) Command() string {
	h := r.Header
	words := []string{"fanout", "run"}
	flag := func(name string, value any) {
		words = append(words, "--"+name, term.ShellWord(table.Clip(fmt.Sprint(value), 200)))
	}
	list := func(name string, values []string) {
		if len(values) > 0 {
			flag(name, strings.Join(values, ","))
		}
	}
	var memories, concurrencies []string
	for _, mb := range h.Plan.MemoriesMB {
		memories = append(memories, strconv.Itoa(mb))
	}
	for _, n := range h.Plan.Concurrencies {
		concurrencies = append(concurrencies, trial.Key{Client: "any", Concurrency: n}.Workers())
	}
	switch {
	case h.Backend == trial.Sandbox:
	case r.Own():
		flag("function", "ARN")
	default:
		flag("stack", "STACK")
	}
	list("memory", memories)
	list("arch", h.Plan.Architectures)
	list("client", h.Plan.Clients)
	list("concurrency", concurrencies)
	flag("invocations", h.Plan.Invocations)
	flag("cold", h.Plan.Cold)
	if r.Own() {
		r.ownFlags(flag)
	} else {
		flag("sequential", h.Plan.Sequential)
	}
	flag("seed", h.Plan.Seed)
	if h.Plan.Count {
		words = append(words, "--count")
	}
	if h.Bandwidth != "" && h.Model == nil {
		flag("bandwidth", h.Bandwidth)
	}
	if h.Backend != trial.Sandbox {
		return strings.Join(words, " ")
	}
	for _, name := range h.Plan.Contenders {
		spec := name + "=PATH"
		if i := slices.IndexFunc(r.Runtimes, func(ran Runtime) bool { return ran.Contender == name }); i >= 0 {
			spec += ",runtime=" + r.Runtimes[i].Asked + ",handler=HANDLER"
		}
		for _, client := range r.fewer(name) {
			spec += ",client=" + client
		}
		if name != "go" || spec != "go=PATH" { // which is always there
			flag("contender", spec)
		}
	}
	switch {
	case h.Model != nil:
		flag("network", "FILE")
	case h.Network != "":
		flag("network", h.Network)
	}
	if s := h.Corpus; s.Count > 0 {
		flag("objects", s.Count)
		if figures, ok := s.Shape.Lognormal(); ok {
			flag("lognormal", figures)
		} else if !s.Shape.IsZero() {
			flag("shape", s.Shape.Name())
		} else {
			flag("min-bytes", s.MinBytes)
			flag("max-bytes", s.MaxBytes)
		}
		flag("corpus-seed", s.Seed)
		if !r.Own() {
			flag("needle", s.Needle)
		}
		flag("prefix", s.Prefix)
	}
	return strings.Join(words, " ")
}

// fewer names a contender's clients, if it has some of the plan's only.
func (r *Report) fewer(contender string) []string {
	var clients []string
	for _, row := range r.Rows {
		if row.Contender == contender && slices.Contains(r.Header.Plan.Clients, row.Client) && !slices.Contains(clients, row.Client) {
			clients = append(clients, row.Client)
		}
	}
	if len(clients) == len(r.Header.Plan.Clients) || r.Cut() {
		return nil
	}
	return clients
}

// ownFlags adds what a run with the caller's own events was given.
func (r *Report) ownFlags(flag func(name string, value any)) {
	p := r.Header.Plan
	if len(p.Events) == 1 {
		flag("event", p.Events[0].Name)
	} else {
		flag("events", "FILE")
	}
	switch p.Expect {
	case trial.ExpectNone:
		flag("expect", string(trial.ExpectNone))
	case trial.ExpectGiven:
		flag("expect", "JSON")
	}
}

// PricesUsed says whose prices the costs are at, and of when.
func (r *Report) PricesUsed() string {
	if r.Own() {
		return fmt.Sprintf("%s, %s, no free tier", r.Region, r.Date)
	}
	class := "S3 Standard"
	if r.Class == cost.Express {
		class = "S3 Express One Zone"
	}
	return fmt.Sprintf("%s, %s, %s, no free tier", r.Region, r.Date, class)
}

package page

import (
	"fanout/bench/internal/cost"
	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
	"fanout/functions/lambda"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// details says what was measured, where, and with which prices.
func details(r *report.Report) []fact {
	h := r.Header
	var all []fact
	add := func(name, value string) {
		if value = table.Clip(value, 300); value != "" {
			all = append(all, fact{name, value})
		}
	}
	list := func(values []int) string {
		words := make([]string, len(values))
		for i, v := range values {
			words[i] = strconv.Itoa(v)
		}
		return strings.Join(words, ", ")
	}
	var concurrencies []string
	for _, n := range h.Plan.Concurrencies {
		concurrencies = append(concurrencies, trial.Key{Client: "any", Concurrency: n}.Workers())
	}
	when := h.At.UTC().Format("2006-01-02 15:04 UTC")
	if h.At.Equal(time.Time{}) {
		when = ""
	}
	add("run", h.Run)
	all = append(all, fact{"to repeat it", r.Command()})
	add("begun", when)
	add("version", h.Version)
	add("backend", h.Backend)
	add("host", h.Host)
	add("region", h.Region)
	if !r.Own() {
		add("network model", h.Network)
		if h.Model != nil {
			add("its figures", h.Model.String())
		}
		add("calibrated by", r.CalibratedBy())
		if c := h.Calibration(); c != nil {
			add("CPU compared with", c.Against)
			add("assumed", strings.Join(c.Assumed, "; "))
		}
	}
	add("CPU and memory limits", h.Limits.String())
	add("contenders", strings.Join(h.Plan.Contenders, ", "))
	add("memories, MB", list(h.Plan.MemoriesMB))
	add("architectures", strings.Join(h.Plan.Architectures, ", "))
	add("clients", strings.Join(h.Plan.Clients, ", "))
	add("workers", strings.Join(concurrencies, ", "))
	for _, ran := range r.Runtimes {
		add("runtime", ran.String())
	}
	if r.Own() {
		add("invocations per setting", fmt.Sprintf("%d warm, %d cold", h.Plan.Invocations, h.Plan.Cold))
		add("events", eventList(h.Plan.Events))
		add("answers", r.Answers())
		add("seed of the order", strconv.FormatUint(h.Plan.Seed, 10))
	} else {
		add("invocations per setting", fmt.Sprintf("%d warm, %d cold; %d warm with one worker", h.Plan.Invocations, h.Plan.Cold,
			h.Plan.Sequential))
		question := "find the first object that contains the needle"
		if h.Plan.Count {
			question = "count the objects"
		}
		add("question", question)
		add("seed of the order", strconv.FormatUint(h.Plan.Seed, 10))
		add("objects", fmt.Sprintf("%d, %.1f MB in total", r.Objects, float64(r.Bytes)/1e6))
	}
	if s := h.Corpus; s.Count > 0 {
		add("corpus", fmt.Sprintf("%d to %d bytes each, seed %d, prefix %s, needle %s", s.MinBytes, s.MaxBytes, s.Seed, s.Prefix, s.Needle))
		if !s.Shape.IsZero() {
			add("object sizes", fmt.Sprintf("%s, %.1f MB in total", s.Shape, float64(r.Bytes)/1e6))
		}
	}
	if r.Priced {
		add("prices", r.PricesUsed())
	}
	if h.Prices != "" && h.Prices != r.Date {
		add("prices known to the run", h.Prices)
	}
	return all
}

// eventList names events, and how often each was sent.
func eventList(events []trial.EventInfo) string {
	var sum float64
	for _, e := range events {
		sum += e.Weight
	}
	words := make([]string, len(events))
	for i, e := range events {
		words[i] = fmt.Sprintf("%s, %d bytes", table.Clip(e.Name, 40), e.Bytes)
		if len(events) > 1 {
			words[i] += ", " + table.Share(e.Weight/sum)
		}
	}
	return strings.Join(words, "; ")
}

// bandwidth says what functions had: "625 Mbit/s", or from and up to what.
func bandwidth(r *report.Report) string {
	mbit := func(memoryMB int) string { return fmt.Sprintf("%.0f Mbit/s", r.Header.BandwidthOf(memoryMB)*8/1e6) }
	least, most := mbit(lambda.MinMemoryMB), mbit(lambda.MaxMemoryMB)
	switch {
	case r.Header.BandwidthOf(lambda.MinMemoryMB) == 0:
		return "a bandwidth that is not limited"
	case least != most:
		return fmt.Sprintf("%s, which grow from %d MB on to %s", least, lambda.QuotaFromMB, most)
	}
	return least
}

// how says how the figures come about.
func how(r *report.Report) []string {
	said := []string{
		fmt.Sprintf("Times are the durations in the log's REPORT lines. Settings are measured in rounds that take every setting in "+
			"turn, in a seeded random order, so that a change during the run affects all of them. Cold and warm invocations are never "+
			"mixed. Each figure is a median; its %.0f%% interval assumes no distribution and needs n of at least %d.",
			stats.Confidence*100, stats.MinForInterval),
		fmt.Sprintf("Two settings differ if a Mann-Whitney U test finds p of at most %v; otherwise they tie, or there are too "+
			"few invocations to tell. A setting with any failure is not advised.", stats.Alpha),
		"The frontier contains the settings that no other beats in both time and cost. Among settings statistically tied with the " +
			"best, the one with the lowest compute cost is picked; for the cheapest pick, it is the fastest of them.",
		fmt.Sprintf("The balanced pick has the lowest product of time to the power of %.2g and compute cost to the power of %.2g. %s",
			r.Advice.Weight, 1-r.Advice.Weight, unsettable(r)),
		"Why compares CPU time with the memory's CPU share (1,769 MB is one vCPU), rounds of first bytes with the time, bytes per second " +
			"with " + bandwidth(r) + ", and peak memory with the limit, and it counts retried GETs. The first limit that was reached is named.",
	}
	if r.Own() {
		said[len(said)-1] = "Why compares CPU time with the memory's CPU share (1,769 MB is one vCPU) and peak memory with the limit. What " +
			"is neither is waiting: for what, is not known. Below 100 ms the CPU share says nothing."
	}
	if r.Priced && r.Own() {
		said = append(said, "Cost is billed seconds × GB × the architecture's price per GB-second, and the request fee, without free tier "+
			"and volume discounts. What the function calls, such as S3, is not known and not included.")
		if r.Mixed() {
			said = append(said, "Times are medians of all events together, costs their means.")
		}
	} else if r.Priced {
		class := ""
		if r.Class == cost.Express {
			class = ", and a fee per byte"
		}
		said = append(said, fmt.Sprintf("Cost is billed seconds × GB × the architecture's price per GB-second, the request fee, and S3's "+
			"GETs and LISTs%s, without free tier and volume discounts.", class))
	}
	if c := r.Header.Calibration(); c != nil {
		said = append(said, fmt.Sprintf("Network and CPU were calibrated: fitted to measured times, so that forecasts of the settings "+
			"measured there were off by %.1f%% in the median. CPU times are this machine's times %.3g, which is what they would take "+
			"there.", c.Residual*100, r.Header.NetworkModel().Factor()))
	}
	if r.Header.Backend == trial.Sandbox {
		said = append(said, "The sandbox runs the functions' real bootstraps on one machine, each limited to its memory's share of CPU, "+
			"against an embedded S3 with modeled latency and bandwidth. Placement, noisy neighbors and a Graviton's speed are not "+
			"modeled.")
	}
	return said
}

// unsettable says what of the cost no setting changes.
func unsettable(r *report.Report) string {
	if r.Own() {
		return "The request fee, which no setting changes, is left out."
	}
	return "S3's part of the cost, which no setting changes, is left out."
}

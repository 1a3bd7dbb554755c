package report

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
)

// Prediction sets a measured run beside one that was to predict it, such as one on
// AWS beside one of a sandbox that was calibrated.
type Prediction struct {
	Measured   string      `json:"measured"`     // which run, and where
	Predicted  string      `json:"predicted"`    // the same
	Calibrated string      `json:"calibrated"`   // by what the predicting sandbox was; empty: by nothing
	Rows       []Predicted `json:"settings"`     // that are in both, by their names' order
	Only       int         `json:"only_in_one"`  // settings that are not in both, or have no warm time in one
	Rank       Rank        `json:"rank"`         // of the warm medians
	Off        Off         `json:"error"`        // of the warm medians
	SameRun    bool        `json:"fitted_to_it"` // the sandbox was calibrated by this very run: then it predicts nothing
	Warnings   []string    `json:"warnings"`
}

// Predicted is one setting of both runs.
type Predicted struct {
	Name      string        `json:"name"`
	Measured  stats.Summary `json:"measured_ms"` // duration of warm invocations
	Predicted stats.Summary `json:"predicted_ms"`
	Error     float64       `json:"error"` // predicted median / measured median - 1
}

// Rank is how alike the two orders of the settings are: Kendall's tau-b and
// Spearman's rho, each 1 where both orders are the same, 0 where they have nothing
// to do with each other, and -1 where one is the other's reverse.
type Rank struct {
	Kendall  float64 `json:"kendall_tau_b"`
	Spearman float64 `json:"spearman_rho"`
	Pairs    int     `json:"pairs"`   // of settings
	Swapped  int     `json:"swapped"` // of those, in another order
	// Apart are the pairs that the measured run tells apart: the intervals of their
	// medians do not overlap. Of the others, the measured order is chance, too.
	Apart        int  `json:"pairs_apart"`
	SwappedApart int  `json:"swapped_apart"` // of those, in another order
	Known        bool `json:"has_ranks"`     // there are two settings at least, not all of them alike
}

// Off is how far the predictions are off.
type Off struct {
	Median stats.Summary `json:"median_relative_error"` // of |predicted / measured - 1| over the settings
	Bias   stats.Summary `json:"bias"`                  // of predicted / measured - 1
	Worst  float64       `json:"worst"`                 // the highest |predicted / measured - 1|
}

// ErrSwapped is the error of [Predict] where the first run is one of a sandbox that
// was calibrated by the second.
var ErrSwapped = errors.New("the two runs look swapped")

// Predict sets two runs side by side. The error is [ErrSwapped], or has a hint: the
// runs read other objects, or have no setting in common.
func Predict(measured, predicted *Report) (*Prediction, error) {
	const next = "let both read the same: fanout report shows the command that repeats a run"
	if measured.Own() || predicted.Own() {
		return nil, hint.Usage("give runs without --event", "compare --predict: runs with events of the caller's own are not predicted")
	}
	if c := measured.Header.Calibration(); c != nil && slices.Contains(c.Runs, predicted.Header.Run) {
		return nil, fmt.Errorf("compare --predict: %w: run %s, given as the measured one, is of a sandbox that was calibrated by run %s",
			ErrSwapped, measured.Header.Run, predicted.Header.Run)
	}
	// Of somebody's own bucket the header does not tell what was read, but the stats do.
	if measured.Objects != predicted.Objects || !near(float64(measured.Bytes), float64(predicted.Bytes), 0.01) {
		return nil, hint.Usage(next, "compare --predict: another workload: measured %d objects of %d bytes in all, predicted %d of %d",
			measured.Objects, measured.Bytes, predicted.Objects, predicted.Bytes)
	}
	if measured.Header.Plan.Count != predicted.Header.Plan.Count {
		return nil, hint.Usage(next, "compare --predict: another workload: one counted the objects, the other searched them")
	}
	p := &Prediction{Measured: sideOf(measured), Predicted: sideOf(predicted), Calibrated: predicted.CalibratedBy()}
	matched := 0
	for _, m := range measured.Rows {
		i := slices.IndexFunc(predicted.Rows, func(row Row) bool { return row.Key == m.Key })
		if i < 0 || m.Warm.N == 0 || predicted.Rows[i].Warm.N == 0 || m.Warm.Median <= 0 || predicted.Rows[i].Warm.Median <= 0 {
			continue
		}
		matched++
		row := Predicted{Name: measured.fullName(m), Measured: m.Warm, Predicted: predicted.Rows[i].Warm}
		row.Error = row.Predicted.Median/row.Measured.Median - 1
		p.Rows = append(p.Rows, row)
	}
	p.Only = len(measured.Rows) + len(predicted.Rows) - 2*matched
	if matched == 0 {
		return nil, hint.Usage(next, "compare --predict: no setting has warm times in both runs")
	}
	p.sum()
	p.warn(measured, predicted)
	return p, nil
}

// sideOf says which run it is, and where it ran.
func sideOf(r *Report) string {
	return table.Clip(fmt.Sprintf("run %s, %s", r.Header.Run, r.Environment()), 200)
}

// near says whether two figures differ by no more than a share of the larger.
func near(a, b, share float64) bool { return math.Abs(a-b) <= share*max(a, b) }

// sum works the ranks and the errors out.
func (p *Prediction) sum() {
	var measured, predicted, off, bias []float64
	for _, row := range p.Rows {
		measured, predicted = append(measured, row.Measured.Median), append(predicted, row.Predicted.Median)
		off, bias = append(off, math.Abs(row.Error)), append(bias, row.Error)
		p.Off.Worst = max(p.Off.Worst, math.Abs(row.Error))
	}
	p.Off.Median, p.Off.Bias = stats.Summarise(off), stats.Summarise(bias)
	tau, swapped, known := stats.Kendall(measured, predicted)
	p.Rank = Rank{Kendall: tau, Swapped: swapped, Pairs: len(p.Rows) * (len(p.Rows) - 1) / 2, Known: known}
	if known {
		p.Rank.Spearman = stats.Spearman(measured, predicted)
	}
	p.countApart()
}

// countApart counts the pairs of settings that the measured run tells apart, and
// those of them that are predicted in another order.
func (p *Prediction) countApart() {
	for i, a := range p.Rows {
		for _, b := range p.Rows[:i] {
			if b.Measured.Median < a.Measured.Median {
				a, b = b, a
			}
			if !a.Measured.HasInterval || !b.Measured.HasInterval || a.Measured.Hi >= b.Measured.Lo {
				continue
			}
			p.Rank.Apart++
			if a.Predicted.Median > b.Predicted.Median {
				p.Rank.SwappedApart++
			}
		}
	}
}

// warn says what makes the figures less than they look.
func (p *Prediction) warn(measured, predicted *Report) {
	if c := predicted.Header.Calibration(); c == nil {
		p.Warnings = append(p.Warnings, "the predicting run was not calibrated: fanout calibrate does that")
	} else if p.SameRun = slices.Contains(c.Runs, measured.Header.Run); p.SameRun {
		p.Warnings = append(p.Warnings, "the sandbox was calibrated by the measured run itself: settings that it was not fitted to say more")
	}
	if predicted.Header.Backend != trial.Sandbox {
		p.Warnings = append(p.Warnings, "the predicting run is not one of a sandbox: the measured run comes first")
	}
	if p.Only > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s in one run only, or without warm times in the other", counted(p.Only, "setting")))
	}
	if !p.Off.Median.HasInterval {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s: an interval takes %d", counted(len(p.Rows), "setting"), stats.MinForInterval))
	}
}

// Summary says in sentences how good the prediction is.
func (p *Prediction) Summary() []string {
	off := fmt.Sprintf("error: median %s", table.Share(p.Off.Median.Median))
	if s := p.Off.Median; s.HasInterval {
		off += fmt.Sprintf(" (95%% interval %s to %s)", table.Share(s.Lo), table.Share(s.Hi))
	}
	off += fmt.Sprintf(" over %s, at most %s; the median prediction is %+.1f%% off", counted(len(p.Rows), "setting"),
		table.Share(p.Off.Worst), p.Off.Bias.Median*100)
	rank := "rank correlation: not known, there is one setting, or all are alike"
	if p.Rank.Known {
		rank = fmt.Sprintf("rank correlation: Kendall's tau-b %.2f, Spearman's rho %.2f; %d of %s in another order", p.Rank.Kendall,
			p.Rank.Spearman, p.Rank.Swapped, counted(p.Rank.Pairs, "pair"))
		if p.Rank.Apart > 0 {
			rank += fmt.Sprintf(", %d of the %d whose measured intervals do not overlap", p.Rank.SwappedApart, p.Rank.Apart)
		}
	}
	said := []string{"measured:  " + p.Measured, "predicted: " + p.Predicted}
	if p.Calibrated != "" {
		said = append(said, "calibrated by "+p.Calibrated)
	}
	return append(said, off, rank)
}

// Table is every setting, as it is shown in each format.
func (p *Prediction) Table() table.Table[Predicted] {
	head := func(name string) table.Label { return label(name, "") }
	ms := func(s stats.Summary) table.Cell { return measured(Change{Metric: WarmMS}, s) }
	return table.Table[Predicted]{Rows: p.Rows, Columns: []table.Column[Predicted]{
		{Label: head("setting"), Left: true, Cell: func(r Predicted) table.Cell { return table.Text(r.Name) }},
		{Label: head("measured ms"), Cell: func(r Predicted) table.Cell { return ms(r.Measured) }},
		{Label: head("predicted ms"), Cell: func(r Predicted) table.Cell { return ms(r.Predicted) }},
		{Label: head("error"), Cell: func(r Predicted) table.Cell { return table.Figure(r.Error, fmt.Sprintf("%+.1f%%", r.Error*100)) }},
	}}
}

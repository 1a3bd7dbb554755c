package network

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"fanout/functions/lambda"
)

// fileVersion is the version of the model file's format; a newer one is refused.
const fileVersion = 1

// maxFileBytes bounds a model file.
const maxFileBytes = 1 << 20

// Calibration says what a model was fitted to.
type Calibration struct {
	Runs        []string  `json:"runs"`             // that it was fitted to, by their names in the result files
	Backend     string    `json:"backend"`          // where they ran: aws, endpoint or sandbox
	Region      string    `json:"region,omitempty"` // of aws
	Measured    time.Time `json:"measured"`         // when the first of them began
	At          time.Time `json:"at"`               // when it was fitted
	Version     string    `json:"version"`          // of the command that fitted it
	Invocations int       `json:"invocations"`      // warm ones that went well
	Settings    int       `json:"settings"`         // that the residual is of
	// Residual is the median over the settings of |forecast / measured - 1|,
	// where the forecast is the model's own of the settings it was fitted to.
	Residual float64 `json:"residual"`
	// Against is the machine that CPUFactor compares with; empty: there was no
	// run of a sandbox to compare with, and the factor is an assumption.
	Against string `json:"against,omitempty"`
	// Assumed are the figures that the runs did not tell, each with the reason.
	Assumed []string `json:"assumed,omitempty"`
}

// backends are where a run that a model is fitted to may have been; package trial,
// which imports this one, has them as AWS, Endpoint and Sandbox.
var backends = map[string]string{"aws": "AWS", "endpoint": "a custom endpoint", "sandbox": "a sandbox"}

// check says what is wrong with what a file says of where its figures come from.
func (c *Calibration) check() error {
	if c == nil {
		return nil
	}
	if _, known := backends[c.Backend]; !known {
		return fmt.Errorf("calibrated.backend %q: must be one of %s", c.Backend, strings.Join(slices.Sorted(maps.Keys(backends)), ", "))
	}
	return nil
}

// String reads "run 20261125T120000.000Z on AWS, eu-west-1, of 2026-11-25,
// residual 3.1% over 12 settings".
func (c Calibration) String() string {
	where := backends[c.Backend]
	if c.Region != "" {
		where += ", " + c.Region
	}
	runs := "run " + strings.Join(c.Runs, ", ")
	if n := len(c.Runs); n > 1 {
		runs = fmt.Sprintf("%d runs, the first %s,", n, c.Runs[0])
	}
	settings := "settings"
	if c.Settings == 1 {
		settings = "setting"
	}
	return fmt.Sprintf("%s on %s, of %s, residual %.1f%% over %d %s", runs, where, c.Measured.UTC().Format(time.DateOnly),
		c.Residual*100, c.Settings, settings)
}

// wire is a model as JSON: times in milliseconds, bandwidth in Mbit/s.
type wire struct {
	Version    int        `json:"fanout_model"`
	Name       string     `json:"name"`
	FirstByte  []wireByte `json:"first_byte"`
	Bandwidth  float64    `json:"bandwidth_mbit_per_s"` // 0: not limited
	How        string     `json:"bandwidth,omitempty"`  // flat or quota
	GetLimit   float64    `json:"gets_per_s_and_prefix"`
	ConnectMS  float64    `json:"connect_ms"`
	ListMS     float64    `json:"list_ms,omitempty"` // 0: as the first byte
	CPUFactor  float64    `json:"cpu_factor"`
	Express    bool       `json:"express,omitempty"`
	Calibrated any        `json:"calibrated,omitempty"`
}

type wireByte struct {
	Bytes    int64   `json:"bytes"` // mean size of the objects
	MedianMS float64 `json:"median_ms"`
	P99MS    float64 `json:"p99_ms"`
}

// MarshalJSON writes m as a model file has it.
func (m Model) MarshalJSON() ([]byte, error) {
	ms := func(d time.Duration) float64 { return math.Round(lambda.Milliseconds(d)*1000) / 1000 }
	w := wire{
		Version: fileVersion, Name: m.Name, Bandwidth: math.Round(m.Bandwidth*8/1e3) / 1e3, How: lambda.FlatBandwidth, GetLimit: m.GetLimit,
		ConnectMS: ms(m.Connect), ListMS: ms(m.List), CPUFactor: math.Round(m.Factor()*1e4) / 1e4, Express: m.Express,
	}
	if m.Quota {
		w.How = lambda.QuotaBandwidth
	}
	if m.Calibration != nil {
		w.Calibrated = m.Calibration
	}
	sizes := m.Sizes
	if len(sizes) == 0 {
		sizes = []FirstByte{{0, m.FirstByteMedian, m.FirstByteP99}}
	}
	for _, s := range sizes {
		w.FirstByte = append(w.FirstByte, wireByte{s.Bytes, ms(s.Median), ms(s.P99)})
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads m from a model file, and checks it.
func (m *Model) UnmarshalJSON(data []byte) error {
	if err := checkVersion(data); err != nil {
		return err
	}
	var calibration *Calibration
	w := wire{Calibrated: &calibration}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return fmt.Errorf("not a model file: %w", err)
	}
	if w.How == "" {
		w.How = lambda.FlatBandwidth
	}
	if err := w.check(); err != nil {
		return err
	}
	if err := calibration.check(); err != nil {
		return err
	}
	duration := func(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
	*m = Model{
		Name: w.Name, About: "from a model file", Bandwidth: w.Bandwidth * 1e6 / 8, Quota: w.How == lambda.QuotaBandwidth,
		GetLimit: w.GetLimit, Connect: duration(w.ConnectMS), List: duration(w.ListMS), CPUFactor: w.CPUFactor, Express: w.Express,
		Calibration: calibration,
	}
	for _, b := range w.FirstByte {
		m.Sizes = append(m.Sizes, FirstByte{b.Bytes, duration(b.MedianMS), duration(b.P99MS)})
	}
	// One size holds for all; of several the middle one stands for a forecast.
	middle := m.Sizes[len(m.Sizes)/2]
	m.FirstByteMedian, m.FirstByteP99 = middle.Median, middle.P99
	if len(m.Sizes) == 1 {
		m.Sizes = nil
	}
	return nil
}

// checkVersion refuses what is no model, and the model of a newer fanout, before
// anything is said of fields that it may have and this version does not know.
func checkVersion(data []byte) error {
	var head map[string]json.RawMessage
	if err := json.Unmarshal(data, &head); err != nil || head == nil {
		return errors.New("not a model file: must be a JSON object with fanout_model")
	}
	text, there := head["fanout_model"]
	if !there {
		return errors.New("not a model file: it has no fanout_model")
	}
	var n int
	switch err := json.Unmarshal(text, &n); {
	case err != nil || n < 1:
		return fmt.Errorf("not a model file: fanout_model %s: must be %d", shortened(text), fileVersion)
	case n > fileVersion:
		return fmt.Errorf("fanout_model %d: %w: this one reads up to %d", n, ErrNewer, fileVersion)
	}
	return nil
}

// shortened is JSON that may be long.
func shortened(text []byte) string {
	const most = 40
	if len(text) > most {
		return strings.ToValidUTF8(string(text[:most]), "") + "…"
	}
	return string(text)
}

// Bounds of a model's figures, far beyond any network's.
const (
	maxSizes    = 100
	leastMS     = 0.001 // of a first byte that takes any time: less would be written as 0
	maxMS       = 60_000
	maxMbit     = 1e6
	maxRate     = 1e9
	maxFactor   = 100
	maxNameSize = 60
)

// check says which figure is none of a model's.
func (w wire) check() error {
	if err := CheckName(w.Name); err != nil {
		return err
	}
	if err := lambda.CheckBandwidth(w.How); err != nil {
		return err
	}
	for _, v := range []struct {
		name          string
		value, lo, hi float64
	}{
		{"bandwidth_mbit_per_s", w.Bandwidth, 0, maxMbit}, {"gets_per_s_and_prefix", w.GetLimit, 0, maxRate},
		{"connect_ms", w.ConnectMS, 0, maxMS}, {"list_ms", w.ListMS, 0, maxMS}, {"cpu_factor", w.CPUFactor, 1. / maxFactor, maxFactor},
	} {
		if !(v.value >= v.lo && v.value <= v.hi) {
			return fmt.Errorf("%s %g: must be %g to %g", v.name, v.value, v.lo, v.hi)
		}
	}
	if n := len(w.FirstByte); n < 1 || n > maxSizes {
		return fmt.Errorf("first_byte: %d entries: must be 1 to %d", n, maxSizes)
	}
	for i, b := range w.FirstByte {
		switch {
		case !(b.P99MS >= b.MedianMS && b.P99MS <= maxMS && (b.MedianMS >= leastMS || b.MedianMS == 0 && b.P99MS == 0)):
			return fmt.Errorf("first_byte %d: median_ms %g, p99_ms %g: must be 0, or %g to %d, and the percentile no less than the median",
				i+1, b.MedianMS, b.P99MS, leastMS, maxMS)
		case len(w.FirstByte) > 1 && (b.Bytes < 1 || b.MedianMS == 0):
			return fmt.Errorf("first_byte %d: bytes %d, median_ms %g: of several sizes each must be above 0", i+1, b.Bytes, b.MedianMS)
		case b.Bytes < 0 || i > 0 && b.Bytes <= w.FirstByte[i-1].Bytes:
			return fmt.Errorf("first_byte %d: bytes %d: must be above the one before", i+1, b.Bytes)
		}
	}
	return nil
}

// CheckName refuses what cannot name a model: the name stands in tables and in
// result files, and must not be that of a built-in network.
func CheckName(name string) error {
	if name == "" || len(name) > maxNameSize || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return fmt.Errorf("name %q: must be 1 to %d lower-case letters, digits, and .-_", name[:min(len(name), maxNameSize)], maxNameSize)
	}
	if _, builtIn := Named(name); builtIn {
		return fmt.Errorf("name %q: is that of a built-in network", name)
	}
	return nil
}

// ErrNewer is the error of a model file whose format this version does not know.
var ErrNewer = errors.New("the file is of a newer fanout")

// ErrUnknown is the error of a network that is neither in the list nor a file.
var ErrUnknown = fmt.Errorf("must be one of %s, or a model file", strings.Join(Names(), ", "))

// Find takes what a user writes: the name of a network, or the path of a model
// file. The error says which names there are, or what is wrong with the file.
func Find(text string) (Model, error) {
	if m, ok := Named(text); ok {
		return m, nil
	}
	f, err := os.Open(text)
	switch {
	case errors.Is(err, os.ErrNotExist) || text == "":
		return Model{}, fmt.Errorf("network %q: %w", text, ErrUnknown)
	case err != nil:
		return Model{}, fmt.Errorf("network: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	m, err := Read(f)
	if err != nil {
		return Model{}, fmt.Errorf("network %s: %w", text, err)
	}
	return m, nil
}

// Read reads a model file.
func Read(r io.Reader) (Model, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err != nil {
		return Model{}, err
	}
	if len(data) > maxFileBytes {
		return Model{}, fmt.Errorf("not a model file: more than %d bytes", maxFileBytes)
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF")) // which editors on Windows write
	if !json.Valid(data) {
		return Model{}, errors.New("not a model file: not one JSON document")
	}
	var m Model
	return m, m.UnmarshalJSON(data)
}

// Write writes a model file.
func (m Model) Write(w io.Writer) error {
	if err := CheckName(m.Name); err != nil {
		return err
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

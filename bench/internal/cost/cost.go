// Package cost says what an invocation costs: compute, the request fee, the S3
// requests it makes, and what S3 asks for the bytes. [Builtin] or [ReadTable]
// gives a table of prices, [Table.Prices] one region's,
// [Prices.Invocation] the [Bill] of one invocation, and [Prices.Scan] that of
// many, with the Step Functions that drive them. Prices are on demand, of the
// first tier; no free tier is taken off, and none of volume either. Reading S3
// from a function in the same region moves no paid bytes, so transfer is none.
package cost

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"fanout/functions/lambda"
)

// StorageClass is the S3 storage class of the objects read.
type StorageClass string

// Storage classes with a price.
const (
	Standard StorageClass = "standard"
	Express  StorageClass = "express" // S3 Express One Zone
)

// Table is a dated table of prices.
type Table struct {
	Date    string            `json:"date"`    // YYYY-MM-DD: when the prices were taken
	Sources []string          `json:"sources"` // where from
	Regions map[string]Prices `json:"regions"`
}

// Prices is one region's prices, in US dollars.
type Prices struct {
	GBSecond        map[string]float64        `json:"lambda_usd_per_gb_second"` // by architecture; 1 GB is 1,024 MB here
	MillionRequests float64                   `json:"lambda_usd_per_million_requests"`
	S3              map[StorageClass]S3Prices `json:"s3"`

	// Of a scan; a table without them still prices invocations.
	StepFunctions      *StepFunctionsPrices `json:"step_functions,omitempty"`
	MillionInventoried float64              `json:"s3_inventory_usd_per_million_objects,omitempty"`

	Region string `json:"-"`
	Date   string `json:"-"`
}

// S3Prices is what reading a storage class costs, in US dollars.
type S3Prices struct {
	ThousandGETs  float64 `json:"get_usd_per_thousand"`
	ThousandLISTs float64 `json:"list_usd_per_thousand"` // PUT and POST cost the same
	RetrievalGB   float64 `json:"retrieval_usd_per_gb"`  // 1 GB is 2^30 bytes, as S3 bills it
}

// StepFunctionsPrices is what executions cost, in US dollars.
type StepFunctionsPrices struct {
	ThousandTransitions    float64 `json:"standard_usd_per_thousand_transitions"`
	MillionExpressRequests float64 `json:"express_usd_per_million_requests"`
	ExpressGBSecond        float64 `json:"express_usd_per_gb_second"` // of the first tier; 1 GB is 1,024 MB
}

//go:embed prices.json
var builtin []byte

// Builtin is the table that stands in this repository.
var Builtin = func() Table {
	t, err := ReadTable(bytes.NewReader(builtin))
	if err != nil {
		panic("the built-in prices: " + err.Error()) // a test reads them
	}
	return t
}()

// ReadTable reads a table of prices, as [Table.Write] and fanout prices write
// it. Unknown fields are an error: a misspelt price would be free.
func ReadTable(r io.Reader) (Table, error) {
	var t Table
	b := bufio.NewReader(r)
	if start, _ := b.Peek(len("\uFEFF")); string(start) == "\uFEFF" { // which editors on Windows write
		_, _ = b.Discard(len(start)) // it was peeked at
	}
	d := json.NewDecoder(b)
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Table{}, fmt.Errorf("read prices: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Table{}, errors.New("read prices: more than one table")
	}
	return t, t.validate()
}

// Write writes the table as ReadTable takes it.
func (t Table) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(t)
}

func (t Table) validate() error {
	if _, err := time.Parse(time.DateOnly, t.Date); err != nil {
		return fmt.Errorf("prices: date %q: must be YYYY-MM-DD", t.Date)
	}
	if len(t.Regions) == 0 {
		return errors.New("prices: no region")
	}
	for _, region := range slices.Sorted(maps.Keys(t.Regions)) {
		if err := t.Regions[region].validate(); err != nil {
			return fmt.Errorf("prices of %s: %w", region, err)
		}
	}
	return nil
}

func (p Prices) validate() error {
	prices := map[string]float64{"lambda_usd_per_million_requests": p.MillionRequests}
	for arch, usd := range p.GBSecond {
		if err := lambda.CheckArchitecture(arch); err != nil {
			return err
		}
		prices["lambda_usd_per_gb_second of "+arch] = usd
	}
	if s := p.StepFunctions; s != nil {
		prices["standard_usd_per_thousand_transitions"] = s.ThousandTransitions
		prices["express_usd_per_million_requests"] = s.MillionExpressRequests
		prices["express_usd_per_gb_second"] = s.ExpressGBSecond
	}
	if p.MillionInventoried != 0 {
		prices["s3_inventory_usd_per_million_objects"] = p.MillionInventoried
	}
	for class, s3 := range p.S3 {
		if class != Standard && class != Express {
			return fmt.Errorf("storage class %q: must be %s or %s", class, Standard, Express)
		}
		prices["get_usd_per_thousand of "+string(class)] = s3.ThousandGETs
		prices["list_usd_per_thousand of "+string(class)] = s3.ThousandLISTs
		if s3.RetrievalGB < 0 || s3.RetrievalGB > 1 {
			return fmt.Errorf("retrieval_usd_per_gb of %s is %v: must be 0 to 1", class, s3.RetrievalGB)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(prices)) {
		if usd := prices[name]; !(usd > 0 && usd <= 10) {
			return fmt.Errorf("%s is %v: must be above 0 and at most 10", name, usd)
		}
	}
	if len(p.GBSecond) == 0 {
		return errors.New("lambda_usd_per_gb_second: no architecture")
	}
	return nil
}

// Prices gives a region's prices. The error names the regions that the table
// has.
func (t Table) Prices(region string) (Prices, error) {
	p, ok := t.Regions[region]
	if !ok {
		return Prices{}, &NoRegionError{region, slices.Sorted(maps.Keys(t.Regions))}
	}
	p.Region, p.Date = region, t.Date
	return p, nil
}

// NoRegionError says that a table has no prices of a region.
type NoRegionError struct {
	Region string
	Has    []string
}

func (e *NoRegionError) Error() string {
	return fmt.Sprintf("no prices of region %q: the table has %s", e.Region, strings.Join(e.Has, ", "))
}

// Hint says where to get them.
func (e *NoRegionError) Hint() string {
	return "fanout prices --aws --region REGION -o FILE fetches them; then give --prices FILE"
}

// Invocation is what an invocation used.
type Invocation struct {
	Arch     string
	MemoryMB int
	BilledMS float64 // includes INIT, which Lambda bills since August 2025
	GETs     int     // answered; S3 does not bill its own 5xx
	LISTs    int
	Bytes    int64 // of the bodies read
	Class    StorageClass
}

// listPage is how many keys one LIST gives.
const listPage = 1000

// ListRequests is how many LISTs it takes to list objects; an empty listing
// is one, too.
func ListRequests(objects int) int {
	return max(int(math.Ceil(float64(objects)/listPage)), 1)
}

package cost

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Group is what a report shows of a bill as one amount.
type Group struct {
	Name     string // of its field and column, with _usd behind it
	Title    string // for readers
	Settable bool   // whether a setting changes it: the objects read decide on the others, or nothing does
}

// Groups of a bill.
var (
	Compute    = Group{"compute", "compute", true}
	Request    = Group{"request", "request fee", false}
	S3Requests = Group{"s3_requests", "S3 requests", false} // GETs and LISTs
	Retrieval  = Group{"retrieval", "S3 retrieval", false}  // by byte; 0 for S3 Standard
)

// Groups is all of an invocation's, in the order in which they are shown.
var Groups = []Group{Compute, Request, S3Requests, Retrieval}

// S3 says whether S3 is who is paid.
func (g Group) S3() bool { return g == S3Requests || g == Retrieval }

// charge is one thing that is billed to who used a U.
type charge[U any] struct {
	name, unit string
	group      Group
	quantity   func(U) float64                  // in units
	price      func(Prices, U) (float64, error) // US dollars a unit
}

// charges is everything that can be on an invocation's bill: a new charge is a
// line here, with its price in [Prices] and what it counts in [Invocation].
var charges = []charge[Invocation]{
	{"compute", "GB-second", Compute, func(i Invocation) float64 { return i.BilledMS / 1000 * float64(i.MemoryMB) / 1024 },
		func(p Prices, i Invocation) (float64, error) { return p.gbSecond(i.Arch) }},
	{"request", "request", Request, func(Invocation) float64 { return 1 },
		func(p Prices, _ Invocation) (float64, error) { return p.MillionRequests / 1e6, nil }},
	{"S3 GET", "request", S3Requests, func(i Invocation) float64 { return float64(i.GETs) },
		func(p Prices, i Invocation) (float64, error) { return p.get(i.Class) }},
	{"S3 LIST", "request", S3Requests, func(i Invocation) float64 { return float64(i.LISTs) },
		func(p Prices, i Invocation) (float64, error) { return p.list(i.Class) }},
	{"S3 retrieval", "GB", Retrieval, func(i Invocation) float64 { return float64(i.Bytes) / (1 << 30) },
		func(p Prices, i Invocation) (float64, error) { return p.retrieval(i.Class) }},
}

// The prices of one unit each, in US dollars; the error says which price the
// table does not have.

func (p Prices) gbSecond(arch string) (float64, error) {
	usd, ok := p.GBSecond[arch]
	if !ok {
		return 0, fmt.Errorf("no price for %s in %s", arch, p.Region)
	}
	return usd, nil
}

func (p Prices) get(class StorageClass) (float64, error) {
	s3, err := p.s3(class)
	return s3.ThousandGETs / 1000, err
}

func (p Prices) list(class StorageClass) (float64, error) {
	s3, err := p.s3(class)
	return s3.ThousandLISTs / 1000, err
}

func (p Prices) retrieval(class StorageClass) (float64, error) {
	s3, err := p.s3(class)
	return s3.RetrievalGB, err
}

func (p Prices) s3(class StorageClass) (S3Prices, error) {
	s3, ok := p.S3[class]
	if !ok {
		return S3Prices{}, fmt.Errorf("no price for S3 %s in %s", class, p.Region)
	}
	return s3, nil
}

// Part is one line of a bill. Amounts are US dollars.
type Part struct {
	Name      string  `json:"name"`
	Quantity  float64 `json:"quantity"`
	Unit      string  `json:"unit"`
	UnitPrice float64 `json:"unit_price_usd"`
	Amount    float64 `json:"amount_usd"` // quantity times unit price
	Group     Group   `json:"-"`
}

// Bill is what something costs, by what is paid for.
type Bill []Part

// Invocation gives what one costs. The error names the price that the table
// does not have.
func (p Prices) Invocation(i Invocation) (Bill, error) { return bill(p, charges, i) }

func bill[U any](p Prices, charges []charge[U], used U) (Bill, error) {
	var b Bill
	for _, c := range charges {
		n := c.quantity(used)
		usd, err := c.price(p, used)
		if err != nil {
			return nil, err
		}
		b = append(b, Part{Name: c.name, Quantity: n, Unit: c.unit, UnitPrice: usd, Amount: n * usd, Group: c.group})
	}
	return b, nil
}

// Lambda is the part of a bill that is Lambda's: what else a function calls may
// not be known.
func (b Bill) Lambda() Bill {
	return slices.DeleteFunc(slices.Clone(b), func(p Part) bool { return p.Group.S3() })
}

// Of is a group's amount.
func (b Bill) Of(g Group) float64 { return b.sum(func(p Part) bool { return p.Group == g }) }

// Total is all of it.
func (b Bill) Total() float64 { return b.sum(func(Part) bool { return true }) }

// Settable is the part that a setting changes.
func (b Bill) Settable() float64 { return b.sum(func(p Part) bool { return p.Group.Settable }) }

// S3 is the part that S3 is paid.
func (b Bill) S3() float64 { return b.sum(func(p Part) bool { return p.Group.S3() }) }

func (b Bill) sum(holds func(Part) bool) float64 {
	sum := 0.0
	for _, part := range b {
		if holds(part) {
			sum += part.Amount
		}
	}
	return sum
}

// Million is the bill of a million times as much.
func (b Bill) Million() Bill {
	var more Bill
	for _, part := range b {
		part.Quantity *= 1e6
		part.Amount *= 1e6
		more = append(more, part)
	}
	return more
}

// MarshalJSON gives the amount of each group, as "compute_usd", and the parts; of
// a group that is not on the bill nothing is known.
func (b Bill) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"parts": append([]Part{}, b...)} // never null
	for _, g := range Groups {
		if len(b) == 0 || slices.ContainsFunc(b, func(p Part) bool { return p.Group == g }) {
			fields[g.Name+"_usd"] = b.Of(g)
		}
	}
	for _, part := range b {
		fields[part.Group.Name+"_usd"] = b.Of(part.Group)
	}
	return json.Marshal(fields)
}

// UnmarshalJSON reads the parts.
func (b *Bill) UnmarshalJSON(text []byte) error {
	var fields struct{ Parts []Part }
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	*b = fields.Parts
	for i, part := range *b {
		(*b)[i].Group = groupOf(part.Name)
	}
	return nil
}

// groupOf finds the group of a part by its name; of an unknown one it has none.
func groupOf(part string) Group {
	for _, c := range charges {
		if c.name == part {
			return c.group
		}
	}
	for _, c := range scanCharges {
		if c.name == part {
			return c.group
		}
	}
	return Group{}
}

package forecast

import "math"

// What the forecast chooses for a batch.
const (
	// PageBatch is a batch of one listing page. What a batch costs beside its
	// GETs, above all the PUT of its part, is then 2% of what these cost, so larger
	// ones save nothing, and what is read again after a failure stays small.
	PageBatch = PageKeys
	// TimeShare is how much of BatchTimeout a batch may take: S3 may answer 503
	// for a while, and a function may get half of the bandwidth that it should.
	TimeShare = 0.5
	// BatchesPerFunction is how many a function has to read at least, so that the
	// last ones to end do not hold the job up for long.
	BatchesPerFunction = 4
	// LeastBatch is how small that makes a batch at most.
	LeastBatch = 100
	// ConcurrencyShare is how many functions more than needed may run: batches
	// do not end at the same pace.
	ConcurrencyShare = 1.25
)

// autoBatch is how many items a batch gets: those of one page, fewer where they
// would take too long or there are too few of them, and more where children
// could not be started fast enough otherwise.
func (p Plan) autoBatch() int {
	most := max(min(p.payloadItems(), int(TimeShare*BatchTimeout.Seconds()*p.speed().rate)), 1)
	items := min(PageBatch, most)

	rate := gets(p.Class, p.Prefixes)
	if !p.Inventory {
		rate = min(rate, Pages*PageKeys*float64(p.MapRuns))
	}
	_, functions := p.mostFunctions()
	rate = min(rate, float64(functions)*p.speed().rate)
	wanted := math.Ceil(rate/p.speed().rate) * BatchesPerFunction
	if few := int(math.Ceil(float64(p.Objects) / wanted)); few < items {
		items = min(items, max(few, LeastBatch))
	}
	if starts := float64(p.starts() * p.MapRuns); starts*float64(items) < rate {
		items = min(int(math.Ceil(rate/starts)), most)
	}
	return max(items, 1)
}

// What the keys of a batch take beside themselves, as JSON: {"Key":""} and a
// comma for each, and BatchInput once, which is an assumption.
const (
	itemBytes  = 11
	inputBytes = 2 << 10
)

// payloadItems is how many items fit into the input of a child.
func (p Plan) payloadItems() int { return (InputBytes - inputBytes) / (p.KeyBytes + itemBytes) }

// autoConcurrency is how many children one Map Run needs at once, of so many
// functions in all: more would wait for GETs, at the price of reading, or be
// refused by Lambda.
func (p Plan) autoConcurrency(functions int) int {
	_, most := p.mostFunctions()
	share := func(n float64) int { return int(math.Ceil(n / float64(p.MapRuns))) }
	return min(share(ConcurrencyShare*float64(functions)), share(float64(most)))
}

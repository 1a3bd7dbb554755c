package forecast

import (
	"encoding/json"
	"time"

	"fanout/bench/internal/cost"
	fn "fanout/functions/scan"
)

// Quotas and rates of the services. Each says where it is from; docs/scale.md
// has the same list. What is called an assumption was neither documented nor
// measured on AWS.
const (
	// PrefixGETs is how many GET and HEAD requests a second one partitioned
	// prefix of a general purpose bucket answers, at least. A bucket begins with
	// one, and S3 splits it as load lasts, answering 503 meanwhile
	// (docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html,
	// read in November 2026).
	PrefixGETs = 5500
	// DirectoryBucketGETs is the same for a whole directory bucket, of S3 Express
	// One Zone (docs.aws.amazon.com/AmazonS3/latest/userguide/
	// s3-express-optimizing-performance-design-patterns.html, read in November
	// 2026).
	DirectoryBucketGETs = 2_000_000

	// PageKeys is how many keys a page of a listing has (docs.aws.amazon.com/
	// AmazonS3/latest/API/API_ListObjectsV2.html, read in November 2026).
	PageKeys = 1000
	// Pages is how many pages a second one Map Run lists, one after the other: an
	// assumption of 67 ms a page. Nothing is published for Distributed Map. The
	// AWS CLI and s5cmd list 13,500 and 20,500 keys a second, sequentially, from a
	// storage array (15 million objects in 1,110 s and 733 s: jboothomas, "Fast
	// S3 listing for buckets with millions/billions of objects", July 2023).
	Pages = 15

	// MapRunItems is how many items one Map Run reads at most, MapRunChildren how
	// many child executions it has at once, and ExpressStarts and StandardStarts
	// how many of them it starts a second (all of them hard quotas:
	// docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html, read in
	// November 2026).
	MapRunItems    = 100_000_000
	MapRunChildren = 10_000
	ExpressStarts  = 1000
	StandardStarts = 100
	// MapRuns is how many Map Runs an account has open in one region (the same
	// page).
	MapRuns = 1000
	// InputBytes is how large the input of a child execution is at most (the same
	// page).
	InputBytes = 256 << 10

	// AccountConcurrency is how many invocations run at once in one region unless
	// AWS is asked for more; a new account starts with fewer. Lambda also takes ten
	// invocations a second for each of them, which batches of over 100 ms stay below
	// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, read in
	// November 2026).
	AccountConcurrency = 1000
	// RampStart is how many execution environments one function may get at once,
	// and RampPerS how many more each second: 1,000 every 10 seconds, refilled
	// continuously
	// (docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html, read in
	// November 2026).
	RampStart = 1000
	RampPerS  = 100

	// Overhead is what an invocation takes beside reading: above all one PUT of
	// its part. An assumption, from S3's documented latency of small objects, 100
	// to 200 ms (docs.aws.amazon.com/AmazonS3/latest/userguide/
	// optimizing-performance.html, read in November 2026).
	Overhead = 100 * time.Millisecond

	// MergeParts is how many parts a second one function reads and adds up: an
	// assumption, about half of the small objects that it reads a second.
	MergeParts = 1000
	// MergeTimeout is how long one function may merge: Lambda's 15 minutes
	// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, read in
	// November 2026).
	MergeTimeout = 15 * time.Minute
	// GroupedItems is from how many items on 16 functions merge, as scan.asl.json
	// has it.
	GroupedItems = 1_000_000
	groups       = 16

	// writerFiles is how many files ResultWriter puts: a manifest, and one file
	// each of what succeeded, failed and is pending (docs.aws.amazon.com/
	// step-functions/latest/dg/input-output-resultwriter.html, read in November
	// 2026). More than 5 GB of one kind gives more.
	writerFiles = 4
	// ParentTransitions is how many state transitions the execution itself is
	// billed for, GroupTransitions how many more of a merge in two levels, and
	// ChildTransitions those of a Standard child: one for each state that is
	// entered, as scan.asl.json has them, and one for the start
	// (aws.amazon.com/step-functions/pricing, read in November 2026).
	ParentTransitions = 6
	GroupTransitions  = 2 + groups
	ChildTransitions  = 2
)

// BatchTimeout is how long one try at a batch may take, with EXPRESS children
// and with STANDARD ones: as the state machine's text has it, so that two tries
// fit into the five minutes of an Express execution.
const BatchTimeout = fn.BatchTimeout

// Speed is how fast one invocation reads, where it was measured.
type Speed struct {
	MemoryMB     int           `json:"memory_mb"`
	Bytes        float64       `json:"bytes_per_object"` // mean
	ObjectsPerS  float64       `json:"objects_per_s"`    // that one invocation reads
	CPUPerObject time.Duration `json:"-"`                // 0: not known
	Source       string        `json:"source"`           // where the figures are from, for readers
}

// MarshalJSON writes the CPU time in microseconds.
func (s Speed) MarshalJSON() ([]byte, error) {
	type plain Speed // without this method
	return json.Marshal(struct {
		plain
		CPU float64 `json:"cpu_us_per_object"`
	}{plain(s), float64(s.CPUPerObject) / float64(time.Microsecond)})
}

// Measured is the speed of this repository's client lean: 1,000 objects of 1 kB
// to 50 kB with 64 workers in 534 ms at 512 MB, and in 513 in the run of
// docs/performance.md, which has the CPU time, in the sandbox of one machine, with its
// network s3-standard. It is no AWS figure.
var Measured = Speed{
	MemoryMB: 512, Bytes: 25_500, ObjectsPerS: 1873, CPUPerObject: 41 * time.Microsecond,
	Source: "in the sandbox of one machine, no AWS figure (docs/performance.md)",
}

// cpuPerByte is what a byte more of an object costs in CPU seconds: 50 µs an
// object of 25 kB, 272 µs of 250 kB, and 1,137 to 1,399 µs of 1 MB (lean at
// 1,769 MB, medians of six, in the sandbox of one busy machine, November 2026).
const cpuPerByte = 1.1e-9

// gets is how many GETs a second a storage class answers, for so many prefixes.
func gets(class cost.StorageClass, prefixes int) float64 {
	if class == cost.Express {
		return DirectoryBucketGETs
	}
	return PrefixGETs * float64(prefixes)
}

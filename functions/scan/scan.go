// Package scan reads all objects of a bucket with many invocations: what the
// fetch function does with one batch of keys, and how the parts that the
// batches leave add up. [Definition] is the state machine that drives it, a
// Step Functions Distributed Map, as one text for AWS and for one machine.
package scan

import (
	"fanout/functions/fetch"
)

// Input is what an execution of the state machine is started with. Each field
// is needed but Inventory; the text refers to them by these names.
type Input struct {
	Event       fetch.Event `json:"event"`               // for each batch, without keys and folder
	Prefix      string      `json:"prefix"`              // of the keys that are listed; empty: the whole bucket
	Inventory   *Inventory  `json:"inventory,omitempty"` // instead of a listing
	Results     Results     `json:"results"`
	Batch       BatchSize   `json:"batch"`
	Concurrency int         `json:"max_concurrency"`              // child executions at once; 0: as many as the service allows
	Tolerated   float64     `json:"tolerated_failure_percentage"` // of the items, before the Map Run gives up
}

// Inventory names an S3 Inventory's manifest.json.
type Inventory struct {
	Bucket     string `json:"bucket"`
	Key        string `json:"key"`
	URLEncoded bool   `json:"url_encoded"` // its keys are, as they are in CSV
}

// Results says where parts are put: below jobs/JOB/ in a bucket, or in a part
// of it, that the job does not list.
type Results struct {
	Bucket string `json:"bucket"`
}

// BatchSize bounds a batch by count and by the bytes of its keys as JSON.
type BatchSize struct {
	Items int `json:"items"`
	Bytes int `json:"bytes"` // at most 262,144, which is the service's limit for a state's input
}

// Batch is ItemBatcher's envelope: what one invocation is asked to read.
type Batch struct {
	Input BatchInput `json:"BatchInput"`
	Items []Item     `json:"Items"`
}

// BatchInput is the same for all batches of a job.
type BatchInput struct {
	Job        string      `json:"job"`
	Results    Results     `json:"results"`
	Event      fetch.Event `json:"event"`
	URLEncoded bool        `json:"url_encoded,omitempty"` // keys are as in a CSV inventory
}

// Item is one object to read.
type Item struct {
	Key string `json:"Key"`
}

// Ack is the answer to a batch, small enough for ResultWriter to collect
// hundreds of thousands. The rest is in the part.
type Ack struct {
	Part    string `json:"part"` // key of the part
	Keys    int    `json:"keys"` // in the batch
	Objects int    `json:"objects"`
	Errors  int    `json:"errors"` // keys that could not be read
}

// Part is what came of one batch: an object in the results bucket, at
// jobs/JOB/parts/HASH.json. HASH is taken from the keys, so that a batch that is tried
// again, or redriven, writes the same part over. Keys is Objects and the number of
// Failures.
type Part struct {
	Keys     int       `json:"keys"`
	First    string    `json:"first"`
	Last     string    `json:"last"`
	Objects  int       `json:"objects"` // read whole
	Bytes    int64     `json:"bytes"`   // of them, as stored
	Digest   string    `json:"digest"`  // see fetch.Digest
	Matches  []Match   `json:"matches,omitempty"`
	Failures []Failure `json:"failures,omitempty"`
	Started  int64     `json:"started"` // Unix milliseconds
	Ended    int64     `json:"ended"`
	CPUMS    float64   `json:"cpu_ms"`
	Retries  int       `json:"retries"`
}

// Match is an object that holds what was searched for.
type Match = fetch.Match

// Failure is a key that could not be read. Its error is a name of package fetch,
// such as NoSuchKey, AccessDenied or DeadlineNear (not read before the time limit),
// or InvalidKey.
type Failure = fetch.Failure

// InvalidKey is the error of an item that can be no object's key: it is empty,
// its URL encoding is broken, or it is not UTF-8.
const InvalidKey = "InvalidKey"

// MergeRequest asks for a job's parts to be added up: {"merge": MergeRequest}.
type MergeRequest struct {
	Job     string  `json:"job"`
	Results Results `json:"results"`

	// Group is the first digit of the parts to add up, into groups/GROUP.json;
	// empty: all parts. With it, what follows is left out.
	Group string `json:"group,omitempty"`

	Event *fetch.Event `json:"event,omitempty"` // for what is read again
	Total *int64       `json:"total,omitempty"` // keys there must be: the Map Run's itemCounts.total
	Acks  *ResultFiles `json:"acks,omitempty"`  // where ResultWriter has put its files
}

// ResultFiles names ResultWriter's manifest.json, in the words of the service's
// ResultWriterDetails.
type ResultFiles struct {
	Bucket string `json:"Bucket"`
	Key    string `json:"Key"`
}

// Sums are what parts add up to.
type Sums struct {
	Parts    int     `json:"parts"`
	Keys     int64   `json:"keys"`
	Objects  int64   `json:"objects"` // read whole
	Bytes    int64   `json:"bytes"`   // of them, as stored
	Digest   string  `json:"digest"`  // see fetch.Digest
	Matched  int64   `json:"matched"` // objects that match; the parts name all of them
	Matches  []Match `json:"matches"` // the first of them by key, MaxMatches at most
	Started  int64   `json:"started"` // Unix milliseconds: of the first batch
	Ended    int64   `json:"ended"`   // of the last
	CPUMS    float64 `json:"cpu_ms"`
	Retries  int64   `json:"retries"`
	Repaired int64   `json:"repaired"` // keys that the merge itself has read, as their batch had not

	// Repeated is how many of Keys are counted once more, as a further batch had the
	// very same ones: the two have one part.
	Repeated int64 `json:"repeated,omitempty"`
}

// MaxMatches is how many matches a result names.
const MaxMatches = 1000

// Result is what a whole job came to: the object jobs/JOB/result.json in the results
// bucket, which is there only if every key was read. It is also Merge's answer, with
// as many of the matches as the service's 256 KiB allow.
type Result struct {
	Job string `json:"job"`
	Sums
}

// Incomplete is the error type of a merge that not every key was read for.
// RedriveExecution tries again.
const Incomplete = "Scan.Incomplete"

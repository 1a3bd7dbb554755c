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
	URLEncoded bool   `json:"url_encoded"` // fileFormat CSV in the manifest; keys in Parquet files are as they are
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
	Input struct {
		Job        string      `json:"job"`
		Results    Results     `json:"results"`
		Event      fetch.Event `json:"event"`
		URLEncoded bool        `json:"url_encoded,omitempty"` // keys are as in a CSV inventory
	} `json:"BatchInput"`
	Items []struct {
		Key string `json:"Key"`
	} `json:"Items"`
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
// again, or redriven, writes the same part over.
type Part struct {
	Keys     int       `json:"keys"`
	First    string    `json:"first"`
	Last     string    `json:"last"`
	Objects  int       `json:"objects"` // read whole
	Bytes    int64     `json:"bytes"`
	Digest   string    `json:"digest"` // see fetch.Digest
	Matches  []Match   `json:"matches,omitempty"`
	Failures []Failure `json:"failures,omitempty"`
	Started  int64     `json:"started"` // Unix milliseconds
	Ended    int64     `json:"ended"`
	CPUMS    float64   `json:"cpu_ms"`
	Retries  int       `json:"retries"`
}

// Match is an object that holds what was searched for.
type Match struct {
	Key    string  `json:"key"`
	Offset *int64  `json:"offset,omitempty"` // bytes before the match, if asked for
	Line   *string `json:"line,omitempty"`   // the line around it, cut at 1 KB, if asked for
}

// Failure is a key that could not be read.
type Failure struct {
	Key     string `json:"key"`
	Error   string `json:"error"` // an error type of package fetch: "NoSuchKey", "AccessDenied"
	Message string `json:"message"`
}

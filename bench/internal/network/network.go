// Package network lists the networks that the embedded S3 can put between a
// function and its objects: what each does to a request, for the server that
// does it, the forecast of a run, the prices, the flags and the help. A new one
// is a line of [Models].
package network

import (
	"fmt"
	"math"
	"strings"
	"time"

	"fanout/functions/lambda"
)

// Name names what lies between a caller and the objects.
type Name string

// The networks there are; [Models] says what each is.
const (
	S3Standard Name = "s3-standard"
	S3Express  Name = "s3-express"
	None       Name = "none"
)

// Model is what a network does to a request. A zero figure does nothing.
type Model struct {
	Name  Name
	About string // one line, for help and completion
	// FirstByteMedian and FirstByteP99 define the lognormal that the time
	// from a request's arrival to the first byte of its answer is drawn from.
	FirstByteMedian, FirstByteP99 time.Duration
	// Bandwidth is what one caller gets over all its connections, in bytes a
	// second.
	Bandwidth float64
	// GetLimit is how many GET and HEAD requests a second one prefix of a
	// bucket answers; past that they get 503 SlowDown.
	GetLimit float64
	// Express says that the objects are in S3 Express One Zone, whose prices
	// are others.
	Express bool
}

// Models lists the networks there are, the default first. 5,500 GETs a second
// and prefix is S3's documented rate. The latencies and the bandwidth are this
// project's model of a function beside its bucket: assumptions, to compare
// settings by.
var Models = []Model{
	{S3Standard, "S3 in the same region, general purpose bucket", 20 * time.Millisecond, 100 * time.Millisecond,
		lambda.BandwidthBytesPerS, 5500, false},
	{S3Express, "S3 Express One Zone in the same zone", 5 * time.Millisecond, 15 * time.Millisecond, lambda.BandwidthBytesPerS, 5500, true},
	{None, "loopback as it is: no latency, no limit", 0, 0, 0, 0, false},
}

// Names gives the names of [Models], in the same order.
func Names() []string {
	names := make([]string, len(Models))
	for i, m := range Models {
		names[i] = string(m.Name)
	}
	return names
}

// Parse takes the name of a network, as a user writes it.
func Parse(name string) (Name, error) {
	for _, m := range Models {
		if string(m.Name) == name {
			return m.Name, nil
		}
	}
	return "", fmt.Errorf("network %q: must be one of %s", name, strings.Join(Names(), ", "))
}

// Model gives what n does; of a network that is not there, nothing.
func (n Name) Model() Model {
	for _, m := range Models {
		if m.Name == n {
			return m
		}
	}
	return Model{}
}

// String gives the figures of m in words.
func (m Model) String() string {
	if m.FirstByteMedian == 0 && m.Bandwidth == 0 && m.GetLimit == 0 {
		return "no latency, no limit"
	}
	return fmt.Sprintf("first byte %d ms (99th percentile %d ms), %.0f Mbit/s per process, %.0f GET/s per prefix",
		m.FirstByteMedian.Milliseconds(), m.FirstByteP99.Milliseconds(), m.Bandwidth*8/1e6, m.GetLimit)
}

// z99 is the 99th percentile of the standard normal distribution.
const z99 = 2.3263478740408408

// Sigma is the standard deviation of the logarithm of the first byte's time.
func (m Model) Sigma() float64 {
	if m.FirstByteMedian == 0 {
		return 0
	}
	return math.Log(float64(m.FirstByteP99)/float64(m.FirstByteMedian)) / z99
}

// FirstByteMean is the mean of the first byte's time.
func (m Model) FirstByteMean() time.Duration {
	sigma := m.Sigma()
	return time.Duration(float64(m.FirstByteMedian) * math.Exp(sigma*sigma/2))
}

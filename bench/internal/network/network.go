// Package network lists the networks that the embedded S3 can put between a
// function and its objects: what each does to a request, for the server that
// does it, the forecast of a run, the prices, the flags and the help. A new one
// is a line of [Models]. [Find] takes a name of the list or a model file, which
// fanout calibrate writes.
package network

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"fanout/functions/lambda"
)

// Model is what a network does to a request. A zero figure does nothing.
type Model struct {
	Name  string
	About string // one line, for help and completion
	// FirstByteMedian and FirstByteP99 define the lognormal that the time
	// from a request's arrival to the first byte of its answer is drawn from.
	FirstByteMedian, FirstByteP99 time.Duration
	// Bandwidth is what one caller gets over all its connections, in bytes a
	// second: with Quota, up to lambda.QuotaFromMB.
	Bandwidth float64
	// GetLimit is how many GET and HEAD requests a second one prefix of a
	// bucket answers; past that they get 503 SlowDown.
	GetLimit float64
	// Express says that the objects are in S3 Express One Zone, whose prices
	// are others.
	Express bool

	// Quota says that the bandwidth grows with the memory size, as
	// [lambda.Bandwidth] has it.
	Quota bool
	// Connect is what setting a connection up takes beyond the work of both
	// ends: the round trips of TCP and TLS.
	Connect time.Duration
	// Sizes are the first byte's figures by object size, in order of size; none:
	// they are the same for all. Between two sizes both figures are
	// interpolated by the logarithms; beyond the ends they are the nearest's.
	Sizes []FirstByte
	// List is the median of the first byte's time of a page of a listing, with the
	// spread of the smallest objects'; 0: it is as theirs.
	List time.Duration
	// CPUFactor is the CPU time that a function takes there for what takes it 1
	// on this machine; 0: 1.
	CPUFactor float64
	// Calibration says what the figures come from; nil: they are assumptions.
	Calibration *Calibration
}

// FirstByte is how long the first byte of objects of one size takes.
type FirstByte struct {
	Bytes       int64 // mean size of the objects
	Median, P99 time.Duration
}

// The networks there are; [Models] lists them. 5,500 GETs a second and prefix is
// S3's documented rate, and the bandwidth is Lambda's. The latencies are this
// project's model of a function beside its bucket: assumptions, to compare
// settings by. A listing has the latency of a GET, which may be too little: AWS
// documents none for it, and what users report is 0.2 to 0.3 s for a page of
// 1,000 keys, from places that they do not tell (github.com/aws/aws-sdk-cpp/issues/369,
// github.com/ClickHouse/ClickHouse/issues/65572).
var (
	S3Standard = Model{
		Name: "s3-standard", About: "S3 in the same region, general purpose bucket",
		FirstByteMedian: 20 * time.Millisecond, FirstByteP99: 100 * time.Millisecond,
		Bandwidth: lambda.BandwidthBytesPerS, GetLimit: 5500,
	}
	S3Express = Model{
		Name: "s3-express", About: "S3 Express One Zone in the same zone",
		FirstByteMedian: 5 * time.Millisecond, FirstByteP99: 15 * time.Millisecond,
		Bandwidth: lambda.BandwidthBytesPerS, GetLimit: 5500, Express: true,
	}
	None = Model{Name: "none", About: "loopback as it is: no latency, no limit"}
)

// Models lists the networks there are, the default first.
var Models = []Model{S3Standard, S3Express, None}

// Names gives the names of [Models], in the same order.
func Names() []string {
	names := make([]string, len(Models))
	for i, m := range Models {
		names[i] = m.Name
	}
	return names
}

// Named gives the network of that name; of one that is not there, nothing, and
// false.
func Named(name string) (Model, bool) {
	i := slices.IndexFunc(Models, func(m Model) bool { return m.Name == name })
	if i < 0 {
		return Model{}, false
	}
	return Models[i], true
}

// Of gives the network that a result file's header tells of: the one of a model
// file, or else that of the list, whose bandwidth may grow with the memory size;
// on AWS, where nobody knows, the zero Model.
func Of(name string, file *Model, quota bool) Model {
	if file != nil {
		return *file
	}
	m, _ := Named(name)
	m.Quota = quota
	return m
}

// String gives the figures of m in words, and says which limits there are not.
func (m Model) String() string {
	if m.FirstByteMedian == 0 && m.Bandwidth == 0 && m.GetLimit == 0 && m.Connect == 0 && m.List == 0 && m.Factor() == 1 {
		return "no latency, no limit"
	}
	first := fmt.Sprintf("first byte %s ms (99th percentile %s ms)", milliseconds(m.FirstByteMedian), milliseconds(m.FirstByteP99))
	parts := []string{first, "no limit of bandwidth", "no limit of GETs"}
	if m.Bandwidth > 0 {
		parts[1] = fmt.Sprintf("%.0f Mbit/s per process", m.Bandwidth*8/1e6)
	}
	if m.Bandwidth > 0 && m.Quota {
		parts[1] += fmt.Sprintf(", %.0f at %d MB", m.BandwidthOf(lambda.MaxMemoryMB)*8/1e6, lambda.MaxMemoryMB)
	}
	if m.List > 0 {
		parts[0] += fmt.Sprintf(", of a listing's page %s ms", milliseconds(m.List))
	}
	if m.GetLimit > 0 {
		parts[2] = fmt.Sprintf("%.0f GET/s per prefix", m.GetLimit)
	}
	if m.Connect > 0 {
		parts = append(parts, milliseconds(m.Connect)+" ms to connect")
	}
	if f := m.Factor(); f != 1 {
		parts = append(parts, fmt.Sprintf("%.3g times this machine's CPU time", f))
	}
	return strings.Join(parts, ", ")
}

// milliseconds reads "20" or "23.4".
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.4g", float64(d.Round(100*time.Microsecond))/float64(time.Millisecond))
}

// BandwidthOf is what a function of a memory size gets, in bytes a second; 0: it
// is not limited.
func (m Model) BandwidthOf(memoryMB int) float64 {
	return m.Bandwidth * lambda.Bandwidth(memoryMB, m.Quota) / lambda.BandwidthBytesPerS
}

// Factor is CPUFactor, which is 1 where nothing is set.
func (m Model) Factor() float64 { return cmp.Or(m.CPUFactor, 1) }

// FirstByteOf gives the first byte's figures of an object of that size.
func (m Model) FirstByteOf(bytes int64) (median, p99 time.Duration) {
	if len(m.Sizes) == 0 {
		return m.FirstByteMedian, m.FirstByteP99
	}
	i := slices.IndexFunc(m.Sizes, func(s FirstByte) bool { return s.Bytes >= bytes })
	switch {
	case i < 0:
		i = len(m.Sizes) - 1
	case i > 0:
		a, b := m.Sizes[i-1], m.Sizes[i]
		share := math.Log(float64(bytes)/float64(a.Bytes)) / math.Log(float64(b.Bytes)/float64(a.Bytes))
		between := func(x, y time.Duration) time.Duration {
			return time.Duration(math.Exp(math.Log(float64(x))*(1-share) + math.Log(float64(y))*share))
		}
		return between(a.Median, b.Median), between(a.P99, b.P99)
	}
	return m.Sizes[i].Median, m.Sizes[i].P99
}

// FirstByteOfList is how long the first byte of a page of a listing takes.
func (m Model) FirstByteOfList() (median, p99 time.Duration) {
	median, p99 = m.FirstByteOf(0)
	if m.List == 0 {
		return median, p99
	}
	return m.List, time.Duration(float64(m.List) * math.Exp(Sigma(median, p99)*z99))
}

// z99 is the 99th percentile of the standard normal distribution.
const z99 = 2.3263478740408408

// Sigma is the standard deviation of the logarithm of a time that is lognormal,
// from its median and 99th percentile.
func Sigma(median, p99 time.Duration) float64 {
	if median == 0 {
		return 0
	}
	return math.Log(float64(p99)/float64(median)) / z99
}

// Sigma is the standard deviation of the logarithm of the first byte's time.
func (m Model) Sigma() float64 { return Sigma(m.FirstByteMedian, m.FirstByteP99) }

// FirstByteMean is the mean of the first byte's time.
func (m Model) FirstByteMean() time.Duration {
	sigma := m.Sigma()
	return time.Duration(float64(m.FirstByteMedian) * math.Exp(sigma*sigma/2))
}

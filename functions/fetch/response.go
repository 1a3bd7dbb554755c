package fetch

import (
	"errors"
	"strings"
)

// NotFound is the result of a search that no object matched.
const NotFound = "None"

// Response is the answer of one invocation: lang, detail, result and time as
// in the published comparison, and what it took.
type Response struct {
	Lang   string  `json:"lang"`
	Detail string  `json:"detail"`
	Result string  `json:"result"` // first matching key in list order, NotFound, or the count of objects read
	Time   float64 `json:"time"`   // seconds from the event to the answer, in whole milliseconds
	Stats  Stats   `json:"stats"`

	// Matches are all matching objects in list order, if the event asks for them.
	Matches []Match `json:"matches,omitzero"`
}

// Match is an object that holds what was searched for.
type Match struct {
	Key    string  `json:"key"`
	Offset *int64  `json:"offset,omitempty"` // bytes before the match, if asked for
	Line   *string `json:"line,omitempty"`   // the line around it, cut at 1 KB, if asked for
}

// Failure is an object that could not be read.
type Failure struct {
	Key     string `json:"key"`
	Error   string `json:"error"` // a name of an [Error], or "Error" where the cause has none
	Message string `json:"message"`
}

// maxFailureMessage bounds a failure's message, in bytes: it can have the key in
// it, which is up to 1,024 bytes long.
const maxFailureMessage = 2048

func newFailure(key string, err error) Failure {
	f := Failure{Key: key, Error: "Error", Message: err.Error()}
	if typed := (*Error)(nil); errors.As(err, &typed) {
		f.Error = typed.Type
	}
	if len(f.Message) > maxFailureMessage {
		f.Message = f.Message[:maxFailureMessage]
	}
	f.Message = strings.ToValidUTF8(f.Message, "\uFFFD")
	return f
}

// Stats says what one invocation did. Milliseconds have a fraction.
type Stats struct {
	Objects     int   `json:"objects"`     // read whole
	Bytes       int64 `json:"bytes"`       // of those objects' bodies
	Errors      int   `json:"errors"`      // objects that could not be read
	Retries     int   `json:"retries"`     // GET attempts beyond the first of each object
	Connections int64 `json:"connections"` // opened during this invocation
	// ConnectMinMS is the shortest time that setting one of the connections up
	// took, TCP and TLS, of those opened since the last answer, in INIT too; nil:
	// there was none, or the client does not tell.
	ConnectMinMS *float64 `json:"connect_min_ms,omitempty"`

	ListMS      float64  `json:"list_ms"`     // waiting for listing pages, all together
	TTFBP50MS   *float64 `json:"ttfb_p50_ms"` // first response byte, from each GET's last start; nil without objects
	TTFBP99MS   *float64 `json:"ttfb_p99_ms"` // nil under 100 objects: too few for a percentile
	CPUMS       float64  `json:"cpu_ms"`      // user + system time of this process during this invocation
	MaxRSSMB    float64  `json:"max_rss_mb"`  // the process's peak so far, 1 MB = 2^20 bytes
	Digest      string   `json:"digest"`      // see Digest
	Cold        bool     `json:"cold"`        // the process's first invocation
	Concurrency int      `json:"concurrency"` // goroutines that read
	Client      string   `json:"client"`
}

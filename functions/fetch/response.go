package fetch

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
}

// Stats says what one invocation did. Milliseconds have a fraction.
type Stats struct {
	Objects     int      `json:"objects"`     // read whole
	Bytes       int64    `json:"bytes"`       // of those objects' bodies
	Errors      int      `json:"errors"`      // objects that could not be read
	Retries     int      `json:"retries"`     // GET attempts beyond the first of each object
	Connections int64    `json:"connections"` // opened during this invocation
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

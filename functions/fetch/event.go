package fetch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxConcurrency is the most goroutines that one invocation may read with.
const MaxConcurrency = 1024

// What happens to an invocation when an object cannot be read.
const (
	OnErrorFail     = "fail"     // the default: end with ObjectReadFailed
	OnErrorContinue = "continue" // count it in stats.errors, leave it out of result
)

// MatchesAll asks for every matching key instead of the first.
const MatchesAll = "all"

// Event is what an invocation is asked for: a superset of the published
// comparison's event. See [DecodeEvent] for what is refused.
type Event struct {
	Bucket      string    `json:"s3_bucket_name"`
	Folder      string    `json:"folder"`                // key prefix; empty: the whole bucket
	Find        *string   `json:"find"`                  // nil: count the objects
	Concurrency *int      `json:"concurrency,omitempty"` // nil: the function's own setting
	Client      string    `json:"client,omitempty"`      // empty: the function's own setting
	Keys        *[]string `json:"keys,omitempty"`        // read these instead of listing
	OnError     string    `json:"on_error,omitempty"`    // OnErrorFail where empty
	Matches     string    `json:"matches,omitempty"`     // MatchesAll; empty: only the first
	Locate      bool      `json:"locate,omitempty"`      // give each match's offset and line; needs Matches
	FindRegexp  bool      `json:"find_regexp,omitempty"` // Find is a regular expression, of package regexp
	Decompress  bool      `json:"decompress,omitempty"`  // search inside gzip: keys in .gz, and Content-Encoding: gzip
}

// DecodeEvent parses one event. Every error is an *[Error] of type
// [InvalidEvent]: malformed JSON, or not UTF-8, an unknown field, a missing bucket, a value
// out of range, two settings that contradict each other.
func DecodeEvent(payload []byte) (Event, error) {
	if !utf8.Valid(payload) { // or encoding/json would put U+FFFD in, and that be searched for
		return Event{}, errorf(InvalidEvent, "event: not UTF-8")
	}
	var ev Event
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ev); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return Event{}, errorf(InvalidEvent, "event: JSON ends too early after %d bytes", len(payload))
		}
		return Event{}, errorf(InvalidEvent, "event: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Event{}, errorf(InvalidEvent, "event: more than one JSON value")
	}
	if err := ev.Validate(); err != nil {
		return Event{}, err
	}
	return ev, nil
}

// Validate says what of an event is refused, as an *[Error] of type
// [InvalidEvent].
func (ev Event) Validate() error {
	if err := ev.validate(); err != nil {
		return errorf(InvalidEvent, "event: %s", err)
	}
	return nil
}

func (ev Event) validate() error {
	switch {
	case ev.Bucket == "":
		return errors.New("s3_bucket_name is missing")
	case strings.ContainsAny(ev.Bucket, "/ ") && !strings.HasPrefix(ev.Bucket, "arn:"):
		return fmt.Errorf("s3_bucket_name %q: a name or an access point's ARN, without a path", ev.Bucket)
	case ev.Find != nil && (*ev.Find == "" || len(*ev.Find) > MaxFindBytes):
		return fmt.Errorf("find of %d bytes: must be 1 to %d, or null to count", len(*ev.Find), MaxFindBytes)
	case ev.Concurrency != nil && (*ev.Concurrency < 1 || *ev.Concurrency > MaxConcurrency):
		return fmt.Errorf("concurrency %d: must be 1 to %d", *ev.Concurrency, MaxConcurrency)
	case ev.OnError != "" && ev.OnError != OnErrorFail && ev.OnError != OnErrorContinue:
		return fmt.Errorf("on_error %q: must be %q or %q", ev.OnError, OnErrorFail, OnErrorContinue)
	case ev.Matches != "" && ev.Matches != MatchesAll:
		return fmt.Errorf("matches %q: must be %q or left out", ev.Matches, MatchesAll)
	case ev.Find == nil && (ev.Matches != "" || ev.Locate || ev.FindRegexp || ev.Decompress):
		return errors.New("matches, locate, find_regexp and decompress need find")
	case ev.Locate && ev.Matches == "":
		return fmt.Errorf("locate needs matches %q", MatchesAll)
	case ev.Keys != nil && ev.Folder != "":
		return errors.New("keys and folder are mutually exclusive")
	case ev.Keys != nil && slices.Contains(*ev.Keys, ""):
		return errors.New("keys contains an empty key")
	}
	if ev.FindRegexp {
		if _, err := compile(*ev.Find); err != nil {
			return fmt.Errorf("find as a regular expression: %w", err)
		}
	}
	return nil
}

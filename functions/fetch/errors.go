package fetch

import "fmt"

// Names of the errors an invocation can end with, as Lambda's errorType.
const (
	InvalidEvent     = "InvalidEvent"     // the event is malformed, or a value is out of range
	NoSuchBucket     = "NoSuchBucket"     // the bucket does not exist
	AccessDenied     = "AccessDenied"     // listing was refused: role, bucket policy or signature
	ListFailed       = "ListFailed"       // listing failed for another reason
	ObjectReadFailed = "ObjectReadFailed" // at least one object could not be read whole
	DeadlineNear     = "DeadlineNear"     // stopped shortly before the function's time limit
	ResponseTooLarge = "ResponseTooLarge" // all matches are more than an answer can hold
	Canceled         = "Canceled"         // the caller went away (local entry point)
)

// Names that a [Store] gives to causes, beside NoSuchBucket and AccessDenied.
const (
	NoSuchKey = "NoSuchKey" // the object does not exist (any more)
	SlowDown  = "SlowDown"  // S3 asked for fewer requests, past every retry
	ShortBody = "ShortBody" // a body ended before its Content-Length, past every retry
)

// InvalidGzip is the error of an object whose key or Content-Encoding says gzip,
// while its body is not gzip or was cut off before it was stored.
const InvalidGzip = "InvalidGzip"

// Error is an error with a name that a caller can act on.
type Error struct {
	Type    string // one of the names above
	Message string // what was tried, on what
	Err     error  // the cause, or nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

func errorf(kind string, format string, args ...any) *Error {
	return &Error{Type: kind, Message: fmt.Sprintf(format, args...)}
}

package lambda

import (
	"cmp"
	"encoding/json"
	"regexp"
)

// Error is the object that an invocation answers with when the function, or
// its runtime, failed (X-Amz-Function-Error is then set).
type Error struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// UnknownError is the type of an error object that names none.
const UnknownError = "Unknown"

// Error types that Lambda itself gives.
const (
	ExitError   = "Runtime.ExitError"   // the process ended
	OutOfMemory = "Runtime.OutOfMemory" // it was killed for memory, in what newer Lambda says
	TimedOut    = "Sandbox.Timedout"    // it was killed at its time limit
)

// untyped are the errors that Lambda gave, and in part gives, without a type.
var untyped = []struct {
	message   *regexp.Regexp
	errorType string
}{
	{regexp.MustCompile(`(^| )(Task|Init phase|Restore phase) timed out after [0-9.]+ seconds\s*$`), TimedOut},
	{regexp.MustCompile(`^(RequestId: \S+ )?Process exited before completing request\s*$`), ExitError},
	{regexp.MustCompile(`^RequestId: \S+ (Error: )?Runtime exited `), ExitError},
}

// ParseError reads an error object. It does not fail: a payload that is none is
// the message. Where no type is named, what Lambda itself says without one
// (a time-out, the end of the process) gets the type that it has today, and the
// rest is an [UnknownError].
func ParseError(payload []byte) Error {
	var wire struct{ ErrorType, ErrorMessage json.RawMessage }
	if err := json.Unmarshal(payload, &wire); err != nil || wire.ErrorMessage == nil && wire.ErrorType == nil {
		wire.ErrorMessage = payload
	}
	var e Error
	if json.Unmarshal(wire.ErrorType, &e.Type) != nil {
		e.Type = "" // not a string, so not a type
	}
	if json.Unmarshal(wire.ErrorMessage, &e.Message) != nil {
		e.Message = string(wire.ErrorMessage) // an object, or not JSON: as it is
	}
	if e.Type == "" {
		for _, u := range untyped {
			if u.message.MatchString(e.Message) {
				e.Type = u.errorType
				break
			}
		}
	}
	e.Type = cmp.Or(e.Type, UnknownError)
	return e
}

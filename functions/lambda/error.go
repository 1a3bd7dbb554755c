package lambda

import (
	"cmp"
	"encoding/json"
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

// ParseError reads an error object. It does not fail: a payload that is none is
// the message of an [UnknownError].
func ParseError(payload []byte) Error {
	var e Error
	if err := json.Unmarshal(payload, &e); err != nil {
		return Error{Type: UnknownError, Message: string(payload)}
	}
	e.Type = cmp.Or(e.Type, UnknownError)
	return e
}

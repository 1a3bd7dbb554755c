// Package hint has the errors that a command ends with: what was tried, on
// what, and what to do next. [Usage] is for wrong usage, found before anything
// was created; [Failed] is for a run that failed. Any other error can carry a
// hint by a method Hint() string; [Of] finds both.
package hint

import (
	"errors"
	"fmt"
)

// Exit statuses of a command.
const (
	StatusFailed = 1 // the run failed
	StatusUsage  = 2 // wrong usage
)

// Error is an error with what to do next.
type Error struct {
	Err    error
	Next   string // what to do next
	Status int    // StatusFailed or StatusUsage
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the error without the hint.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *Error) Hint() string { return e.Next }

// Usage is wrong usage, found before anything was created.
func Usage(next, format string, args ...any) error {
	return &Error{fmt.Errorf(format, args...), next, StatusUsage}
}

// Failed is a run that failed.
func Failed(next, format string, args ...any) error {
	return &Error{fmt.Errorf(format, args...), next, StatusFailed}
}

// Of gives the hint and the status of any error: of the outermost error that
// has one; otherwise general, and StatusFailed.
func Of(err error, general string) (next string, status int) {
	var e *Error
	if errors.As(err, &e) {
		return e.Next, e.Status
	}
	var hinting interface{ Hint() string }
	if errors.As(err, &hinting) {
		return hinting.Hint(), StatusFailed
	}
	return general, StatusFailed
}

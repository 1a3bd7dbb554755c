package states

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Names of errors that the service itself gives
// (docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html).
const (
	errAll             = "States.ALL"
	errTaskFailed      = "States.TaskFailed"
	errTimeout         = "States.Timeout"
	errRuntime         = "States.Runtime"
	errDataLimit       = "States.DataLimitExceeded"
	errThreshold       = "States.ExceedToleratedFailureThreshold"
	errItemReader      = "States.ItemReaderFailed"
	errResultWriter    = "States.ResultWriterFailed"
	errNoChoiceMatched = "States.NoChoiceMatched"
	errIntrinsic       = "States.IntrinsicFailure"
)

// Lengths of an error's name and cause that the API can carry
// (docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html).
const (
	maxErrorName  = 256
	maxErrorCause = 32768
)

// Failure is why a state or an execution failed: a name that Retry and Catch
// match, and a cause for people.
type Failure struct {
	Name  string `json:"error"`
	Cause string `json:"cause"`
}

func (f *Failure) Error() string { return f.Name + ": " + f.Cause }

func fail(name, format string, args ...any) *Failure {
	return &Failure{name, fmt.Sprintf(format, args...)}
}

// errStopped ends what StopExecution stopped, errClosed what the server's end
// did.
var (
	errStopped = errors.New("the execution was stopped")
	errClosed  = errors.New("the server was closed")
)

// asFailure words any error as a Failure that the API can carry.
func asFailure(err error) *Failure {
	f := new(Failure)
	if !errors.As(err, &f) {
		if errors.Is(err, context.DeadlineExceeded) {
			return &Failure{Name: errTimeout}
		}
		f = &Failure{errRuntime, err.Error()}
	}
	return &Failure{f.Name[:min(len(f.Name), maxErrorName)], f.Cause[:min(len(f.Cause), maxErrorCause)]}
}

// matches says whether a Retry's or Catch's ErrorEquals takes f. States.ALL
// takes everything but the two that nothing catches by wildcard, and
// States.TaskFailed of that everything but a time-out.
func matches(errorEquals []string, f *Failure) bool {
	switch f.Name {
	case errRuntime:
		return false // not retriable, always fails the execution
	case errDataLimit:
		return slices.Contains(errorEquals, errDataLimit)
	}
	return slices.Contains(errorEquals, f.Name) || slices.Contains(errorEquals, errAll) ||
		f.Name != errTimeout && slices.Contains(errorEquals, errTaskFailed)
}

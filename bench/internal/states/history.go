package states

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// maxEvents is the most events that an execution's history may have
// (docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html).
const maxEvents = 25_000

// event is one line of an execution's history, which is also the journal that
// a later server reads. Which fields it has depends on its type.
type event struct {
	ID   int       `json:"id"`
	Time time.Time `json:"time"`
	Type string    `json:"type"` // as the API names it: TaskStateEntered

	State      string `json:"state,omitempty"`
	Data       string `json:"data,omitempty"` // input or output, as it was
	Error      string `json:"error,omitempty"`
	Cause      string `json:"cause,omitempty"`
	MapRun     string `json:"map_run,omitempty"` // ARN
	Redrives   int    `json:"redrives,omitempty"`
	Machine    string `json:"machine,omitempty"` // ARN, of ExecutionStarted
	Definition string `json:"definition,omitempty"`
}

// Types of events beside those of states.
const (
	executionStarted   = "ExecutionStarted"
	executionSucceeded = "ExecutionSucceeded"
	executionFailed    = "ExecutionFailed"
	executionTimedOut  = "ExecutionTimedOut"
	executionAborted   = "ExecutionAborted"
	executionRedriven  = "ExecutionRedriven"
	mapRunStarted      = "MapRunStarted"
	mapRunRedriven     = "MapRunRedriven"
	mapRunSucceeded    = "MapRunSucceeded"
	mapRunFailed       = "MapRunFailed"
	mapRunAborted      = "MapRunAborted"
)

// history is an execution's events, in memory and in a file.
type history struct {
	file   *os.File
	events []event
}

// add appends an event, on disk before it returns: what the API told is there
// after a crash, too.
func (h *history) add(e event) error {
	e.ID, e.Time = len(h.events)+1, time.Now().UTC().Truncate(time.Millisecond)
	line, err := marshal(e)
	if err == nil {
		_, err = h.file.Write(append(line, '\n'))
	}
	if err == nil {
		err = h.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("keep the execution's history: %w", err)
	}
	h.events = append(h.events, e)
	return nil
}

// openHistory reads a history. A last line that was cut short, when its server
// or the machine ended, is taken off.
func openHistory(path string) (_ *history, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	h := &history{file: f}
	whole := int64(0)
	err = eachLine(f, func(line []byte, _ int64) error {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("%s: line %d: %w", path, len(h.events)+1, err)
		}
		h.events = append(h.events, e)
		whole += int64(len(line)) + 1
		return nil
	})
	if err == nil {
		err = cutTo(f, whole)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return h, nil
}

// eachLine calls line with every whole line of a file, and where it begins.
func eachLine(f *os.File, line func(text []byte, offset int64) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, 1<<62), 64<<10)
	for offset := int64(0); ; {
		text, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what is left has no end
		}
		if err != nil {
			return err
		}
		if err := line(bytes.TrimSuffix(text, []byte{'\n'}), offset); err != nil {
			return err
		}
		offset += int64(len(text))
	}
}

// cutTo takes off what comes after the whole lines, and goes on there.
func cutTo(f *os.File, whole int64) error {
	if err := f.Truncate(whole); err != nil {
		return err
	}
	_, err := f.Seek(whole, io.SeekStart)
	return err
}

// api is the event as GetExecutionHistory gives it
// (docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html).
func (e event) api() map[string]any {
	out := map[string]any{"id": e.ID, "previousEventId": e.ID - 1, "timestamp": seconds(e.Time), "type": e.Type}
	included := map[string]any{"truncated": false}
	details := map[string]any{}
	name := strings.ToLower(e.Type[:1]) + e.Type[1:] + "EventDetails"
	switch {
	case strings.HasSuffix(e.Type, "StateEntered"):
		name = "stateEnteredEventDetails"
		details["name"], details["input"], details["inputDetails"] = e.State, e.Data, included
	case strings.HasSuffix(e.Type, "StateExited"):
		name = "stateExitedEventDetails"
		details["name"], details["output"], details["outputDetails"] = e.State, e.Data, included
	case e.Type == executionStarted:
		details["input"], details["inputDetails"] = e.Data, included
	case e.Type == executionSucceeded:
		details["output"], details["outputDetails"] = e.Data, included
	case e.Type == executionRedriven:
		details["redriveCount"] = e.Redrives
	case e.Type == mapRunStarted:
		details["mapRunArn"] = e.MapRun
	case e.Type == mapRunRedriven:
		details["mapRunArn"], details["redriveCount"] = e.MapRun, e.Redrives
	case e.Type == mapRunSucceeded, e.Type == mapRunAborted:
		return out // these have none
	default: // ExecutionFailed, TimedOut, Aborted, MapRunFailed
		details["error"], details["cause"] = e.Error, e.Cause
	}
	out[name] = details
	return out
}

package states

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stateMachine is a machine under its name.
type stateMachine struct {
	arn, name  string
	definition string
	kind       string
	role       string
	created    time.Time
	revision   string
	machine    *machine
}

// nameID gives an identifier that a name determines.
func nameID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// machineRequest is what CreateStateMachine and UpdateStateMachine are asked.
type machineRequest struct {
	Name            string
	StateMachineArn string
	Definition      string
	Type            string
	RoleArn         string
	Publish         bool

	// What a client may send and nothing here depends on.
	LoggingConfiguration *struct {
		Level                string
		IncludeExecutionData bool
		Destinations         []json.RawMessage
	}
	TracingConfiguration    *struct{ Enabled bool }
	EncryptionConfiguration *struct {
		Type, KmsKeyId              string
		KmsDataKeyReusePeriodSecond int
	}
	Tags               []struct{ Key, Value string }
	VersionDescription string
}

// check refuses what does not run here, and gives the machine of the definition.
func (in *machineRequest) check() (*machine, error) {
	switch {
	case in.Publish || in.VersionDescription != "":
		return nil, invalid("versions of state machines do not run here")
	case in.EncryptionConfiguration != nil && in.EncryptionConfiguration.Type != "AWS_OWNED_KEY":
		return nil, refuse("InvalidEncryptionConfiguration", "only AWS_OWNED_KEY runs here")
	}
	m, err := parse(in.Definition)
	if err != nil {
		return nil, refuse("InvalidDefinition", "Invalid State Machine Definition: '%v'", err)
	}
	return m, nil
}

func (s *Server) createStateMachine(c *call) (any, error) {
	var in machineRequest
	if err := c.read(&in); err != nil {
		return nil, err
	}
	in.Type = cmp.Or(in.Type, Standard)
	switch {
	case !validName(in.Name, false):
		return nil, refuse("InvalidName", "Invalid Name: '%s'", in.Name)
	case in.Type == Express:
		return nil, refuse("StateMachineTypeNotSupported", "only STANDARD state machines run here, EXPRESS only as children of a Map Run")
	case in.Type != Standard:
		return nil, invalid("type %q: must be STANDARD", in.Type)
	case !strings.HasPrefix(in.RoleArn, "arn:"):
		return nil, refuse("InvalidArn", "Invalid Role Arn: '%s'", in.RoleArn)
	}
	m, err := in.check()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	arn := s.arn("stateMachine", in.Name)
	old := s.machines[arn]
	if old != nil && (old.definition != in.Definition || old.role != in.RoleArn) {
		return nil, refuse("StateMachineAlreadyExists", "State Machine Already Exists: '%s'", arn)
	}
	if old == nil { // else it is the same once more, and the answer is the first one's
		old = &stateMachine{arn, in.Name, in.Definition, in.Type, in.RoleArn, time.Now(), newID(), m}
		s.machines[arn] = old
	}
	return map[string]any{"stateMachineArn": arn, "creationDate": epoch{old.created}}, nil
}

// find gives the state machine with an ARN, with s.mu held.
func (s *Server) find(arn string) (*stateMachine, error) {
	parts, err := arnParts(arn, "stateMachine", 7)
	if err != nil {
		return nil, err
	}
	if strings.Contains(parts[6], "/") || len(parts) > 7 {
		return nil, invalid("%s: state machines with qualifiers do not run here", arn)
	}
	m := s.machines[arn]
	if m == nil {
		return nil, refuse("StateMachineDoesNotExist", "State Machine Does Not Exist: '%s'", arn)
	}
	return m, nil
}

func (s *Server) updateStateMachine(c *call) (any, error) {
	var in machineRequest
	if err := c.read(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.find(in.StateMachineArn)
	if err != nil {
		return nil, err
	}
	if in.Definition == "" && in.RoleArn == "" {
		return nil, refuse("MissingRequiredParameter", "Either the definition, the role ARN, or both must be provided")
	}
	next := *old // executions keep the one that they began with
	next.role, next.revision = cmp.Or(in.RoleArn, old.role), newID()
	in.Definition = cmp.Or(in.Definition, old.definition)
	if next.machine, err = in.check(); err != nil {
		return nil, err
	}
	next.definition = in.Definition
	s.machines[next.arn] = &next
	return map[string]any{"updateDate": epoch{time.Now()}, "revisionId": next.revision}, nil
}

func (s *Server) describeStateMachine(c *call) (any, error) {
	var in struct{ StateMachineArn, IncludedData string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(in.StateMachineArn)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"stateMachineArn": m.arn, "name": m.name, "status": "ACTIVE", "definition": m.definition, "roleArn": m.role, "type": m.kind,
		"creationDate": epoch{m.created}, "revisionId": m.revision,
		"loggingConfiguration": map[string]any{"level": "OFF", "includeExecutionData": false},
		"tracingConfiguration": map[string]any{"enabled": false},
	}, nil
}

func (s *Server) listStateMachines(c *call) (any, error) {
	var in page
	if err := c.read(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	all := []any{}
	for _, m := range s.machines {
		all = append(all, map[string]any{"stateMachineArn": m.arn, "name": m.name, "type": m.kind, "creationDate": epoch{m.created}})
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b any) int {
		return cmp.Compare(a.(map[string]any)["name"].(string), b.(map[string]any)["name"].(string))
	})
	return in.answer("stateMachines", all)
}

func (s *Server) deleteStateMachine(c *call) (any, error) {
	var in struct{ StateMachineArn string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(in.StateMachineArn)
	var gone *apiError
	if errors.As(err, &gone) && gone.kind == "StateMachineDoesNotExist" {
		return struct{}{}, nil // as the service, which may still be at it
	}
	if err != nil {
		return nil, err
	}
	delete(s.machines, m.arn)
	return struct{}{}, nil
}

func (s *Server) validateDefinition(c *call) (any, error) {
	var in struct {
		Definition, Type, Severity string
		MaxResults                 int
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	_, err := parse(in.Definition)
	var wrong *definitionError
	if !errors.As(err, &wrong) {
		return map[string]any{"result": "OK", "diagnostics": []any{}, "truncated": false}, nil
	}
	return map[string]any{"result": "FAIL", "truncated": false, "diagnostics": []any{map[string]any{
		"severity": "ERROR", "code": wrong.code, "message": wrong.message, "location": wrong.at,
	}}}, nil
}

// page is how much of a list is asked for.
type page struct {
	MaxResults int
	NextToken  string
}

// mostResults is the most that one page has, and what it has where nothing is
// asked for.
const mostResults, usualResults = 1000, 100

// answer gives a page of all. A token is where the next one begins.
func (p page) answer(name string, all []any) (any, error) {
	if p.MaxResults < 0 || p.MaxResults > mostResults {
		return nil, invalid("maxResults %d: must be 0 to %d", p.MaxResults, mostResults)
	}
	from := 0
	if p.NextToken != "" {
		var err error
		if from, err = strconv.Atoi(p.NextToken); err != nil || from < 0 || from > len(all) {
			return nil, refuse("InvalidToken", "Invalid Token: '%s'", p.NextToken)
		}
	}
	to := min(len(all), from+cmp.Or(p.MaxResults, usualResults))
	out := map[string]any{name: all[from:to]}
	if to < len(all) {
		out["nextToken"] = strconv.Itoa(to)
	}
	return out, nil
}

func (s *Server) startExecution(c *call) (any, error) {
	var in struct{ StateMachineArn, Name, Input, TraceHeader string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	in.Name, in.Input = cmp.Or(in.Name, newID()), cmp.Or(in.Input, "{}")
	if !validName(in.Name, false) {
		return nil, refuse("InvalidName", "Invalid Name: '%s'", in.Name)
	}
	if err := checkData(in.Input); err != nil {
		return nil, refuse("InvalidExecutionInput", "Invalid State Machine Execution Input: it %v", err)
	}
	s.mu.Lock()
	m, err := s.find(in.StateMachineArn)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	arn := s.executionARN(m.name, in.Name)
	if x := s.executions[arn]; x != nil {
		s.mu.Unlock()
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.status != running || x.input != in.Input {
			return nil, refuse("ExecutionAlreadyExists", "Execution Already Exists: '%s'", arn)
		}
		return map[string]any{"executionArn": x.arn, "startDate": epoch{x.started}}, nil
	}
	x, err := s.newExecution(m, in.Name, in.Input)
	if err == nil {
		s.executions[arn] = x
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return map[string]any{"executionArn": x.arn, "startDate": epoch{x.started}}, s.begin(x)
}

// arnParts gives the parts of an ARN, of which there are so many at least, and
// fails where it is of another kind.
func arnParts(arn, kind string, least int) ([]string, error) {
	parts := strings.Split(arn, ":")
	if len(parts) < least || parts[0] != "arn" || parts[2] != "states" || parts[5] != kind {
		return nil, refuse("InvalidArn", "Invalid Arn: 'Resource type not valid in this context: %s'", arn)
	}
	return parts, nil
}

// execution gives the one with an ARN.
func (s *Server) execution(arn string) (*execution, error) {
	if _, err := arnParts(arn, "execution", 8); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.executions[arn]
	if x == nil {
		return nil, refuse("ExecutionDoesNotExist", "Execution Does Not Exist: '%s'", arn)
	}
	return x, nil
}

func (s *Server) describeExecution(c *call) (any, error) {
	var in struct{ ExecutionArn, IncludedData string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	x, err := s.execution(in.ExecutionArn)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	included := map[string]any{"included": true}
	out := x.summary()
	out["input"], out["inputDetails"], out["redriveStatus"] = x.input, included, "REDRIVABLE"
	if reason := x.redrivable(); reason != "" {
		out["redriveStatus"], out["redriveStatusReason"] = "NOT_REDRIVABLE", reason
	}
	switch {
	case x.status == succeeded:
		out["output"], out["outputDetails"] = string(x.output), included
	case x.failure != nil:
		out["error"], out["cause"] = x.failure.Name, x.failure.Cause
	}
	return out, nil
}

// summary is what lists and descriptions of executions have, with x.mu held.
func (x *execution) summary() map[string]any {
	out := map[string]any{
		"executionArn": x.arn, "stateMachineArn": x.machineARN, "name": x.name, "status": x.status,
		"startDate": epoch{x.started}, "redriveCount": x.redrives,
	}
	if x.status != running {
		out["stopDate"] = epoch{x.stopped}
	}
	if x.redrives > 0 {
		out["redriveDate"] = epoch{x.redriven}
	}
	return out
}

func (s *Server) describeForExecution(c *call) (any, error) {
	var in struct{ ExecutionArn, IncludedData string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	x, err := s.execution(in.ExecutionArn)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return map[string]any{
		"stateMachineArn": x.machineARN, "name": x.machineName, "definition": x.history.events[0].Definition, "roleArn": s.role(),
		"updateDate": epoch{x.started},
	}, nil
}

func (s *Server) listExecutions(c *call) (any, error) {
	var in struct {
		page
		StateMachineArn, StatusFilter, MapRunArn, RedriveFilter string
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.MapRunArn != "" {
		return nil, invalid("children of a Map Run are not listed here: ResultWriter's files have them")
	}
	s.mu.Lock()
	_, err := s.find(in.StateMachineArn)
	var found []*execution
	for _, x := range s.executions {
		if x.machineARN == in.StateMachineArn {
			found = append(found, x)
		}
	}
	s.mu.Unlock()
	if err != nil && len(found) == 0 {
		return nil, err
	}
	slices.SortFunc(found, func(a, b *execution) int { return cmp.Or(b.started.Compare(a.started), cmp.Compare(a.name, b.name)) })
	all := []any{}
	for _, x := range found {
		x.mu.Lock()
		redriven := x.redrives > 0
		if (in.StatusFilter == "" || in.StatusFilter == x.status) && (in.RedriveFilter == "" || redriven == (in.RedriveFilter == "REDRIVEN")) {
			all = append(all, x.summary())
		}
		x.mu.Unlock()
	}
	return in.answer("executions", all)
}

func (s *Server) stopExecution(c *call) (any, error) {
	var in struct{ ExecutionArn, Error, Cause string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if len(in.Error) > maxErrorName || len(in.Cause) > maxErrorCause {
		return nil, invalid("error and cause have at most %d and %d characters", maxErrorName, maxErrorCause)
	}
	x, err := s.execution(in.ExecutionArn)
	if err != nil {
		return nil, err
	}
	return map[string]any{"stopDate": epoch{x.stop(in.Error, in.Cause)}}, nil
}

func (s *Server) redriveExecution(c *call) (any, error) {
	var in struct{ ExecutionArn, ClientToken string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	x, err := s.execution(in.ExecutionArn)
	if err != nil {
		return nil, err
	}
	at, err := x.redrive(c.Context())
	if err != nil {
		return nil, err
	}
	return map[string]any{"redriveDate": epoch{at}}, nil
}

func (s *Server) getExecutionHistory(c *call) (any, error) {
	var in struct {
		page
		ExecutionArn         string
		ReverseOrder         bool
		IncludeExecutionData *bool
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	x, err := s.execution(in.ExecutionArn)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	all := make([]any, len(x.history.events))
	for i, e := range x.history.events {
		all[i] = e.api()
	}
	x.mu.Unlock()
	if in.ReverseOrder {
		slices.Reverse(all)
	}
	return in.answer("events", all)
}

func (s *Server) listMapRuns(c *call) (any, error) {
	var in struct {
		page
		ExecutionArn string
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	x, err := s.execution(in.ExecutionArn)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	runs := slices.Clone(x.mapRuns)
	x.mu.Unlock()
	all := []any{}
	for _, r := range slices.Backward(runs) {
		d := r.describe()
		one := map[string]any{
			"mapRunArn": r.arn, "executionArn": x.arn, "stateMachineArn": r.machineARN(), "startDate": d["startDate"],
		}
		if stop := d["stopDate"]; stop != nil {
			one["stopDate"] = stop
		}
		all = append(all, one)
	}
	return in.answer("mapRuns", all)
}

// mapRun gives the one with an ARN.
func (s *Server) mapRun(arn string) (*mapRun, error) {
	if _, err := arnParts(arn, "mapRun", 8); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.mapRuns[arn]
	if r == nil {
		return nil, refuse("ResourceNotFound", "Resource not found: '%s'", arn)
	}
	return r, nil
}

func (s *Server) describeMapRun(c *call) (any, error) {
	var in struct{ MapRunArn string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	r, err := s.mapRun(in.MapRunArn)
	if err != nil {
		return nil, err
	}
	return r.describe(), nil
}

func (s *Server) updateMapRun(c *call) (any, error) {
	var in struct {
		MapRunArn                  string
		MaxConcurrency             *int64
		ToleratedFailureCount      *int64
		ToleratedFailurePercentage *float64
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	r, err := s.mapRun(in.MapRunArn)
	if err != nil {
		return nil, err
	}
	switch {
	case in.MaxConcurrency != nil && (*in.MaxConcurrency < 0 || *in.MaxConcurrency > maxSeconds),
		in.ToleratedFailureCount != nil && *in.ToleratedFailureCount < 0,
		in.ToleratedFailurePercentage != nil && !(*in.ToleratedFailurePercentage >= 0 && *in.ToleratedFailurePercentage <= 100),
		in.ToleratedFailurePercentage != nil && math.IsNaN(*in.ToleratedFailurePercentage):
		return nil, invalid("counts must not be negative, and a percentage must be from 0 to 100")
	}
	if !r.isRunning() {
		return nil, invalid("the Map Run does not run")
	}
	err = r.update(func(l *mapRunLimits) {
		if in.MaxConcurrency != nil {
			l.MaxConcurrency = *in.MaxConcurrency
		}
		if in.ToleratedFailureCount != nil {
			l.ToleratedFailureCount = *in.ToleratedFailureCount
		}
		if in.ToleratedFailurePercentage != nil {
			l.ToleratedFailurePercentage, l.CountOnly = *in.ToleratedFailurePercentage, false
		}
	})
	return struct{}{}, err
}

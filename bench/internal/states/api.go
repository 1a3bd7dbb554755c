package states

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"fanout/bench/internal/sigv4"
)

const (
	// maxRequest is the most bytes of a request: a definition of 1 MiB, each
	// of whose bytes may be escaped.
	maxRequest = 8 << 20
	maxDrain   = 64 << 20
	// clockSkew is how far a request's date may be from now, as on AWS.
	clockSkew = 5 * time.Minute

	target = "AWSStepFunctions."

	// A client of smithy-go (1.28.8) that has an answer before it has looked for
	// the end of its own request, which no service on a network is fast enough
	// for, closes the connection. What is not in its buffer by then is lost.
	eagerBytes = 2 << 10
	eagerTime  = time.Millisecond
)

// apiError is an error as the Step Functions API tells it.
type apiError struct {
	status  int
	kind    string
	message string
}

func (e *apiError) Error() string { return e.kind + ": " + e.message }

func refuse(kind, format string, args ...any) *apiError {
	return &apiError{http.StatusBadRequest, kind, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *apiError {
	return refuse("ValidationException", format, args...)
}

// epoch is a time as the API has it: seconds, with milliseconds behind the
// point.
type epoch struct{ time time.Time }

func (e epoch) MarshalJSON() ([]byte, error) { return json.Marshal(seconds(e.time)) }

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// actions are what the API does here.
var actions = map[string]func(s *Server, c *call) (any, error){
	"CreateStateMachine":             (*Server).createStateMachine,
	"UpdateStateMachine":             (*Server).updateStateMachine,
	"DescribeStateMachine":           (*Server).describeStateMachine,
	"ListStateMachines":              (*Server).listStateMachines,
	"DeleteStateMachine":             (*Server).deleteStateMachine,
	"ValidateStateMachineDefinition": (*Server).validateDefinition,

	"StartExecution":                   (*Server).startExecution,
	"DescribeExecution":                (*Server).describeExecution,
	"DescribeStateMachineForExecution": (*Server).describeForExecution,
	"ListExecutions":                   (*Server).listExecutions,
	"StopExecution":                    (*Server).stopExecution,
	"RedriveExecution":                 (*Server).redriveExecution,
	"GetExecutionHistory":              (*Server).getExecutionHistory,

	"ListMapRuns":    (*Server).listMapRuns,
	"DescribeMapRun": (*Server).describeMapRun,
	"UpdateMapRun":   (*Server).updateMapRun,
}

// call is one authenticated request.
type call struct {
	*http.Request
	body []byte
}

// read decodes the request. What the service has and this does not is refused.
func (c *call) read(into any) error {
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if strings.Contains(err.Error(), "unknown field") {
			return invalid("%v: it does not run here", err)
		}
		return refuse("SerializationException", "%v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse("SerializationException", "more than one JSON value")
	}
	return nil
}

// ServeHTTP answers a request in JSON 1.0.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", newID())
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	out, err := s.answer(r)
	status := http.StatusOK
	if err != nil {
		var known *apiError
		if !errors.As(err, &known) {
			if r.Context().Err() != nil {
				// The caller has gone. To return would send an empty 200, which
				// is an answer to one that has only ended its half.
				panic(http.ErrAbortHandler)
			}
			s.log.Error("step functions API", "target", r.Header.Get("X-Amz-Target"), "error", err)
			known = &apiError{http.StatusInternalServerError, "InternalFailure", err.Error()}
		}
		status, out = known.status, map[string]string{"__type": known.kind, "message": known.message}
	}
	body, err := json.Marshal(out)
	if err != nil {
		s.log.Error("step functions API: encode an answer", "error", err)
		status, body = http.StatusInternalServerError, []byte(`{"__type":"InternalFailure"}`)
	}
	if len(body) > eagerBytes {
		time.Sleep(eagerTime)
	}
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		s.log.Debug("step functions API: write an answer", "error", err)
	}
}

func (s *Server) answer(r *http.Request) (any, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return nil, refuse("SerializationException", "the request could not be read: %v", err)
	}
	if len(body) > maxRequest {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // the answer is the same however this ends
		return nil, &apiError{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException",
			fmt.Sprintf("the request has more than %d bytes", maxRequest)}
	}
	if refused := s.authenticate(r, body); refused != nil {
		return nil, refused
	}
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), target)
	do := actions[name]
	if !ok || do == nil || r.Method != http.MethodPost {
		return nil, refuse("UnknownOperationException", "%s %q does not run here", r.Method, r.Header.Get("X-Amz-Target"))
	}
	return do(s, &call{r, body})
}

// authenticate says why r was not signed by the holder of the credentials; nil
// means that it was.
func (s *Server) authenticate(r *http.Request, body []byte) error {
	creds := s.cfg.Credentials
	v := sigv4.Verifier{
		Service: "states", Region: s.cfg.Region, MaxSkew: clockSkew, EscapePathTwice: true,
		Lookup: func(id string) *sigv4.Key {
			if id != creds.AccessKeyID {
				return nil
			}
			return &sigv4.Key{ID: id, Secret: creds.SecretAccessKey}
		},
	}
	sum := sha256.Sum256(body)
	_, refusal := v.Verify(r, hex.EncodeToString(sum[:]), time.Now())
	switch {
	case refusal == nil && r.Header.Get("X-Amz-Security-Token") != creds.SessionToken, refusal != nil && refusal.Reason == sigv4.UnknownKey:
		return refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	case refusal == nil:
		return nil
	case refusal.Reason == sigv4.Anonymous:
		return refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
	case refusal.Reason == sigv4.Malformed, refusal.Reason == sigv4.UnsupportedVersion:
		return refuse("IncompleteSignatureException", "%s", refusal.Text)
	}
	return refuse("InvalidSignatureException", "%s", refusal.Text)
}

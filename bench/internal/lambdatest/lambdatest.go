// Package lambdatest is a Lambda service for tests, over HTTP on loopback: it
// answers as a well-behaved function would, and misbehaves where a test's
// script says so: statuses, dropped connections, odd log tails, denied updates.
// Nothing is measured or limited, and signatures are not looked at.
package lambdatest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"fanout/functions/fetch"
)

// Operations that can be scripted.
const (
	Invoke = "Invoke"
	Get    = "GetFunctionConfiguration"
	Update = "UpdateFunctionConfiguration"
)

// Step is what one call gets in place of what it would; it returns false where
// the call then goes on as ever.
type Step func(w http.ResponseWriter, r *http.Request) bool

// Function is a function's state.
type Function struct {
	MemoryMB    int
	Arch        string
	Description string
	Env         map[string]string
	VPC         string // its id; empty: it is in none

	// Answer gives a payload, and an error type where the invocation failed; nil:
	// a right answer of three objects, with stats.
	Answer func(event fetch.Event, cold bool) (payload, functionError string)
	// Log gives the log tail; nil: as Lambda writes it, in text.
	Log func(cold bool) string

	revision int
	used     bool // its process had an invocation
}

// Service is a running one.
type Service struct {
	URL string

	mu        sync.Mutex
	functions map[string]*Function
	scripts   map[string][]Step // by operation and function
	forever   map[string]Step
	calls     map[string]int
	invoked   int
}

// Start starts one that ends with the test. Functions are called by name or by
// ARN.
func Start(t testing.TB) *Service {
	t.Helper()
	s := &Service{functions: map[string]*Function{}, scripts: map[string][]Step{}, forever: map[string]Step{}, calls: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.URL = server.URL
	return s
}

// Add adds functions by name.
func (s *Service) Add(name string, f Function) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.functions[name] = &f
}

// Client calls the service, with the SDK's own way of trying again.
func (s *Service) Client() *awslambda.Client {
	return awslambda.New(awslambda.Options{
		BaseEndpoint: aws.String(s.URL), Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
	})
}

// Script has the next calls of an operation on a function ("": on any) take
// these steps; a nil one behaves.
func (s *Service) Script(operation, function string, steps ...Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := operation + " " + function
	s.scripts[key] = append(s.scripts[key], steps...)
}

// Always has every call that has no script take this step; nil behaves.
func (s *Service) Always(operation, function string, step Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forever[operation+" "+function] = step
}

// Calls is how often an operation was called on a function.
func (s *Service) Calls(operation, function string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[operation+" "+function]
}

// Description is a function's.
func (s *Service) Description(function string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.functions[function].Description
}

// Describe changes a function as somebody else would.
func (s *Service) Describe(function, description string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.functions[function]
	f.Description = description
	f.revision++
}

// Fault answers with a status and the API's error code.
func Fault(status int, code string) Step {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"message":"scripted %s"}`, code)
		return true
	}
}

// HTML answers with a status as a proxy would, which knows nothing of Lambda.
func HTML(status int) Step {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprint(w, "<html><body>Bad Gateway</body></html>")
		return true
	}
}

// Drop ends the connection without an answer.
func Drop(w http.ResponseWriter, _ *http.Request) bool {
	hijack(w, "")
	return true
}

// BreakOff ends the connection within the answer.
func BreakOff(w http.ResponseWriter, _ *http.Request) bool {
	hijack(w, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"result\":")
	return true
}

func hijack(w http.ResponseWriter, text string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, text)
	_ = conn.Close()
}

// Hang answers nothing, for as long as the caller waits.
func Hang(_ http.ResponseWriter, r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the caller is gone
	<-r.Context().Done()
	panic(http.ErrAbortHandler) // to return would be to answer with an empty 200
}

// Then does something before the call goes on as ever.
func Then(do func()) Step {
	return func(http.ResponseWriter, *http.Request) bool {
		do()
		return false
	}
}

// next takes the step of a call, if there is one.
func (s *Service) next(operation, function string) Step {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[operation+" "+function]++
	for _, key := range []string{operation + " " + function, operation + " "} {
		if steps := s.scripts[key]; len(steps) > 0 {
			s.scripts[key] = steps[1:]
			return steps[0]
		}
	}
	for _, key := range []string{operation + " " + function, operation + " "} {
		if step := s.forever[key]; step != nil {
			return step
		}
	}
	return nil
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/2015-03-31/functions/"), "/")
	name := parts[0]
	if i := strings.LastIndex(name, ":"); i >= 0 {
		name = name[i+1:]
	}
	operation := map[string]string{
		"POST invocations": Invoke, "GET configuration": Get, "PUT configuration": Update,
	}[r.Method+" "+parts[len(parts)-1]]
	if step := s.next(operation, name); step != nil && step(w, r) {
		return
	}
	s.behave(w, r, operation, name)
}

// Late does what a call asks for before the step answers it.
func (s *Service) Late(operation, function string, step Step) Step {
	return func(w http.ResponseWriter, r *http.Request) bool {
		s.behave(httptest.NewRecorder(), r, operation, function)
		return step(w, r)
	}
}

// behave answers a call as it should be.
func (s *Service) behave(w http.ResponseWriter, r *http.Request, operation, name string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.functions[name]
	if f == nil {
		Fault(http.StatusNotFound, "ResourceNotFoundException")(w, r)
		return
	}
	switch operation {
	case Invoke:
		s.invoke(w, f, body)
	case Update:
		var in struct{ Description, RevisionId *string }
		if err := json.Unmarshal(body, &in); err != nil {
			Fault(http.StatusBadRequest, "InvalidRequestContentException")(w, r)
			return
		}
		if in.RevisionId != nil && *in.RevisionId != fmt.Sprint(f.revision) {
			Fault(http.StatusPreconditionFailed, "PreconditionFailedException")(w, r)
			return
		}
		if in.Description != nil {
			if len(utf16.Encode([]rune(*in.Description))) > 256 {
				Fault(http.StatusBadRequest, "InvalidParameterValueException")(w, r)
				return
			}
			f.Description = *in.Description
		}
		f.revision++
		f.used = false
		fallthrough
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"FunctionName": name, "Description": f.Description, "RevisionId": fmt.Sprint(f.revision), "LastUpdateStatus": "Successful",
			"MemorySize": f.MemoryMB, "Architectures": []string{f.Arch},
			"Environment": map[string]any{"Variables": f.Env}, "VpcConfig": map[string]string{"VpcId": f.VPC}, // "" as AWS has it of none
		})
	}
}

// Result is what a function answers that is not told otherwise.
const Result = "objects/object-000001"

// RightAnswer is the answer of a function that is not told otherwise: three
// objects, read by lean.
func RightAnswer(_ fetch.Event, cold bool) (payload, functionError string) {
	text, err := json.Marshal(fetch.Response{
		Lang: "go", Result: Result, Time: 0.1,
		Stats: fetch.Stats{Objects: 3, Bytes: 30, Digest: "00", Cold: cold, Concurrency: 8, Client: "lean"},
	})
	if err != nil {
		panic(err)
	}
	return string(text), ""
}

// Published is the answer of a contender without stats.
func Published(fetch.Event, bool) (payload, functionError string) {
	return `{"lang":"x","detail":"y","result":"` + Result + `","time":0.1}`, ""
}

// TextLog is a log tail as Lambda writes it.
func TextLog(cold bool) string {
	log := "START RequestId: 1 Version: $LATEST\nEND RequestId: 1\n" +
		"REPORT RequestId: 1\tDuration: 100.00 ms\tBilled Duration: 150 ms\tMemory Size: 512 MB\tMax Memory Used: 40 MB\t"
	if cold {
		log += "Init Duration: 50.00 ms\t"
	}
	return log + "\n"
}

func (s *Service) invoke(w http.ResponseWriter, f *Function, body []byte) {
	var event fetch.Event
	_ = json.Unmarshal(body, &event) // an event of another kind is none
	answer, log := f.Answer, f.Log
	if answer == nil {
		answer = RightAnswer
	}
	if log == nil {
		log = TextLog
	}
	cold := !f.used
	f.used = true
	s.invoked++
	payload, functionError := answer(event, cold)
	w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte(log(cold))))
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	if functionError != "" {
		w.Header().Set("X-Amz-Function-Error", functionError)
	}
	_, _ = io.WriteString(w, payload)
}

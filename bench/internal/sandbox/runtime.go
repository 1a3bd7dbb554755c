package sandbox

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"fanout/functions/lambda"
)

// runtimeAPI serves the Lambda Runtime API and the Extensions API to one
// process (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and
// runtimes-extensions-api.html). What only SnapStart has, restore/next, is not
// there, as on Lambda without it.
func (p *process) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	const base = "/2018-06-01/runtime/"
	mux.HandleFunc("GET "+base+"invocation/next", p.handleNext)
	mux.HandleFunc("POST "+base+"invocation/{id}/response", p.handleResponse)
	mux.HandleFunc("POST "+base+"invocation/{id}/error", p.handleError)
	mux.HandleFunc("POST "+base+"init/error", p.handleInitError)
	p.extensionsAPI(mux)
	return mux
}

func (p *process) handleNext(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = true
	p.settle()
	p.mu.Unlock()
	var inv *invocation
	select {
	case inv = <-p.next:
	case <-r.Context().Done():
		hangUp()
	}
	now := time.Now()
	p.mu.Lock()
	p.current = inv
	inv.deadline = now.Add(inv.timeout)
	p.tellExtensions(inv)
	p.mu.Unlock()
	inv.begun <- now

	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", inv.arn)
	h.Set("Lambda-Runtime-Trace-Id", inv.trace)
	if inv.clientContext != "" {
		h.Set("Lambda-Runtime-Client-Context", inv.clientContext)
	}
	h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
	_, _ = w.Write(inv.payload) // a runtime that is not there to read it ends by itself or by its time-out
}

// settle notes that the runtime or an extension waits for an event: when all of
// them do for the first time, INIT is over; when all extensions do again, so is
// their part of the invocation. p.mu is held.
func (p *process) settle() {
	for _, x := range p.extensions {
		if !x.waiting {
			return
		}
	}
	if p.asked && p.readyAt.IsZero() {
		p.readyAt = time.Now()
		close(p.ready)
	}
	if p.settled != nil {
		close(p.settled)
		p.settled = nil
	}
}

// The headers by which a runtime says how it answers.
const (
	responseModeHeader = "Lambda-Runtime-Function-Response-Mode"
	errorTypeHeader    = "Lambda-Runtime-Function-Error-Type" // also a trailer of a streamed response
	errorBodyTrailer   = "Lambda-Runtime-Function-Error-Body"
)

// handleResponse takes the function's response. One that is streamed is
// buffered, as Lambda does for Invoke; it can turn into an error on its way.
func (p *process) handleResponse(w http.ResponseWriter, r *http.Request) {
	switch mode := r.Header.Get(responseModeHeader); mode {
	case "", "buffered", "streaming":
	default:
		runtimeError(w, http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode")
		return
	}
	p.finish(w, r, func(body []byte) response {
		kind := r.Trailer.Get(errorTypeHeader)
		if kind == "" {
			return response{body: body}
		}
		text := r.Trailer.Get(errorBodyTrailer)
		if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
			text = string(decoded)
		}
		return response{body: errorBody([]byte(text), kind), failed: true}
	})
}

// handleError takes the function's error.
func (p *process) handleError(w http.ResponseWriter, r *http.Request) {
	p.finish(w, r, func(body []byte) response {
		if r.Header.Get("Content-Type") == errorCauseType {
			body = withoutCause(body)
		}
		return response{body: errorBody(body, r.Header.Get(errorTypeHeader)), failed: true}
	})
}

// errorCauseType is the type of an error that comes with its cause for X-Ray,
// which is not the caller's.
const errorCauseType = "application/vnd.aws.lambda.error.cause+json"

// withoutCause gives of an error what the caller gets.
func withoutCause(body []byte) []byte {
	var e struct {
		Message json.RawMessage `json:"errorMessage,omitempty"`
		Type    json.RawMessage `json:"errorType,omitempty"`
		Stack   json.RawMessage `json:"stackTrace,omitempty"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return []byte(`"Invalid error body"`)
	}
	text, err := json.Marshal(e)
	if err != nil {
		return []byte(`"Invalid error body"`)
	}
	return text
}

// errorBody is a runtime's error, or one that names the kind from the header
// where the body says nothing.
func errorBody(body []byte, kind string) []byte {
	if len(body) > 0 {
		return body
	}
	text, _ := json.Marshal(lambda.Error{Type: cmp.Or(kind, unknownRuntimeError)}) // strings always can
	return text
}

// unknownRuntimeError is the type of an error without one.
const unknownRuntimeError = "Runtime.Unknown"

// tooLarge is the function error that a response over the limit becomes.
var tooLarge = fmt.Appendf(nil,
	`{"errorMessage":"Response payload size exceeded maximum allowed payload size (%d bytes).","errorType":"Function.ResponseSizeTooLarge"}`,
	maxPayload)

// finish takes what came of the present event, as read makes of the body. What
// is for an event that is not, or no longer, the present one is refused.
func (p *process) finish(w http.ResponseWriter, r *http.Request, read func(body []byte) response) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		return // the runtime broke off: it is its end or its time-out that tells
	}
	at := time.Now()
	p.mu.Lock()
	inv := p.current
	if inv != nil && inv.id == r.PathValue("id") {
		p.current = nil
	} else {
		inv = nil
	}
	p.mu.Unlock()

	switch {
	case inv == nil:
		runtimeError(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	case len(body) > maxPayload:
		inv.done <- response{body: tooLarge, failed: true, at: at}
		runtimeError(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxPayload))
	default:
		a := read(body)
		a.at = at
		inv.done <- a
		runtimeReply(w, http.StatusAccepted, `{"status":"OK"}`)
	}
}

// handleInitError takes the runtime's word that INIT failed.
func (p *process) handleInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload))
	if err != nil {
		return
	}
	p.mu.Lock()
	over := p.asked
	p.mu.Unlock()
	if over {
		runtimeError(w, http.StatusForbidden, "InvalidStateTransition",
			"State transition from Ready to InitError failed for runtime. Error: State transition is not allowed")
		return
	}
	p.giveUp(errorBody(body, r.Header.Get(errorTypeHeader)))
	runtimeReply(w, http.StatusAccepted, `{"status":"OK"}`)
}

// giveUp notes an error that ends the process; the first one counts.
func (p *process) giveUp(body []byte) {
	select {
	case p.failed <- response{body: body, failed: true, at: time.Now()}:
	default:
	}
}

func runtimeError(w http.ResponseWriter, status int, kind, message string) {
	text, _ := json.Marshal(lambda.Error{Type: kind, Message: message}) // strings always can
	runtimeReply(w, status, string(text))
}

func runtimeReply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // nobody to tell
}

package sandbox

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// runtimeAPI serves the Lambda Runtime API to one process
// (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
func (p *process) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	const base = "/2018-06-01/runtime/"
	mux.HandleFunc("GET "+base+"invocation/next", p.handleNext)
	mux.HandleFunc("POST "+base+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) { p.handleResponse(w, r, false) })
	mux.HandleFunc("POST "+base+"invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) { p.handleResponse(w, r, true) })
	mux.HandleFunc("POST "+base+"init/error", p.handleInitError)
	return mux
}

func (p *process) handleNext(w http.ResponseWriter, r *http.Request) {
	p.readyO.Do(func() {
		p.mu.Lock()
		p.readyAt = time.Now()
		p.mu.Unlock()
		close(p.ready)
	})
	var inv *invocation
	select {
	case inv = <-p.next:
	case <-r.Context().Done():
		return
	}
	p.mu.Lock()
	p.current = inv
	p.mu.Unlock()
	now := time.Now()
	inv.begun <- now

	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(now.Add(inv.timeout).UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", inv.arn)
	h.Set("Lambda-Runtime-Trace-Id", inv.trace)
	if inv.clientContext != "" {
		h.Set("Lambda-Runtime-Client-Context", inv.clientContext)
	}
	h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
	_, _ = w.Write(inv.payload) // a runtime that is not there to read it ends by itself or by its time-out
}

// tooLarge is the function error that a response over the limit becomes.
var tooLarge = fmt.Appendf(nil,
	`{"errorMessage":"Response payload size exceeded maximum allowed payload size (%d bytes).","errorType":"Function.ResponseSizeTooLarge"}`,
	maxPayload)

// handleResponse takes the answer to the present event. One for an event that is
// not, or no longer, the present one is refused.
func (p *process) handleResponse(w http.ResponseWriter, r *http.Request, failed bool) {
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
		runtimeReply(w, http.StatusBadRequest, `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`)
	case len(body) > maxPayload:
		inv.done <- response{body: tooLarge, failed: true, at: at}
		runtimeReply(w, http.StatusRequestEntityTooLarge,
			fmt.Sprintf(`{"errorMessage":"Exceeded maximum allowed payload size (%d bytes).","errorType":"RequestEntityTooLarge"}`, maxPayload))
	default:
		inv.done <- response{body: body, failed: failed, at: at}
		runtimeReply(w, http.StatusAccepted, `{"status":"OK"}`)
	}
}

func (p *process) handleInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload))
	if err != nil {
		return
	}
	select {
	case p.init <- response{body: body, failed: true, at: time.Now()}:
	default: // it has said so before
	}
	runtimeReply(w, http.StatusAccepted, `{"status":"OK"}`)
}

func runtimeReply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // nobody to tell
}

package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// maxExtensions is how many a function can have
// (docs.aws.amazon.com/lambda/latest/dg/extensions-configuration.html).
const maxExtensions = 10

// maxRegistration bounds the body of a request of the Extensions API.
const maxRegistration = 64 << 10

// extension is one that the process has registered: an internal one, as all are
// that Lambda itself has not started from /opt/extensions. It is guarded by
// process.mu.
type extension struct {
	id, name string
	invoke   bool // it gets INVOKE events
	ended    bool // by an error of its own
	waiting  bool // in event/next
	events   chan extensionEvent
}

// extensionEvent is what event/next answers.
type extensionEvent struct {
	Type     string `json:"eventType"`
	Deadline int64  `json:"deadlineMs"`
	Request  string `json:"requestId"`
	ARN      string `json:"invokedFunctionArn"`
	Tracing  struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	} `json:"tracing"`
}

// The headers of the Extensions API.
const (
	extensionNameHeader  = "Lambda-Extension-Name"
	extensionIDHeader    = "Lambda-Extension-Identifier"
	extensionErrorHeader = "Lambda-Extension-Function-Error-Type"
)

// extensionsAPI adds the Extensions API, and those for logs and telemetry as
// far as they can be refused without ending an extension, as Lambda's own
// emulator does.
func (p *process) extensionsAPI(mux *http.ServeMux) {
	const base = "/2020-01-01/extension/"
	mux.HandleFunc("POST "+base+"register", p.handleRegister)
	mux.HandleFunc("GET "+base+"event/next", p.asExtension(p.handleEvent))
	mux.HandleFunc("POST "+base+"init/error", p.asExtension(p.handleExtensionError("Extension.InitError")))
	mux.HandleFunc("POST "+base+"exit/error", p.asExtension(p.handleExtensionError("Extension.ExitError")))
	mux.HandleFunc("PUT /2020-08-15/logs", func(w http.ResponseWriter, _ *http.Request) {
		runtimeError(w, http.StatusAccepted, "Logs.NotSupported", "Logs API is not supported")
	})
	mux.HandleFunc("PUT /2022-07-01/telemetry", func(w http.ResponseWriter, _ *http.Request) {
		runtimeError(w, http.StatusAccepted, "Telemetry.NotSupported", "Telemetry API is not supported")
	})
}

// parseRegistration reads the events that an extension registers for; kind is
// the type of the error.
func parseRegistration(body []byte) (events []string, kind string, err error) {
	var in struct {
		Events            []string `json:"events"`
		ConfigurationKeys []string `json:"configurationKeys"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, "InvalidRequestFormat", err
	}
	if len(in.ConfigurationKeys) > 0 {
		return nil, "InvalidRequestFormat", fmt.Errorf("configurationKeys are deprecated; use environment variables instead")
	}
	for _, e := range in.Events {
		switch e {
		case "INVOKE":
		case "SHUTDOWN":
			return nil, "Extension.InvalidEventType", fmt.Errorf("SHUTDOWN: an internal extension cannot register for it")
		default:
			return nil, "Extension.InvalidEventType", fmt.Errorf("%s: no such event", e)
		}
	}
	return in.Events, "", nil
}

func (p *process) handleRegister(w http.ResponseWriter, r *http.Request) {
	refuse := func(kind, message string) { runtimeError(w, http.StatusForbidden, kind, message) }
	name := r.Header.Get(extensionNameHeader)
	if name == "" {
		refuse("Extension.InvalidExtensionName", "Empty extension name")
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRegistration))
	if err != nil {
		return
	}
	events, kind, err := parseRegistration(body)
	if err != nil {
		refuse(kind, err.Error())
		return
	}
	x := &extension{id: newUUID(), name: name, invoke: slices.Contains(events, "INVOKE"), events: make(chan extensionEvent, 1)}
	p.mu.Lock()
	kind, message := p.admit(x)
	p.mu.Unlock()
	if kind != "" {
		refuse(kind, message)
		return
	}
	out := map[string]string{"functionName": p.conf.Name, "functionVersion": "$LATEST", "handler": "bootstrap"}
	for feature := range strings.SplitSeq(r.Header.Get("Lambda-Extension-Accept-Feature"), ",") {
		if strings.TrimSpace(feature) == "accountId" {
			out["accountId"] = p.sb.cfg.AccountID
		}
	}
	text, _ := json.Marshal(out) // strings always can
	w.Header().Set(extensionIDHeader, x.id)
	runtimeReply(w, http.StatusOK, string(text))
}

// admit takes one more extension, or gives the type and message of the error.
// p.mu is held.
func (p *process) admit(x *extension) (kind, message string) {
	switch {
	case p.asked:
		return "Extension.RegistrationClosed", "Extension registration closed already"
	case slices.ContainsFunc(p.extensions, func(other *extension) bool { return other.name == x.name }):
		return "Extension.InvalidExtensionState", "Extension with this name already registered"
	case len(p.extensions) == maxExtensions:
		return "Extension.TooManyExtensions", fmt.Sprintf("Extension limit (%d) reached", maxExtensions)
	}
	p.extensions = append(p.extensions, x)
	return "", ""
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// asExtension finds the extension that a request is from.
func (p *process) asExtension(h func(http.ResponseWriter, *http.Request, *extension)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(extensionIDHeader)
		switch {
		case id == "":
			runtimeError(w, http.StatusForbidden, "Extension.MissingExtensionIdentifier", "Missing "+extensionIDHeader+" header")
			return
		case !uuidPattern.MatchString(id):
			runtimeError(w, http.StatusForbidden, "Extension.InvalidExtensionIdentifier", "Invalid "+extensionIDHeader)
			return
		}
		p.mu.Lock()
		i := slices.IndexFunc(p.extensions, func(x *extension) bool { return strings.EqualFold(x.id, id) })
		var x *extension
		if i >= 0 {
			x = p.extensions[i]
		}
		p.mu.Unlock()
		if x == nil {
			runtimeError(w, http.StatusForbidden, "Extension.UnknownExtensionIdentifier", "Unknown extension "+id)
			return
		}
		h(w, r, x)
	}
}

// handleEvent is an extension's next.
func (p *process) handleEvent(w http.ResponseWriter, r *http.Request, x *extension) {
	p.mu.Lock()
	ended := x.ended
	if !ended && len(x.events) == 0 { // else it was cut off from one, which it gets now
		x.waiting = true
		p.settle()
	}
	p.mu.Unlock()
	if ended {
		p.refuseEnded(w, x, "Ready")
		return
	}
	var e extensionEvent
	select {
	case e = <-x.events:
	case <-r.Context().Done():
		hangUp()
	}
	text, _ := json.Marshal(e) // its fields always can
	w.Header().Set("Lambda-Extension-Event-Identifier", newUUID())
	runtimeReply(w, http.StatusOK, string(text))
}

func (p *process) refuseEnded(w http.ResponseWriter, x *extension, to string) {
	runtimeError(w, http.StatusForbidden, "Extension.InvalidExtensionState",
		fmt.Sprintf("State transition from Exited to %s failed for extension %s. Error: State transition is not allowed", to, x.name))
}

// handleExtensionError takes an extension's word that it failed, which fails
// the INIT or invocation with the kind, and ends the process.
func (p *process) handleExtensionError(kind string) func(http.ResponseWriter, *http.Request, *extension) {
	return func(w http.ResponseWriter, r *http.Request, x *extension) {
		reason := r.Header.Get(extensionErrorHeader)
		if reason == "" {
			runtimeError(w, http.StatusForbidden, "Extension.MissingHeader", extensionErrorHeader+" not found")
			return
		}
		p.mu.Lock()
		ended := x.ended
		x.ended, x.waiting = true, false
		p.mu.Unlock()
		if ended {
			p.refuseEnded(w, x, "Error")
			return
		}
		text, _ := json.Marshal(map[string]string{ // strings always can
			"errorType": kind, "errorMessage": fmt.Sprintf("Error: extension %s failed: %s", x.name, reason),
		})
		p.giveUp(text)
		runtimeReply(w, http.StatusAccepted, `{"status":"OK"}`)
		if p.sb.drop(p) { // it is at rest: no invocation will see to it
			p.kill()
		}
	}
}

// tellExtensions hands an invocation to those that want to know. p.mu is held.
func (p *process) tellExtensions(inv *invocation) {
	inv.settled = make(chan struct{})
	p.settled = inv.settled
	for _, x := range p.extensions {
		if !x.invoke || x.ended {
			continue
		}
		e := extensionEvent{Type: "INVOKE", Deadline: inv.deadline.UnixMilli(), Request: inv.id, ARN: inv.arn}
		e.Tracing.Type, e.Tracing.Value = "X-Amzn-Trace-Id", inv.trace
		x.waiting = false
		x.events <- e // it was waiting, so there is room
	}
	p.settle() // where nobody wants to
}

// shutdownLimit is how long a process with internal extensions has from its
// SIGTERM on; one without has none (docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
const shutdownLimit = 500 * time.Millisecond

// retire ends a process at rest, as Lambda ends an environment that it does not
// need any more.
func (p *process) retire() {
	p.mu.Lock()
	warned := len(p.extensions) > 0
	p.mu.Unlock()
	if !warned || p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		p.kill()
		return
	}
	time.AfterFunc(p.sb.stopLimit, p.kill)
}

// extensionLines are what Lambda logs of the extensions after INIT.
func (p *process) extensionLines() (lines []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.extensions {
		events := ""
		if x.invoke {
			events = "INVOKE"
		}
		lines = fmt.Appendf(lines, "EXTENSION\tName: %s\tState: Ready\tEvents: [%s]\n", x.name, events)
	}
	return lines
}

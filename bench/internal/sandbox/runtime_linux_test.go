package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fanout/functions/lambda"
)

// runtimeFixture is a Runtime API without a process behind it.
type runtimeFixture struct {
	*process
	url string
	t   testing.TB
}

func startRuntimeAPI(t testing.TB) *runtimeFixture {
	t.Helper()
	fn := &function{conf: &settings{Function: Function{Name: "probe"}}}
	p := &process{
		sb: &Sandbox{cfg: Config{AccountID: testAccount}, log: slog.New(slog.DiscardHandler)}, fn: fn, conf: fn.conf,
		next: make(chan *invocation), ready: make(chan struct{}), failed: make(chan response, 1), exited: make(chan struct{}),
	}
	server := httptest.NewServer(p.runtimeAPI())
	t.Cleanup(server.Close)
	return &runtimeFixture{p, server.URL, t}
}

// call makes a request and reads the response; header are names and values.
func (f *runtimeFixture) call(method, path, body string, header ...string) (*http.Response, string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return f.do(r)
}

func (f *runtimeFixture) do(r *http.Request) (*http.Response, string) {
	f.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		f.t.Fatal(err)
	}
	return resp, string(text)
}

// want fails the test if a response is not the one wanted; kind is its
// errorType.
func (f *runtimeFixture) want(resp *http.Response, text string, status int, kind string) {
	f.t.Helper()
	var e lambda.Error
	if kind != "" {
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.Message == "" {
			f.t.Errorf("%s: %v", text, err)
		}
	}
	if resp.StatusCode != status || e.Type != kind {
		f.t.Errorf("%s %s: %d %s: want %d %q", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode, text, status, kind)
	}
}

// hand gives the runtime an event, as if it was the next.
func (f *runtimeFixture) hand(id string) *invocation {
	inv := &invocation{
		id: id, payload: []byte("{}"), timeout: time.Minute, arn: testARN, trace: "Root=1-0-0",
		begun: make(chan time.Time, 1), done: make(chan response, 1),
	}
	go func() { f.next <- inv }()
	resp, text := f.call("GET", "/2018-06-01/runtime/invocation/next", "")
	f.want(resp, text, 200, "")
	<-inv.begun
	return inv
}

// What a runtime says of an event, as the caller gets it.
func TestRuntimeResponses(t *testing.T) {
	t.Parallel()
	const cause = "application/vnd.aws.lambda.error.cause+json"
	for _, tt := range []struct {
		name, path, body string
		header           []string
		trailer          map[string]string
		status           int
		kind             string // of the API's own error
		want             string // body of the invocation
		failed           bool
	}{
		{"buffered", "response", `{"a":1}`, nil, nil, 202, "", `{"a":1}`, false},
		{"streamed", "response", `{"a":1}`, []string{responseModeHeader, "streaming"}, nil, 202, "", `{"a":1}`, false},
		{"streamed, then failed", "response", `{"a":`, []string{responseModeHeader, "streaming"},
			map[string]string{errorTypeHeader: "Mine", errorBodyTrailer: base64.StdEncoding.EncodeToString([]byte(`{"errorType":"Mine"}`))},
			202, "", `{"errorType":"Mine"}`, true},
		{"streamed, then failed without a body", "response", `{"a":`, nil, map[string]string{errorTypeHeader: "Mine"},
			202, "", `{"errorType":"Mine","errorMessage":""}`, true},
		{"a mode that is none", "response", `{}`, []string{responseModeHeader, "fast"}, nil, 400, "InvalidFunctionResponseMode", "", false},
		{"empty", "response", "", nil, nil, 202, "", "", false},
		{"error", "error", `{"errorType":"Mine"}`, []string{"Lambda-Runtime-Function-XRay-Error-Cause", `{"exceptions":[]}`, errorTypeHeader,
			"Other"},
			nil, 202, "", `{"errorType":"Mine"}`, true},
		{"an error in its header alone", "error", "", []string{errorTypeHeader, "Function.NoSuchHandler"}, nil,
			202, "", `{"errorType":"Function.NoSuchHandler","errorMessage":""}`, true},
		{"an error of nothing", "error", "", nil, nil, 202, "", `{"errorType":"Runtime.Unknown","errorMessage":""}`, true},
		{"an error with its cause", "error", `{"errorMessage":"m","errorType":"T","stackTrace":["a"],"cause":{"working_directory":"/x"}}`,
			[]string{"Content-Type", cause}, nil, 202, "", `{"errorMessage":"m","errorType":"T","stackTrace":["a"]}`, true},
		{"an error with a cause that is none", "error", `oops`, []string{"Content-Type", cause}, nil, 202, "", `"Invalid error body"`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := startRuntimeAPI(t)
			inv := f.hand("1")
			r, err := http.NewRequestWithContext(t.Context(), "POST", f.url+"/2018-06-01/runtime/invocation/1/"+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(tt.header); i += 2 {
				r.Header.Set(tt.header[i], tt.header[i+1])
			}
			if tt.trailer != nil {
				r.ContentLength, r.Trailer = -1, http.Header{}
				for k, v := range tt.trailer {
					r.Trailer.Set(k, v)
				}
			}
			resp, text := f.do(r)
			f.want(resp, text, tt.status, tt.kind)
			if tt.status != 202 {
				if len(inv.done) != 0 {
					t.Error("refused, and taken")
				}
				return
			}
			if got := <-inv.done; string(got.body) != tt.want || got.failed != tt.failed {
				t.Errorf("%s, failed %v: want %s, %v", got.body, got.failed, tt.want, tt.failed)
			}
		})
	}
}

// Requests that come at the wrong time, or are for what is not there.
func TestRuntimeStates(t *testing.T) {
	t.Parallel()
	f := startRuntimeAPI(t)
	const base = "/2018-06-01/runtime/"
	inv := f.hand("1")
	resp, text := f.call("POST", base+"invocation/2/response", "{}")
	f.want(resp, text, 400, "InvalidRequestID")
	resp, text = f.call("POST", base+"init/error", `{"errorType":"Late"}`)
	f.want(resp, text, 403, "InvalidStateTransition")
	if len(f.failed) != 0 {
		t.Error("an error of INIT after INIT counted")
	}
	resp, text = f.call("POST", base+"invocation/1/response", "{}")
	f.want(resp, text, 202, "")
	<-inv.done
	resp, text = f.call("POST", base+"invocation/1/error", "{}") // it has been answered
	f.want(resp, text, 400, "InvalidRequestID")
	for _, path := range []string{base + "restore/next", base + "restore/error", base + "nothing", "/"} { // SnapStart's, and others
		resp, text = f.call("GET", path, "")
		f.want(resp, text, 404, "")
	}
	resp, text = f.call("POST", base+"invocation/next", "")
	f.want(resp, text, 405, "")
}

// What the Extensions API refuses, and what it says of itself.
func TestExtensionsAPI(t *testing.T) {
	t.Parallel()
	const base = "/2020-01-01/extension/"
	f := startRuntimeAPI(t)
	for _, tt := range []struct {
		name, body string
		header     []string
		status     int
		kind       string
	}{
		{"without a name", `{"events":["INVOKE"]}`, nil, 403, "Extension.InvalidExtensionName"},
		{"not JSON", `{`, []string{extensionNameHeader, "a"}, 403, "InvalidRequestFormat"},
		{"keys of old", `{"events":[],"configurationKeys":["A"]}`, []string{extensionNameHeader, "a"}, 403, "InvalidRequestFormat"},
		{"for SHUTDOWN, which only external ones get", `{"events":["INVOKE","SHUTDOWN"]}`, []string{extensionNameHeader, "a"}, 403,
			"Extension.InvalidEventType"},
		{"for what is no event", `{"events":["invoke"]}`, []string{extensionNameHeader, "a"}, 403, "Extension.InvalidEventType"},
		{"for nothing", `{"events":[]}`, []string{extensionNameHeader, "a"}, 200, ""},
		{"a second one", `{"events":["INVOKE"]}`, []string{extensionNameHeader, "b"}, 200, ""},
		{"a name twice", `{"events":["INVOKE"]}`, []string{extensionNameHeader, "b"}, 403, "Extension.InvalidExtensionState"},
	} {
		resp, text := f.call("POST", base+"register", tt.body, tt.header...)
		t.Log(tt.name)
		f.want(resp, text, tt.status, tt.kind)
	}
	resp, text := f.call("POST", base+"register", `{"events":["INVOKE"]}`, extensionNameHeader, "c", "Lambda-Extension-Accept-Feature",
		"other, accountId")
	id := resp.Header.Get(extensionIDHeader)
	want := `{"accountId":"` + testAccount + `","functionName":"probe","functionVersion":"$LATEST","handler":"bootstrap"}`
	if text != want || len(id) != 36 {
		t.Errorf("registered %q as %s: want %s", id, text, want)
	}
	for i := range maxExtensions - 3 {
		resp, text = f.call("POST", base+"register", `{"events":[]}`, extensionNameHeader, "d"+string(rune('0'+i)))
		f.want(resp, text, 200, "")
	}
	resp, text = f.call("POST", base+"register", `{"events":[]}`, extensionNameHeader, "e")
	f.want(resp, text, 403, "Extension.TooManyExtensions")

	for _, path := range []string{"event/next", "init/error", "exit/error"} {
		method := "POST"
		if path == "event/next" {
			method = "GET"
		}
		for kind, header := range map[string][]string{
			"Extension.MissingExtensionIdentifier": nil,
			"Extension.InvalidExtensionIdentifier": {extensionIDHeader, "x"},
			"Extension.UnknownExtensionIdentifier": {extensionIDHeader, newUUID()},
		} {
			resp, text = f.call(method, base+path, "", header...)
			f.want(resp, text, 403, kind)
		}
	}
	resp, text = f.call("POST", base+"init/error", "", extensionIDHeader, id)
	f.want(resp, text, 403, "Extension.MissingHeader")
	resp, text = f.call("POST", base+"init/error", "", extensionIDHeader, strings.ToUpper(id), extensionErrorHeader, "Mine")
	f.want(resp, text, 202, "")
	if a := <-f.failed; lambda.ParseError(a.body).Type != "Extension.InitError" || !strings.Contains(string(a.body),
		"extension c failed: Mine") {
		t.Errorf("INIT failed with %s", a.body)
	}
	resp, text = f.call("POST", base+"exit/error", "", extensionIDHeader, id, extensionErrorHeader, "Mine")
	f.want(resp, text, 403, "Extension.InvalidExtensionState")
	resp, text = f.call("GET", base+"event/next", "", extensionIDHeader, id)
	f.want(resp, text, 403, "Extension.InvalidExtensionState")
	// What subscribes to logs or telemetry must not end for want of them.
	resp, text = f.call("PUT", "/2022-07-01/telemetry", "{}", extensionIDHeader, id)
	f.want(resp, text, 202, "Telemetry.NotSupported")
	resp, text = f.call("PUT", "/2020-08-15/logs", "{}", extensionIDHeader, id)
	f.want(resp, text, 202, "Logs.NotSupported")
}

// After INIT there is no registration.
func TestExtensionTooLate(t *testing.T) {
	t.Parallel()
	f := startRuntimeAPI(t)
	f.hand("1")
	resp, text := f.call("POST", "/2020-01-01/extension/register", `{"events":["INVOKE"]}`, extensionNameHeader, "a")
	f.want(resp, text, 403, "Extension.RegistrationClosed")
}

// Real processes with an internal extension.
func TestExtensions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		how     string
		timeout time.Duration
		init    time.Duration
		kind    string // errorType; empty: an answer
		log     []string
		status  string
		warm    bool // the next invocation meets the same process
	}{
		{"quick", time.Minute, initLimit, "", []string{
			"EXTENSION\tName: probe-extension\tState: Ready\tEvents: [INVOKE]\nSTART", `extension: {"eventType":"INVOKE","deadlineMs":`,
			`"invokedFunctionArn":"` + testARN + `","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1-`,
		}, "", true},
		// aws-lambda-go registers one of its own for a SIGTERM.
		{"sigterm", time.Minute, initLimit, "", nil, "", true},
		// The invocation lasts until the extension is through with it.
		{"slow", time.Minute, initLimit, "", nil, "", true},
		// It never is: the response stands.
		{"stuck", 3 * time.Second, initLimit, "", nil, "timeout", false},
		// It gives up in the middle.
		{"exit error", time.Minute, initLimit, "Extension.ExitError", nil, "error", false},
		// It gives up in INIT.
		{"init error", time.Minute, initLimit, "Extension.InitError", []string{"probe: in INIT"}, "error", false},
		// It never asks for an event, so INIT is not over.
		{"not ready", time.Minute, 300 * time.Millisecond, lambda.TimedOut, nil, "timeout", false},
	} {
		t.Run(tt.how, func(t *testing.T) {
			t.Parallel()
			f := startTestInit(t, tt.init, func(c *Config) {
				c.Functions[0].Timeout = tt.timeout
				c.Functions[0].Env = map[string]string{"PROBE_EXTENSION": tt.how}
			})
			event := `{"mode":"echo","text":"hello"}`
			if tt.how == "exit error" {
				event = `{"mode":"sleep"}` // or the answer could be there first
			}
			r := f.invoke(event)
			if r.kind != tt.kind || tt.kind == "" && r.Text != "hello" || r.report.Status != tt.status {
				t.Errorf("got %s, report %+v; want %q, status %q", r.raw, r.report, tt.kind, tt.status)
			}
			for _, want := range tt.log {
				if !strings.Contains(r.tail, want) {
					t.Errorf("log %q: want %q in it", r.tail, want)
				}
			}
			if tt.how == "slow" && r.report.DurationMS < 300 {
				t.Errorf("duration %v ms: without the extension's 300", r.report.DurationMS)
			}
			if tt.how == "stuck" && r.report.DurationMS != 3000 {
				t.Errorf("duration %v ms: want the time-out", r.report.DurationMS)
			}
			if tt.kind != "" {
				return
			}
			if next := f.invoke(event); next.Text != "hello" || next.report.Cold() == tt.warm {
				t.Errorf("next: %s, report %+v", next.raw, next.report)
			}
		})
	}
}

// Whatever a process sends, the API answers it, and one event ends once.
func FuzzRuntimeAPI(f *testing.F) {
	f.Add("POST", "/2018-06-01/runtime/invocation/1/response", "{}", responseModeHeader, "streaming")
	f.Add("POST", "/2018-06-01/runtime/invocation/1/error", `{"errorType":1}`, "Content-Type", errorCauseType)
	f.Add("POST", "/2018-06-01/runtime/init/error", ``, errorTypeHeader, "Mine")
	f.Add("POST", "/2020-01-01/extension/register", `{"events":["INVOKE"]}`, extensionNameHeader, "a")
	f.Add("POST", "/2020-01-01/extension/exit/error", ``, extensionIDHeader, "5f1c2b3a-0000-4000-8000-000000000000")
	f.Add("PUT", "/2022-07-01/telemetry", `{}`, "", "")
	f.Fuzz(func(t *testing.T, method, path, body, name, value string) {
		if method == "GET" || method == "HEAD" || method == "" { // next waits
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1/", strings.NewReader(body))
		if err != nil {
			return
		}
		r.URL.Path = path
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		fx := startRuntimeAPI(t)
		inv := &invocation{id: "1", done: make(chan response, 1)}
		fx.current = inv
		w := httptest.NewRecorder()
		fx.runtimeAPI().ServeHTTP(w, r)
		if w.Code < 200 || w.Code > 499 {
			t.Errorf("%s %s: %d", method, path, w.Code)
		}
		if taken := fx.current == nil; taken != (len(inv.done) == 1) {
			t.Errorf("%s %s: taken %v, %d answers", method, path, taken, len(inv.done))
		}
	})
}

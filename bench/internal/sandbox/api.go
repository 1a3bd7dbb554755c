package sandbox

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"fanout/functions/lambda"
)

// maxDrain is how much of a request that is too large is read away, so that
// its sender gets the answer rather than a reset connection.
const maxDrain = 64 << 20

// apiError is an error as the Lambda API tells it.
type apiError struct {
	status  int
	kind    string
	message string
}

func (e *apiError) Error() string { return e.kind + ": " + e.message }

func invalidParameter(format string, args ...any) *apiError {
	return &apiError{http.StatusBadRequest, "InvalidParameterValueException", fmt.Sprintf(format, args...)}
}

func invalidContent(message string) *apiError {
	return &apiError{http.StatusBadRequest, "InvalidRequestContentException", message}
}

// call is one authenticated API request.
type call struct {
	*http.Request
	id   string
	body []byte
}

// api gives the handler of the Lambda API.
func (s *Sandbox) api() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(http.ResponseWriter, *call) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if s.enter() != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			defer s.wg.Done()
			s.serve(w, r, h)
		})
	}
	handle("POST /2015-03-31/functions/{name}/invocations", s.apiInvoke)
	handle("GET /2015-03-31/functions/{name}", s.apiGet)
	handle("GET /2015-03-31/functions/{name}/configuration", s.apiGetConfiguration)
	handle("PUT /2015-03-31/functions/{name}/configuration", s.apiUpdateConfiguration)
	handle("GET /2015-03-31/functions", s.apiList)
	handle("GET /2015-03-31/functions/{$}", s.apiList)
	handle("/", func(_ http.ResponseWriter, c *call) error {
		return &apiError{http.StatusNotFound, "UnknownOperationException", fmt.Sprintf("the sandbox does not serve %s %s", c.Method, c.URL.Path)}
	})
	return mux
}

// serve reads and authenticates a request, and writes the error where there is
// one.
func (s *Sandbox) serve(w http.ResponseWriter, r *http.Request, h func(http.ResponseWriter, *call) error) {
	c := &call{Request: r, id: newUUID()}
	w.Header().Set("X-Amzn-Requestid", c.id)
	err := func() error {
		var err error
		if c.body, err = io.ReadAll(io.LimitReader(r.Body, maxPayload+1)); err != nil {
			return invalidContent("the request could not be read: " + err.Error())
		}
		if len(c.body) > maxPayload {
			_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // the answer is the same however this ends
			return &apiError{http.StatusRequestEntityTooLarge, "RequestTooLargeException",
				fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", maxPayload)}
		}
		if refused := authenticate(r, c.body, s.cfg.Credentials, s.cfg.Region, time.Now()); refused != nil {
			return refused
		}
		return h(w, c)
	}()
	if err == nil {
		return
	}
	if r.Context().Err() != nil {
		hangUp()
	}
	var known *apiError
	if !errors.As(err, &known) {
		s.log.Error("lambda API", "method", r.Method, "path", r.URL.Path, "error", err)
		known = &apiError{http.StatusInternalServerError, "ServiceException", err.Error()}
	}
	w.Header().Set("X-Amzn-Errortype", known.kind)
	side := "User"
	if known.status >= 500 {
		side = "Service"
	}
	// Lambda's model spells the field Message in some errors and message in
	// others; clients read either, and some only one.
	body := map[string]string{"Type": side, "Message": known.message, "message": known.message}
	if known.status == http.StatusTooManyRequests {
		body["Reason"] = "ConcurrentInvocationLimitExceeded" // the only one there is here
	}
	s.reply(w, known.status, body)
}

// hangUp ends a request whose caller has gone, without an answer: to return
// would send an empty 200, which a caller that has only ended its half of the
// connection takes for what the function said.
func hangUp() { panic(http.ErrAbortHandler) }

// reply writes v as JSON.
func (s *Sandbox) reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		s.log.Error("lambda API: encode a response", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	s.write(w, status, body)
}

func (s *Sandbox) write(w http.ResponseWriter, status int, body []byte) {
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		s.log.Debug("lambda API: write a response", "error", err)
	}
}

// parseName takes a function's name as the API allows it: its name, its ARN,
// or the end of it (ACCOUNT:function:NAME, function:NAME), each with or
// without :QUALIFIER. Region and account are empty where not given.
func parseName(ref string) (region, account, name, qualifier string, ok bool) {
	parts := strings.Split(ref, ":")
	if len(parts) >= 7 && parts[0] == "arn" {
		if parts[2] != "lambda" || parts[5] != "function" || parts[3] == "" || parts[4] == "" {
			return "", "", "", "", false
		}
		region, account = parts[3], parts[4]
		parts = parts[6:]
	} else if len(parts) >= 3 && parts[1] == "function" {
		account = parts[0]
		parts = parts[2:]
	} else if len(parts) >= 2 && parts[0] == "function" {
		parts = parts[1:]
	}
	switch len(parts) {
	case 2:
		if parts[1] == "" {
			return "", "", "", "", false
		}
		qualifier = parts[1]
		fallthrough
	case 1:
		name = parts[0]
	}
	return region, account, name, qualifier, functionName.MatchString(name)
}

// find gives the function that c is about.
func (s *Sandbox) find(c *call) (*function, *settings, error) {
	ref := c.PathValue("name")
	region, account, name, qualifier, ok := parseName(ref)
	if !ok {
		return nil, nil, invalidParameter("%q is not the name or ARN of a function", ref)
	}
	qualifier = cmp.Or(c.URL.Query().Get("Qualifier"), qualifier, "$LATEST")
	f, conf := s.function(name)
	if f == nil || qualifier != "$LATEST" ||
		cmp.Or(region, s.cfg.Region) != s.cfg.Region || cmp.Or(account, s.cfg.AccountID) != s.cfg.AccountID {
		arn := fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", cmp.Or(region, s.cfg.Region), cmp.Or(account, s.cfg.AccountID), name)
		if qualifier != "$LATEST" {
			arn += ":" + qualifier
		}
		return nil, nil, &apiError{http.StatusNotFound, "ResourceNotFoundException", "Function not found: " + arn}
	}
	return f, conf, nil
}

func (s *Sandbox) apiInvoke(w http.ResponseWriter, c *call) error {
	f, _, err := s.find(c)
	if err != nil {
		return err
	}
	inv, logType, err := c.invocation(f)
	if err != nil {
		return err
	}
	switch kind := cmp.Or(c.Header.Get("X-Amz-Invocation-Type"), "RequestResponse"); kind {
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
		return nil
	case "Event":
		if err := s.invokeLater(f, inv); err != nil {
			return err
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	case "RequestResponse":
	default:
		return invalidParameter("InvocationType %q: must be RequestResponse, Event or DryRun", kind)
	}
	if err := s.occupy(); err != nil {
		return err
	}
	out, err := s.invoke(c.Context(), f, inv)
	s.running.Add(-1) // before the answer: its reader may come with the next
	if err != nil {
		return err
	}
	s.describe(w.Header(), f, out)
	if logType == "Tail" {
		w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(out.tail))
	}
	s.write(w, http.StatusOK, out.body)
	return nil
}

// invocation reads what an Invoke request asks for.
func (c *call) invocation(f *function) (inv *invocation, logType string, err error) {
	payload := c.body
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	if !json.Valid(payload) {
		return nil, "", invalidContent("Could not parse request body into json: it is not valid JSON")
	}
	var clientContext []byte
	if v := c.Header.Get("X-Amz-Client-Context"); v != "" {
		if clientContext, err = base64.StdEncoding.DecodeString(v); err != nil || !json.Valid(clientContext) {
			return nil, "", invalidContent("Client context must be a valid Base64-encoded JSON object.")
		}
	}
	logType = cmp.Or(c.Header.Get("X-Amz-Log-Type"), "None")
	if logType != "None" && logType != "Tail" {
		return nil, "", invalidParameter("LogType %q: must be None or Tail", logType)
	}
	return &invocation{
		id: c.id, arn: f.arn, payload: payload, clientContext: string(bytes.TrimSpace(clientContext)),
		trace: cmp.Or(c.Header.Get("X-Amzn-Trace-Id"), newTraceID()),
		begun: make(chan time.Time, 1), done: make(chan response, 1),
	}, logType, nil
}

// invokeLater runs an asynchronous invocation: once, whatever it comes to.
func (s *Sandbox) invokeLater(f *function, inv *invocation) error {
	if err := s.enter(); err != nil {
		return err
	}
	go func() {
		defer s.wg.Done()
		out, err := s.invoke(s.ctx, f, inv)
		switch {
		case err != nil:
			s.log.Error("asynchronous invocation", "function", f.arn, "request", inv.id, "error", err)
		case out.failed:
			s.log.Warn("asynchronous invocation ended with a function error; it is not tried again", "request", inv.id)
		}
	}()
	return nil
}

// describe sets the headers that say how an invocation went.
func (s *Sandbox) describe(h http.Header, f *function, out outcome) {
	h.Set("Content-Type", "application/json")
	h.Set("X-Amz-Executed-Version", "$LATEST")
	h.Set("X-Fanout-Cpu-Ms", strconv.FormatFloat(lambda.Milliseconds(out.cpu), 'f', 2, 64))
	limit := "none"
	if s.cgroups != nil {
		limit = strconv.FormatFloat(out.vcpu, 'f', 3, 64)
	}
	h.Set("X-Fanout-Cpu-Limit", limit)
	h.Set("X-Fanout-Limits", s.limitsOf(out.report.MemoryMB).String())
	if f.program.ranBy != "" {
		h.Set("X-Fanout-Runtime", f.program.runtime)
		h.Set("X-Fanout-Ran-By", f.program.ranBy)
	}
	if out.failed {
		h.Set("X-Amz-Function-Error", "Unhandled")
	}
}

// configuration is FunctionConfiguration of the Lambda API: what there is to
// say of a function here.
type configuration struct {
	FunctionName     string
	FunctionArn      string
	Runtime          string
	Role             string
	Handler          string
	CodeSize         int64
	CodeSha256       string
	Description      string
	Timeout          int64
	MemorySize       int
	LastModified     string
	Version          string
	RevisionId       string
	State            string
	LastUpdateStatus string
	PackageType      string
	Architectures    []string
	TracingConfig    struct{ Mode string }
	EphemeralStorage struct{ Size int }
	LoggingConfig    struct{ LogFormat, LogGroup string }
	Environment      *environment `json:",omitempty"`
}

type environment struct{ Variables map[string]string }

func (s *Sandbox) configuration(f *function, conf *settings) configuration {
	c := configuration{
		FunctionName: conf.Name, FunctionArn: f.arn, Runtime: conf.Runtime, Handler: cmp.Or(conf.Handler, "bootstrap"),
		Role:     "arn:aws:iam::" + s.cfg.AccountID + ":role/fanout-sandbox",
		CodeSize: f.pack.size, CodeSha256: f.pack.sha256,
		Description: conf.Description, Timeout: int64(conf.Timeout / time.Second), MemorySize: conf.MemoryMB,
		LastModified: conf.modified.UTC().Format("2006-01-02T15:04:05.000+0000"),
		Version:      "$LATEST", RevisionId: conf.revision,
		State: "Active", LastUpdateStatus: "Successful", PackageType: "Zip",
		Architectures: []string{conf.Arch},
	}
	c.TracingConfig.Mode = "PassThrough"
	c.EphemeralStorage.Size = 512
	c.LoggingConfig.LogFormat = "Text"
	c.LoggingConfig.LogGroup = logGroup(conf.Name)
	if len(conf.Env) > 0 {
		c.Environment = &environment{conf.Env}
	}
	return c
}

func logGroup(function string) string { return "/aws/lambda/" + function }

func (s *Sandbox) apiGet(w http.ResponseWriter, c *call) error {
	f, conf, err := s.find(c)
	if err != nil {
		return err
	}
	s.reply(w, http.StatusOK, map[string]any{
		"Configuration": s.configuration(f, conf),
		"Code":          map[string]string{"RepositoryType": "S3", "Location": "file://" + f.pack.path},
	})
	return nil
}

func (s *Sandbox) apiGetConfiguration(w http.ResponseWriter, c *call) error {
	f, conf, err := s.find(c)
	if err != nil {
		return err
	}
	s.reply(w, http.StatusOK, s.configuration(f, conf))
	return nil
}

// configurationChange is what UpdateFunctionConfiguration changes here.
type configurationChange struct {
	Description *string
	MemorySize  *int
	Timeout     *int64
	Environment *environment
	RevisionId  *string
}

// parseChange reads the body of an UpdateFunctionConfiguration. What Lambda
// would change and the sandbox would not is refused.
func parseChange(body []byte) (in configurationChange, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		if strings.Contains(err.Error(), "unknown field") {
			return in, invalidParameter("%v: the sandbox changes Description, MemorySize, Timeout and Environment only", err)
		}
		return in, invalidContent("Could not parse request body into json: " + err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return in, invalidContent("Could not parse request body into json: there is more after it")
	}
	return in, nil
}

// apply changes next, or says what is wrong.
func (in configurationChange) apply(next *settings) error {
	if in.RevisionId != nil && *in.RevisionId != next.revision {
		return &apiError{http.StatusPreconditionFailed, "PreconditionFailedException", "The Revision Id provided does not match " +
			"the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"}
	}
	if in.Description != nil {
		next.Description = *in.Description
	}
	if in.MemorySize != nil {
		next.MemoryMB = *in.MemorySize
	}
	if in.Timeout != nil {
		// Lambda's range, checked before the conversion can overflow.
		if *in.Timeout < 1 || *in.Timeout > 900 {
			return invalidParameter("timeout %d: must be 1 to 900 seconds", *in.Timeout)
		}
		next.Timeout = time.Duration(*in.Timeout) * time.Second
	}
	if in.Environment != nil {
		next.Env = in.Environment.Variables
	}
	if err := next.validate(); err != nil {
		return invalidParameter("%v", err)
	}
	return nil
}

func (s *Sandbox) apiUpdateConfiguration(w http.ResponseWriter, c *call) error {
	f, _, err := s.find(c)
	if err != nil {
		return err
	}
	in, err := parseChange(c.body)
	if err != nil {
		return err
	}
	conf, err := s.update(f, in.apply)
	if err != nil {
		return err
	}
	s.reply(w, http.StatusOK, s.configuration(f, conf))
	return nil
}

// maxPage is the most functions that Lambda lists at once.
const maxPage = 50

func (s *Sandbox) apiList(w http.ResponseWriter, c *call) error {
	q := c.URL.Query()
	n := maxPage
	if v := q.Get("MaxItems"); v != "" {
		asked, err := strconv.Atoi(v)
		if err != nil || asked < 1 || asked > 10000 {
			return invalidParameter("MaxItems %q: must be 1 to 10000", v)
		}
		n = min(n, asked)
	}
	marker, err := base64.URLEncoding.DecodeString(q.Get("Marker"))
	if err != nil {
		return invalidParameter("Marker: not one that ListFunctions gave")
	}
	page, confs, next := s.list(string(marker), n)
	out := struct {
		Functions  []configuration
		NextMarker string `json:",omitempty"`
	}{Functions: slices.Grow([]configuration{}, len(page))}
	for i, f := range page {
		out.Functions = append(out.Functions, s.configuration(f, confs[i]))
	}
	if next != "" {
		out.NextMarker = base64.URLEncoding.EncodeToString([]byte(next))
	}
	s.reply(w, http.StatusOK, out)
	return nil
}

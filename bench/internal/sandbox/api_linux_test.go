package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const testARN = "arn:aws:lambda:" + testRegion + ":" + testAccount + ":function:probe"

// statusOf gives the HTTP status and the error code of what a client call
// ended with.
func statusOf(t *testing.T, err error) (int, string) {
	t.Helper()
	var response *smithyhttp.ResponseError
	var api smithy.APIError
	if !errors.As(err, &response) || !errors.As(err, &api) {
		t.Fatalf("%v: not an error of the API", err)
	}
	return response.HTTPStatusCode(), api.ErrorCode()
}

func TestInvokeErrors(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	for _, tt := range []struct {
		name   string
		in     lambda.InvokeInput
		status int
		code   string
	}{
		// A name that nothing has.
		{"unknown", lambda.InvokeInput{FunctionName: aws.String("other")}, 404, "ResourceNotFoundException"},
		// Another account's function is not ours.
		{"other account", lambda.InvokeInput{FunctionName: aws.String(strings.Replace(testARN, testAccount, "210987654321", 1))}, 404,
			"ResourceNotFoundException"},
		{"other region", lambda.InvokeInput{FunctionName: aws.String(strings.Replace(testARN, testRegion, "us-east-1", 1))}, 404,
			"ResourceNotFoundException"},
		// There is one version.
		{"version", lambda.InvokeInput{FunctionName: aws.String("probe"), Qualifier: aws.String("7")}, 404, "ResourceNotFoundException"},
		// A name that cannot be one.
		{"bad name", lambda.InvokeInput{FunctionName: aws.String("a b/c")}, 400, "InvalidParameterValueException"},
		// The event is JSON, or is refused before a process sees it.
		{"bad JSON", lambda.InvokeInput{FunctionName: aws.String("probe"), Payload: []byte(`{"mode":`)}, 400, "InvalidRequestContentException"},
		// One byte too many.
		{"big payload", lambda.InvokeInput{FunctionName: aws.String("probe"), Payload: bytes.Repeat([]byte("1"), maxPayload+1)}, 413,
			"RequestTooLargeException"},
		// Far too many: the answer still arrives.
		{"huge payload", lambda.InvokeInput{FunctionName: aws.String("probe"), Payload: bytes.Repeat([]byte("1"), 5*maxPayload)}, 413,
			"RequestTooLargeException"},
		// A type of invocation that Lambda has not.
		{"bad type", lambda.InvokeInput{FunctionName: aws.String("probe"), InvocationType: "Sometimes"}, 400, "InvalidParameterValueException"},
		// The client context is Base64 of JSON.
		{"context that is no JSON", lambda.InvokeInput{FunctionName: aws.String("probe"), ClientContext: aws.String("bm90IEpTT04=")}, 400,
			"InvalidRequestContentException"},
		{"bad context", lambda.InvokeInput{FunctionName: aws.String("probe"), ClientContext: aws.String("e30")}, 400,
			"InvalidRequestContentException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := f.Invoke(t.Context(), &tt.in)
			if status, code := statusOf(t, err); status != tt.status || code != tt.code {
				t.Errorf("%d %s: want %d %s", status, code, tt.status, tt.code)
			}
		})
	}
}

func TestInvocationTypes(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	out, err := f.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("probe"), InvocationType: types.InvocationTypeDryRun})
	if err != nil || out.StatusCode != 204 {
		t.Errorf("dry run: %+v, %v", out, err)
	}
	first := f.invoke(`{"mode":"echo"}`)
	if !first.report.Cold() {
		t.Error("the dry run started a process")
	}
	out, err = f.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String(testARN), InvocationType: types.InvocationTypeEvent, Payload: []byte(`{"mode":"exit"}`),
	})
	if err != nil || out.StatusCode != 202 || len(out.Payload) != 0 {
		t.Errorf("event: %+v, %v", out, err)
	}
	wait(t, "the event is run", func() bool { return gone(first.PID) })

	out, err = f.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("probe"), Payload: []byte(`{"mode":"echo"}`)})
	if err != nil || out.StatusCode != 200 || aws.ToString(out.ExecutedVersion) != "$LATEST" || out.LogResult != nil {
		t.Errorf("without a log: %+v, %v", out, err)
	}
}

// What the runtime is told of an invocation.
func TestContext(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	before := time.Now()
	out, err := f.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("probe"), Payload: []byte(`{"mode":"context"}`),
		ClientContext: aws.String("eyJjbGllbnQiOnsiYXBwX3RpdGxlIjoiZmFub3V0In19"), // {"client":{"app_title":"fanout"}}
	})
	if err != nil {
		t.Fatal(err)
	}
	var r probeResult
	if err := json.Unmarshal(out.Payload, &r); err != nil {
		t.Fatalf("%v: %s", err, out.Payload)
	}
	deadline := time.UnixMilli(r.Deadline)
	if deadline.Before(before.Add(30*time.Second).Truncate(time.Millisecond)) || deadline.After(time.Now().Add(30*time.Second)) {
		t.Errorf("deadline %v: want 30 s after %v", deadline, before)
	}
	if r.ARN != testARN || len(r.Request) != 36 || r.Client != "fanout" || !strings.HasPrefix(r.Trace, "Root=1-") {
		t.Errorf("context %+v", r)
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	for _, name := range []string{"probe", "probe:$LATEST", "function:probe", testAccount + ":function:probe", testARN, testARN + ":$LATEST"} {
		got, err := f.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: &name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c := got.Configuration
		if aws.ToString(c.FunctionArn) != testARN || c.State != types.StateActive || c.LastUpdateStatus != types.LastUpdateStatusSuccessful ||
			aws.ToInt32(c.MemorySize) != 512 || aws.ToInt32(c.Timeout) != 30 || !slices.Equal(c.Architectures, []types.Architecture{"x86_64"}) ||
			c.Environment.Variables["AWS_EC2_METADATA_DISABLED"] != "true" || c.Runtime != types.RuntimeProvidedal2023 || c.CodeSize == 0 {
			t.Errorf("%s: %+v", name, c)
		}
	}
	was, err := f.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("probe")})
	if err != nil {
		t.Fatal(err)
	}
	now, err := f.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("probe"), RevisionId: was.RevisionId,
		Description: aws.String("d"), MemorySize: aws.Int32(1769), Timeout: aws.Int32(7),
		Environment: &types.Environment{Variables: map[string]string{"PROBE_X": "y"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(now.Description) != "d" || aws.ToInt32(now.MemorySize) != 1769 || aws.ToInt32(now.Timeout) != 7 ||
		now.Environment.Variables["PROBE_X"] != "y" || aws.ToString(now.RevisionId) == aws.ToString(was.RevisionId) {
		t.Errorf("updated: %+v", now)
	}
	if err := lambda.NewFunctionUpdatedV2Waiter(f.Client).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("probe")},
		time.Minute); err != nil {
		t.Errorf("wait for the update: %v", err)
	}
	r := f.invoke(`{"mode":"env"}`)
	if r.Env["PROBE_X"] != "y" || r.Env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] != "1769" || r.report.MemoryMB != 1769 {
		t.Errorf("a process after the update: %+v, %+v", r.Env, r.report)
	}

	for _, tt := range []struct {
		name   string
		in     lambda.UpdateFunctionConfigurationInput
		status int
		code   string
	}{
		// Somebody else changed it meanwhile.
		{"revision", lambda.UpdateFunctionConfigurationInput{RevisionId: was.RevisionId, Description: aws.String("x")}, 412,
			"PreconditionFailedException"},
		// Lambda's ranges.
		{"memory", lambda.UpdateFunctionConfigurationInput{MemorySize: aws.Int32(64)}, 400, "InvalidParameterValueException"},
		{"timeout", lambda.UpdateFunctionConfigurationInput{Timeout: aws.Int32(901)}, 400, "InvalidParameterValueException"},
		// Names that Lambda sets itself.
		{"environment", lambda.UpdateFunctionConfigurationInput{
			Environment: &types.Environment{Variables: map[string]string{"AWS_REGION": "x"}},
		}, 400, "InvalidParameterValueException"},
		// A change that would be lost is refused.
		{"handler", lambda.UpdateFunctionConfigurationInput{Handler: aws.String("other")}, 400, "InvalidParameterValueException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.FunctionName = aws.String("probe")
			_, err := f.UpdateFunctionConfiguration(t.Context(), &tt.in)
			if status, code := statusOf(t, err); status != tt.status || code != tt.code {
				t.Errorf("%d %s: want %d %s", status, code, tt.status, tt.code)
			}
		})
	}
	same, err := f.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("probe")})
	if err != nil || aws.ToString(same.RevisionId) != aws.ToString(now.RevisionId) {
		t.Errorf("after refused updates: %+v, %v", same, err)
	}
}

func TestListFunctions(t *testing.T) {
	t.Parallel()
	want := []string{"a", "b", "c", "d", "probe"}
	f := startTest(t, func(c *Config) {
		for _, name := range []string{"c", "a", "d", "b"} {
			other := c.Functions[0]
			other.Name = name
			c.Functions = append(c.Functions, other)
		}
	})
	for _, size := range []int32{1, 2, 5, 50} {
		var got []string
		pages := lambda.NewListFunctionsPaginator(f.Client, &lambda.ListFunctionsInput{MaxItems: aws.Int32(size)})
		n := 0
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n++
			for _, c := range page.Functions {
				got = append(got, aws.ToString(c.FunctionName))
			}
		}
		if wantPages := (len(want) + int(size) - 1) / int(size); !slices.Equal(got, want) || n != wantPages {
			t.Errorf("by %d: %v in %d pages, want %v in %d", size, got, n, want, wantPages)
		}
	}
	_, err := f.ListFunctions(t.Context(), &lambda.ListFunctionsInput{Marker: aws.String("?")})
	if status, code := statusOf(t, err); status != 400 || code != "InvalidParameterValueException" {
		t.Errorf("a marker not given: %d %s", status, code)
	}
}

func sign(t *testing.T, r *http.Request, body string, creds aws.Credentials, service, region string, at time.Time) {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		t.Fatal(err)
	}
}

// Whoever ends its half of the connection before the function has answered gets
// no answer: an empty 200 would be taken for the function's.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	const body = `{"mode":"sleep"}`
	r, err := http.NewRequestWithContext(t.Context(), "POST", f.URL()+"/2015-03-31/functions/probe/invocations", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sign(t, r, body, testCredentials, "lambda", testRegion, time.Now())
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it is read to its end
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	wait(t, "it runs", func() bool { return f.running.Load() == 1 })
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); len(answer) > 0 {
		t.Errorf("answered %q, %v", answer, err)
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	other := func(change func(*aws.Credentials)) aws.Credentials {
		c := testCredentials
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name            string
		creds           aws.Credentials
		service, region string
		at              time.Duration // from now
		change          func(*http.Request)
		status          int
		code            string
	}{
		// The base case, without which the others prove nothing.
		{"right", testCredentials, "lambda", testRegion, 0, nil, 200, ""},
		// What an attacker who knows the key's name has.
		{"secret", other(func(c *aws.Credentials) { c.SecretAccessKey = "guess" }), "lambda", testRegion, 0,
			nil, 403, "InvalidSignatureException"},
		{"key", other(func(c *aws.Credentials) { c.AccessKeyID = "AKIAOTHER" }), "lambda", testRegion, 0,
			nil, 403, "UnrecognizedClientException"},
		{"token", other(func(c *aws.Credentials) { c.SessionToken = "stale" }), "lambda", testRegion, 0, nil, 403, "UnrecognizedClientException"},
		{"no token", other(func(c *aws.Credentials) { c.SessionToken = "" }), "lambda", testRegion, 0, nil, 403, "UnrecognizedClientException"},
		// A signature for something else.
		{"service", testCredentials, "s3", testRegion, 0, nil, 403, "InvalidSignatureException"},
		{"region", testCredentials, "lambda", "us-east-1", 0, nil, 403, "InvalidSignatureException"},
		// A request recorded earlier, and a clock ahead.
		{"old", testCredentials, "lambda", testRegion, -6 * time.Minute, nil, 403, "InvalidSignatureException"},
		{"future", testCredentials, "lambda", testRegion, 6 * time.Minute, nil, 403, "InvalidSignatureException"},
		{"skew", testCredentials, "lambda", testRegion, -4 * time.Minute, nil, 200, ""},
		// No signature, or not one.
		{"unsigned", testCredentials, "lambda", testRegion, 0,
			func(r *http.Request) { r.Header.Del("Authorization") }, 403, "MissingAuthenticationTokenException"},
		{"basic", testCredentials, "lambda", testRegion, 0,
			func(r *http.Request) { r.SetBasicAuth("a", "b") }, 403, "IncompleteSignatureException"},
		// A signed request that was changed on its way.
		{"body", testCredentials, "lambda", testRegion, 0,
			func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"mode":"exit"}`)) }, 403, "InvalidSignatureException"},
		{"path", testCredentials, "lambda", testRegion, 0,
			func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "probe", "probf", 1) }, 403, "InvalidSignatureException"},
		{"query", testCredentials, "lambda", testRegion, 0,
			func(r *http.Request) { r.URL.RawQuery = "Qualifier=1" }, 403, "InvalidSignatureException"},
		{"signed header", testCredentials, "lambda", testRegion, 0,
			func(r *http.Request) { r.Header.Set("X-Amz-Invocation-Type", "Event") }, 403, "InvalidSignatureException"},
		// One that Lambda acts on, but that the caller did not sign.
		{"added header", testCredentials, "lambda", testRegion, 0,
			func(r *http.Request) { r.Header.Set("X-Amz-Log-Type", "Tail") }, 403, "InvalidSignatureException"},
		// A signed header named twice, which would pay for one that is not signed.
		{"named twice", testCredentials, "lambda", testRegion, 0, func(r *http.Request) {
			r.Header.Set("X-Amz-Log-Type", "Tail")
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "x-amz-date", "x-amz-date;x-amz-date", 1))
		}, 403, "IncompleteSignatureException"},
		// Other headers that were not signed do not count.
		{"other header", testCredentials, "lambda", testRegion, 0, func(r *http.Request) { r.Header.Set("Accept-Language", "en") }, 200, ""},
		// A signature that covers less than it must.
		{"host unsigned", testCredentials, "lambda", testRegion, 0, func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
		}, 403, "InvalidSignatureException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const body = `{"mode":"echo"}`
			r, err := http.NewRequestWithContext(t.Context(), "POST", f.URL()+"/2015-03-31/functions/probe/invocations", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Amz-Invocation-Type", "RequestResponse")
			sign(t, r, body, tt.creds, tt.service, tt.region, time.Now().Add(tt.at))
			if tt.change != nil {
				tt.change(r)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			if err := errors.Join(err, resp.Body.Close()); err != nil {
				t.Fatal(err)
			}
			if code := resp.Header.Get("X-Amzn-Errortype"); resp.StatusCode != tt.status || code != tt.code {
				t.Errorf("%d %q: want %d %q; %s", resp.StatusCode, code, tt.status, tt.code, text)
			}
			if bytes.Contains(text, []byte(testCredentials.SecretAccessKey+`"`)) {
				t.Errorf("the secret is in %s", text)
			}
		})
	}
	// And as a client sees it.
	_, err := client(f.Sandbox, aws.Credentials{AccessKeyID: "AKIATEST", SecretAccessKey: "no", SessionToken: "token"}).
		ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
	if status, code := statusOf(t, err); status != 403 || code != "InvalidSignatureException" {
		t.Errorf("%d %s", status, code)
	}
}

func TestUnknownOperation(t *testing.T) {
	t.Parallel()
	f := startTest(t, nil)
	_, err := f.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("probe")})
	if err == nil {
		t.Error("deleted")
	}
	_, err = f.ListAliases(t.Context(), &lambda.ListAliasesInput{FunctionName: aws.String("probe")})
	if status, code := statusOf(t, err); status != 404 || code != "UnknownOperationException" {
		t.Errorf("%d %s", status, code)
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"probe", testARN, testARN + ":1", "function:probe", testAccount + ":function:probe:$LATEST",
		"arn:aws:lambda:::function:x", "a:", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		_, _, name, qualifier, ok := parseName(ref)
		if ok && (!functionName.MatchString(name) || !strings.Contains(ref, name) || !strings.HasSuffix(ref, qualifier)) {
			t.Errorf("%q: name %q, qualifier %q", ref, name, qualifier)
		}
	})
}

// An event, and what its request says of it, reaches the runtime as it is, or
// not at all.
func FuzzInvocation(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "eyJjbGllbnQiOnt9fQ==", "Tail", "Root=1-0-0")
	f.Add([]byte(``), "", "None", "")
	f.Add([]byte(`{`), "e30", "tail", "\r\n")
	f.Fuzz(func(t *testing.T, body []byte, clientContext, logType, trace string) {
		c := &call{Request: &http.Request{Header: http.Header{
			"X-Amz-Client-Context": {clientContext}, "X-Amz-Log-Type": {logType}, "X-Amzn-Trace-Id": {trace},
		}}, id: "1", body: body}
		inv, kind, err := c.invocation(&function{arn: testARN})
		if err != nil {
			var known *apiError
			if !errors.As(err, &known) || known.status != 400 {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if !json.Valid(inv.payload) || inv.clientContext != "" && !json.Valid([]byte(inv.clientContext)) ||
			kind != "Tail" && kind != "None" || inv.trace == "" {
			t.Errorf("%q, %q, %q: %+v, %q", body, clientContext, logType, inv, kind)
		}
	})
}

// Whatever is asked for, the configuration stays one that Lambda could have.
func FuzzConfigurationChange(f *testing.F) {
	f.Add([]byte(`{"Description":"d","MemorySize":1769,"Timeout":7,"Environment":{"Variables":{"AB":"c"}},"RevisionId":"r"}`))
	f.Add([]byte(`{"Timeout":9223372036854775807}`))
	f.Add([]byte(`{"MemorySize":1e3} {}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"Environment":null,"Handler":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := parseChange(body)
		if err != nil {
			var known *apiError
			if !errors.As(err, &known) || known.status != 400 {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		next := settings{revision: "r", Function: Function{Name: "probe", Arch: "x86_64", MemoryMB: 128, Timeout: time.Second}}
		if in.apply(&next) == nil && next.validate() != nil {
			t.Errorf("%q: %v", body, next.validate())
		}
	})
}

// Requests to change the configuration that are not what they seem.
func TestParseChange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, err string }{
		{"a change", `{"Description":"x"}`, ""},
		{"none", `{}`, ""},
		{"space after it", "{} \n", ""},
		{"more after it", `{"Description":"x"}{"MemorySize":128}`, "there is more after it"},
		{"garbage after it", `{}x`, "there is more after it"},
		{"what Lambda would change and the sandbox would not", `{"Layers":["a"]}`, "the sandbox changes Description, MemorySize"},
		{"not JSON", `{`, "Could not parse"},
		{"empty", ``, "Could not parse"},
		{"another kind", `{"MemorySize":"128"}`, "Could not parse"},
		{"a fraction", `{"MemorySize":128.5}`, "Could not parse"},
	} {
		_, err := parseChange([]byte(tt.body))
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v: want %q", tt.name, err, tt.err)
		}
	}
}

package states

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// What goes in and out of states, by the examples of the guide.
func TestDataFlow(t *testing.T) {
	w := newWorld(t)
	w.lambda.set(func(_ *http.Request, name string, payload []byte) answer {
		return answer{body: fmt.Sprintf(`{"function":%q,"payload":%s}`, name, payload)}
	})
	for i, tc := range []struct{ name, state, input, want string }{
		{"Pass", `{"Type":"Pass","End":true}`, `{"a":1}`, `{"a":1}`},
		{"Result", `{"Type":"Pass","Result":{"b":[1,null]},"End":true}`, `{"a":1}`, `{"b":[1,null]}`},
		// docs.aws.amazon.com/step-functions/latest/dg/state-pass.html
		{"Result at ResultPath", `{"Type":"Pass","Result":{"x-datum":0.381018,"y-datum":622.2269926397355},"ResultPath":"$.coords","End":true}`,
			`{"georefOf":"Home"}`, `{"coords":{"x-datum":0.381018,"y-datum":622.2269926397355},"georefOf":"Home"}`},
		{"ResultPath null", `{"Type":"Pass","Result":1,"ResultPath":null,"End":true}`, `{"a":1}`, `{"a":1}`},
		{"ResultPath is put into the raw input", `{"Type":"Pass","InputPath":"$.a","ResultPath":"$.r.s","End":true}`, `{"a":1}`,
			`{"a":1,"r":{"s":1}}`},
		{"InputPath null", `{"Type":"Pass","InputPath":null,"End":true}`, `{"a":1}`, `{}`},
		{"OutputPath null", `{"Type":"Pass","OutputPath":null,"End":true}`, `{"a":1}`, `{}`},
		{"OutputPath", `{"Type":"Pass","OutputPath":"$.a","End":true}`, `{"a":[1]}`, `[1]`},
		// docs.aws.amazon.com/step-functions/latest/dg/input-output-inputpath-params.html
		{"Parameters", `{"Type":"Pass","Parameters":{"comment":"Selecting what I care about.","MyDetails":{"size.$":"$.product.details.size",
			"exists.$":"$.product.availability","StaticValue":"foo"}},"End":true}`,
			`{"comment":"Example","product":{"details":{"color":"blue","size":"small","material":"cotton"},"availability":"in stock","sku":"2317"}}`,
			`{"MyDetails":{"StaticValue":"foo","exists":"in stock","size":"small"},"comment":"Selecting what I care about."}`},
		{"the context object", `{"Type":"Pass","Parameters":{"e.$":"$$.Execution.Name","i.$":"$$.Execution.Input.a","m.$":"$$.StateMachine.Name",
			"s.$":"$$.State.Name","r.$":"$$.Execution.RedriveCount"},"End":true}`, ` { "a" : "<&>" } `,
			`{"e":"run","i":"<&>","m":"m9","r":0,"s":"S"}`},
		// docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
		{"States.Format", `{"Type":"Pass","Parameters":{"a.$":"States.Format('Hello, my name is {}.', $.name)",
			"b.$":"States.Format('{}-{}-{}-{}', $.n, true, null, States.Format('\\{{}\\}', 'it\\'s'))"},"End":true}`,
			`{"name":"Arnav","n":1.50}`, `{"a":"Hello, my name is Arnav.","b":"1.50-true-null-{it's}"}`},
		// docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
		{"lambda:invoke",
			`{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName.$":"$.f","Payload":{"x.$":"$.a"}},
			"ResultSelector":{"p.$":"$.Payload","v.$":"$.ExecutedVersion","c.$":"$.StatusCode",
			"h.$":"$.SdkHttpMetadata.HttpStatusCode"},"End":true}`,
			`{"f":"fn","a":"é"}`, `{"c":200,"h":200,"p":{"function":"fn","payload":{"x":"é"}},"v":"$LATEST"}`},
		{"no payload",
			`{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f"},
			"OutputPath":"$.Payload.payload","End":true}`,
			`{"a":1}`, `{}`},
		// docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
		{"an inline Map", `{"Type":"Map","ItemsPath":"$.list","ItemSelector":{"i.$":"$$.Map.Item.Index","v.$":"$$.Map.Item.Value","who.$":"$.who",
			"s.$":"$$.Map.Item.Source"},"MaxConcurrency":2,"ResultPath":"$.out",
			"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}},"End":true}`, `{"list":["a",{"b":1}],"who":"me"}`,
			`{"list":["a",{"b":1}],"out":[{"i":0,"s":"STATE_DATA","v":"a","who":"me"},{"i":1,"s":"STATE_DATA","v":{"b":1},"who":"me"}],"who":"me"}`},
		{"an inline Map of nothing", `{"Type":"Map","ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}},"End":true}`, `[]`,
			`[]`},
		// docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html: without a reader and a writer
		{"a distributed Map of the input", `{"Type":"Map","ItemsPath":"$.list","ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED",
			"ExecutionType":"STANDARD"},"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}},"End":true}`,
			`{"list":[1,2,{"a":"\n"}]}`, `[1,2,{"a":"\n"}]`},
		// docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html
		{"a batch's envelope", `{"Type":"Map","ItemBatcher":{"MaxItemsPerBatch":2,"BatchInput":{"factCheck":"December 2022"}},
			"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"EXPRESS"},
			"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}},
			"End":true}`, `[{"verdict":"true"},{"verdict":"false"},{"verdict":"mostly-true"}]`,
			`[{"BatchInput":{"factCheck":"December 2022"},"Items":[{"verdict":"true"},{"verdict":"false"}]},` +
				`{"BatchInput":{"factCheck":"December 2022"},"Items":[{"verdict":"mostly-true"}]}]`},
		{"a batch without input", `{"Type":"Map","ItemBatcher":{"MaxItemsPerBatchPath":"$$.Execution.Input[0]"},
			"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"EXPRESS"},
			"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}},
			"End":true}`, `[3,2]`, `[{"Items":[3,2]}]`},
	} {
		out := w.runOnce(fmt.Sprintf("m%d", i), one(tc.state), tc.input)
		if aws.ToString(out.Output) != tc.want {
			t.Errorf("%s: %s %s, %s %s, want %s", tc.name, out.Status, aws.ToString(out.Output), aws.ToString(out.Error), aws.ToString(out.Cause),
				tc.want)
		}
	}
}

// Rules: docs.aws.amazon.com/step-functions/latest/dg/state-choice.html.
func TestChoice(t *testing.T) {
	const input = `{"n":5,"m":5.0,"s":"b","b":true,"z":null,"o":{"p":1},"big":1000001}`
	w := newWorld(t)
	for i, tc := range []struct{ rule, want string }{
		{`"Variable":"$.n","IsPresent":true`, "yes"},
		{`"Variable":"$.x","IsPresent":true`, "no"},
		{`"Variable":"$.x.y","IsPresent":false`, "yes"},
		{`"Variable":"$.z","IsPresent":true`, "yes"},
		{`"Variable":"$.z","IsNull":true`, "yes"},
		{`"Variable":"$.n","IsNull":true`, "no"},
		{`"Variable":"$.s","IsString":true`, "yes"},
		{`"Variable":"$.n","IsString":false`, "yes"},
		{`"Variable":"$.n","IsNumeric":true`, "yes"},
		{`"Variable":"$.b","IsBoolean":true`, "yes"},
		{`"Variable":"$.n","NumericEquals":5`, "yes"},
		{`"Variable":"$.n","NumericEqualsPath":"$.m"`, "yes"},
		{`"Variable":"$.big","NumericGreaterThan":1000000`, "yes"},
		{`"Variable":"$.n","NumericGreaterThan":5`, "no"},
		{`"Variable":"$.n","NumericGreaterThanEquals":5`, "yes"},
		{`"Variable":"$.n","NumericLessThan":5.5`, "yes"},
		{`"Variable":"$.n","NumericLessThanEqualsPath":"$.big"`, "yes"},
		{`"Variable":"$.s","NumericEquals":5`, "no"},
		{`"Variable":"$.s","StringEquals":"b"`, "yes"},
		{`"Variable":"$.s","StringGreaterThan":"a"`, "yes"},
		{`"Variable":"$.s","StringLessThanPath":"$.s"`, "no"},
		{`"Variable":"$.b","BooleanEquals":true`, "yes"},
		{`"Variable":"$.b","BooleanEqualsPath":"$.z"`, "no"},
		{`"Variable":"$$.State.Name","StringEquals":"S"`, "yes"},
		{`"And":[{"Variable":"$.n","NumericEquals":5},{"Not":{"Variable":"$.s","StringEquals":"b"}}]`, "no"},
		{`"Or":[{"Variable":"$.x","IsPresent":true},{"Variable":"$.s","StringEquals":"b"}]`, "yes"},
		{`"Or":[{"Variable":"$.n","NumericEquals":5},{"Variable":"$.x","StringEquals":"b"}]`, "yes"}, // what comes after is not looked at
		{`"Variable":"$.x","NumericEquals":5`, "States.Runtime"},
		{`"Variable":"$.n","NumericEqualsPath":"$.x"`, "States.Runtime"},
	} {
		text := `{"StartAt":"S","States":{"S":{"Type":"Choice","Choices":[{` + tc.rule + `,"Next":"Y"}],"Default":"N"},
			"Y":{"Type":"Pass","Result":"yes","End":true},"N":{"Type":"Pass","Result":"no","End":true}}}`
		out := w.runOnce(fmt.Sprintf("m%d", i), text, input)
		if got := strings.Trim(aws.ToString(out.Output), `"`) + aws.ToString(out.Error); got != tc.want {
			t.Errorf("%s: %s %s, want %s", tc.rule, got, aws.ToString(out.Cause), tc.want)
		}
	}
	out := w.runOnce("none", one(`{"Type":"Choice","Choices":[{"Variable":"$.n","NumericEquals":1,"Next":"S"}]}`), input)
	if out.Status != types.ExecutionStatusFailed || aws.ToString(out.Error) != errNoChoiceMatched {
		t.Errorf("%s %s", out.Status, aws.ToString(out.Error))
	}
}

// Names of errors:
// docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html.
func TestFailures(t *testing.T) {
	w := newWorld(t)
	large := `"` + strings.Repeat("a", MaxData-1) + `"`
	for i, tc := range []struct {
		name   string
		state  string
		answer answer
		want   string
		cause  string
	}{
		{"Fail", `{"Type":"Fail","Error":"MyError","Cause":"my cause"}`, answer{}, "MyError", "my cause"},
		{"Fail by path", `{"Type":"Fail","ErrorPath":"$.e","CausePath":"$.c"}`, answer{}, "E", "C"},
		{"throttled", "", answer{status: 429, kind: "TooManyRequestsException",
			body: `{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`}, "Lambda.TooManyRequestsException",
			"Rate Exceeded."},
		{"Lambda's own", "", answer{status: 500, kind: "ServiceException", body: `{"Message":"oops"}`}, "Lambda.ServiceException", "oops"},
		{"no such function", "", answer{status: 404, kind: "ResourceNotFoundException", body: `{"Message":"Function not found"}`},
			"Lambda.ResourceNotFoundException", "Function not found"},
		{"not allowed", "", answer{status: 403, kind: "AccessDeniedException", body: `{"Message":"no"}`}, "Lambda.AWSLambdaException", "no"},
		{"an error without a name", "", answer{status: 502, body: `<html>`}, "Lambda.", ""},
		{"a function's time-out", "", answer{functionError: true,
			body: `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 1 Error: Task timed out after 3.00 seconds"}`},
			"Sandbox.Timedout", "Task timed out after 3.00 seconds"},
		{"the same without a type", "", answer{functionError: true,
			body: `{"errorMessage":"2024-01-01T00:00:00.000Z 1 Task timed out after 3.00 seconds"}`},
			"Lambda.Unknown", "The cause could not be determined because Lambda did not return an error type. Returned payload: "},
		{"a killed process", "", answer{functionError: true,
			body: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 1 Error: Runtime exited with error: signal: killed"}`},
			"Runtime.ExitError", "signal: killed"},
		{"the function's own", "", answer{functionError: true, body: `{"errorType":"NoSuchBucket","errorMessage":"m"}`}, "NoSuchBucket",
			`"errorMessage":"m"`},
		{"an answer that is no JSON", "", answer{body: `{`}, "States.Runtime", "not JSON"},
		{"an answer beyond 256 KiB", "", answer{body: `"` + large + `"`}, "States.DataLimitExceeded", "exceeding the maximum number of bytes"},
		{"Parameters beyond 256 KiB",
			`{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f",
			"Payload":{"a.$":"$","b.$":"$.l"}},"End":true}`,
			answer{body: `1`}, "States.DataLimitExceeded", "after its Parameters"},
		{"output beyond 256 KiB", `{"Type":"Pass","Parameters":{"a.$":"$.l","b.$":"$.l"},"End":true}`, answer{}, "States.DataLimitExceeded", ""},
		{"a path that leads nowhere", `{"Type":"Pass","InputPath":"$.x","End":true}`, answer{}, "States.Runtime",
			"The JSONPath '$.x' could not be found in the input"},
		{"a result into a number", `{"Type":"Pass","Result":1,"ResultPath":"$.n.x","End":true}`, answer{}, "States.ResultPathMatchFailure",
			"$.n.x"},
		{"States.Format of an object", `{"Type":"Pass","Parameters":{"a.$":"States.Format('{}', $)"},"End":true}`, answer{},
			"States.IntrinsicFailure", ""},
		{"a Map of no array", `{"Type":"Map","ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}},"End":true}`, answer{},
			"States.Runtime", "must point to array"},
		{"a Map of half an iteration at once", `{"Type":"Map","ItemsPath":"$.list","MaxConcurrencyPath":"$.half",
			"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}},"End":true}`, answer{},
			"States.Runtime", "must be a whole number from 0 to "},
	} {
		w.lambda.set(func(*http.Request, string, []byte) answer { return tc.answer })
		text := taskText
		if tc.state != "" {
			text = one(tc.state)
		}
		out := w.runOnce(fmt.Sprintf("m%d", i), text, `{"e":"E","c":"C","n":1,"half":0.5,"list":[1],"l":"`+strings.Repeat("l", 140_000)+`"}`)
		if out.Status != types.ExecutionStatusFailed || !strings.HasPrefix(aws.ToString(out.Error), tc.want) ||
			!strings.Contains(aws.ToString(out.Cause), tc.cause) {
			t.Errorf("%s: %s %s: %.200s, want %s: %s", tc.name, out.Status, aws.ToString(out.Error), aws.ToString(out.Cause), tc.want, tc.cause)
		}
	}
	w.lambda.CloseClientConnections()
	w.lambda.Close()
	if out := w.runOnce("gone", taskText, `1`); aws.ToString(out.Error) != "Lambda.SdkClientException" {
		t.Errorf("Lambda cannot be reached: %s", aws.ToString(out.Error))
	}
}

// Delays between attempts, by the examples of
// docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error.
func TestDelay(t *testing.T) {
	for _, tc := range []struct {
		name string
		r    retrier
		u    float64
		want []float64 // seconds
	}{
		{"3 s, backoff 1", retrier{interval: 3, backoff: 1}, 0.5, []float64{3, 3}},
		{"3 s, backoff 2", retrier{interval: 3, backoff: 2}, 0.5, []float64{3, 6, 12}},
		{"at most 5 s", retrier{interval: 3, backoff: 2, maxDelay: 5}, 0.5, []float64{3, 5, 5}},
		{"with full jitter", retrier{interval: 2, backoff: 2, jitter: true}, 0.5, []float64{1, 2, 4}},
		{"jitter of what is bounded", retrier{interval: 2, backoff: 2, jitter: true, maxDelay: 3}, 0.5, []float64{1, 1.5, 1.5}},
	} {
		for i, want := range tc.want {
			if got := tc.r.delay(int64(i), tc.u); got != want {
				t.Errorf("%s: attempt %d after %g s, want %g", tc.name, i+1, got, want)
			}
		}
	}
}

// Retry and Catch, by the examples of
// docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html.
func TestRetry(t *testing.T) {
	w := newWorld(t)
	for i, tc := range []struct {
		name  string
		fails []string // names of errors, one an attempt; then it succeeds
		more  string
		calls int
		want  string
	}{
		{"no Retry", []string{"E"}, ``, 1, "E"},
		{"three attempts more by default", []string{"E", "E", "E", "E"}, `,"Retry":[{"ErrorEquals":["E"]}]`, 4, "E"},
		{"success in the third", []string{"E", "E"}, `,"Retry":[{"ErrorEquals":["E"]}]`, 3, "ok"},
		{"MaxAttempts 0", []string{"E"}, `,"Retry":[{"ErrorEquals":["E"],"MaxAttempts":0},{"ErrorEquals":["States.ALL"]}]`, 1, "E"},
		{"States.ALL", []string{"A", "B"}, `,"Retry":[{"ErrorEquals":["States.ALL"]}]`, 3, "ok"},
		{"States.TaskFailed", []string{"A", "B"}, `,"Retry":[{"ErrorEquals":["States.TaskFailed"]}]`, 3, "ok"},
		{"each retrier counts for itself", []string{"ErrorA", "ErrorB", "ErrorC", "ErrorB"},
			`,"Retry":[{"ErrorEquals":["ErrorA","ErrorB"],"MaxAttempts":2},{"ErrorEquals":["ErrorC"],"IntervalSeconds":5}],
			"Catch":[{"ErrorEquals":["States.ALL"],"Next":"Z"}]`, 4, "caught ErrorB"},
		{"no retrier for States.Runtime", []string{errRuntime},
			`,"Retry":[{"ErrorEquals":["States.ALL"]}],"Catch":[{"ErrorEquals":["States.ALL"],"Next":"Z"}]`, 1, errRuntime},
		{"States.DataLimitExceeded only by its name", []string{errDataLimit},
			`,"Catch":[{"ErrorEquals":["States.DataLimitExceeded"],"Next":"Z"}]`, 1, "caught " + errDataLimit},
		{"not by States.ALL", []string{errDataLimit}, `,"Catch":[{"ErrorEquals":["States.ALL"],"Next":"Z"}]`, 1, errDataLimit},
		{"the first catcher that takes it", []string{"E"}, `,"Catch":[{"ErrorEquals":["F"],"Next":"T"},{"ErrorEquals":["E"],"Next":"Z"}]`, 1,
			"caught E"},
	} {
		var mu sync.Mutex
		calls := 0
		w.lambda.set(func(*http.Request, string, []byte) answer {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls <= len(tc.fails) {
				return answer{functionError: true, body: fmt.Sprintf(`{"errorType":%q}`, tc.fails[calls-1])}
			}
			return answer{body: `"ok"`}
		})
		text := strings.TrimSuffix(task(`,"OutputPath":"$.Payload"`+tc.more), "}}") +
			`,"Z":{"Type":"Pass","Parameters":{"caught.$":"$.Error"},"OutputPath":"$.caught","End":true}}}`
		if !strings.Contains(tc.more, "Catch") {
			text = task(`,"OutputPath":"$.Payload"` + tc.more)
		}
		if strings.Contains(tc.more, `"T"`) {
			text = strings.Replace(text, `"Z":{"Type"`, `"T":{"Type":"Succeed"},"Z":{"Type"`, 1)
		}
		out := w.runOnce(fmt.Sprintf("m%d", i), text, `{}`)
		got := aws.ToString(out.Error)
		if out.Output != nil {
			got = strings.Trim(*out.Output, `"`)
			if strings.Contains(tc.want, "caught") {
				got = "caught " + got
			}
		}
		if got != tc.want || calls != tc.calls {
			t.Errorf("%s: %s after %d calls, want %s after %d (%s)", tc.name, got, calls, tc.want, tc.calls, aws.ToString(out.Cause))
		}
	}
}

// A Catch's ResultPath puts the error beside the input:
// docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-error-output.
func TestCatchResultPath(t *testing.T) {
	w := newWorld(t)
	w.lambda.set(func(*http.Request, string, []byte) answer {
		return answer{functionError: true, body: `{"errorType":"E","errorMessage":"m"}`}
	})
	text := strings.TrimSuffix(task(`,"Catch":[{"ErrorEquals":["States.TaskFailed"],"ResultPath":"$.error-info","Next":"Z"}]`), "}}") +
		`,"Z":{"Type":"Succeed"}}}`
	out := w.runOnce("m", text, `{"a":1}`)
	var got struct {
		A    int
		Info struct{ Error, Cause string } `json:"error-info"`
	}
	if err := json.Unmarshal([]byte(aws.ToString(out.Output)), &got); err != nil || got.A != 1 || got.Info.Error != "E" ||
		got.Info.Cause != `{"errorType":"E","errorMessage":"m"}` {
		t.Errorf("%s, %v", aws.ToString(out.Output), err)
	}
}

// A Task that runs too long is States.Timeout, which States.TaskFailed does not
// take; a state machine that does is TIMED_OUT:
// docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html.
func TestTimeouts(t *testing.T) {
	w := newWorldAt(t, 10*time.Millisecond)
	hang := func(r *http.Request, _ string, _ []byte) answer {
		<-r.Context().Done()
		return answer{}
	}
	w.lambda.set(hang)
	out := w.runOnce("task", task(`,"TimeoutSeconds":100,"Retry":[{"ErrorEquals":["States.TaskFailed"]}]`), `{}`)
	if aws.ToString(out.Error) != errTimeout || out.Status != types.ExecutionStatusFailed || w.lambda.count() != 1 {
		t.Errorf("%s %s after %d calls", out.Status, aws.ToString(out.Error), w.lambda.count())
	}
	var once sync.Once
	w.lambda.set(func(r *http.Request, name string, payload []byte) answer {
		late := false
		once.Do(func() { late = true })
		if late {
			return hang(r, name, payload)
		}
		return answer{body: "1"}
	})
	out = w.runOnce("retried", task(`,"TimeoutSecondsPath":"$.t","Retry":[{"ErrorEquals":["States.Timeout"]}]`), `{"t":300}`)
	if out.Status != types.ExecutionStatusSucceeded || w.lambda.count() != 2 {
		t.Errorf("%s %s after %d calls", out.Status, aws.ToString(out.Error), w.lambda.count())
	}
	w.lambda.set(hang)
	out = w.runOnce("machine", strings.Replace(task(""), "{", `{"TimeoutSeconds":1,`, 1), `{}`)
	if out.Status != types.ExecutionStatusTimedOut || aws.ToString(out.RedriveStatusReason) != "" {
		t.Errorf("%s %s", out.Status, aws.ToString(out.Error))
	}
	w.lambda.set(func(*http.Request, string, []byte) answer { return answer{body: `1`} })
	if out = w.redrive(*out.ExecutionArn); out.Status == types.ExecutionStatusFailed { // its time may pass again
		t.Errorf("%s %s", out.Status, aws.ToString(out.Error))
	}
}

// A redrive of an inline Map runs only those iterations that failed or were
// aborted:
// docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html#redrive-behavior-states.
func TestRedriveInline(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var calls []string
	broken := true
	w.lambda.set(func(_ *http.Request, _ string, payload []byte) answer {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, string(payload))
		if string(payload) == "2" && broken {
			return answer{functionError: true, body: `{"errorType":"E"}`}
		}
		return answer{body: `"` + string(payload) + `"`}
	})
	text := one(`{"Type":"Map","MaxConcurrency":1,
		"ItemProcessor":{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke",
		"Parameters":{"FunctionName":"f","Payload.$":"$"},"OutputPath":"$.Payload","End":true}}},"End":true}`)
	out := w.runOnce("m", text, `[1,2,3]`)
	if aws.ToString(out.Error) != "E" || !slices.Equal(calls, []string{"1", "2"}) {
		t.Fatalf("%s after %v", aws.ToString(out.Error), calls)
	}
	calls, broken = nil, false
	out = w.redrive(*out.ExecutionArn)
	if aws.ToString(out.Output) != `["1","2","3"]` || !slices.Equal(calls, []string{"2", "3"}) || aws.ToInt32(out.RedriveCount) != 1 {
		t.Errorf("%s after %v, redriven %d times", aws.ToString(out.Output), calls, aws.ToInt32(out.RedriveCount))
	}
	if _, err := w.client.RedriveExecution(t.Context(), redriveInput(out.ExecutionArn)); code(err) != "ExecutionNotRedrivable" {
		t.Error(err)
	}
}

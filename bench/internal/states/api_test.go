package states

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

const (
	passText = `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`
	taskText = `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke",
		"Parameters":{"FunctionName":"f","Payload.$":"$"},"End":true}}}`
)

// The names of errors, as the API reference has them for each action:
// docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html.
func TestErrors(t *testing.T) {
	w := newWorld(t)
	machine := w.create("m", taskText)
	release := make(chan struct{})
	w.lambda.set(func(*http.Request, string, []byte) answer {
		<-release
		return answer{body: "1"}
	})
	running := w.begin(machine, "running", `{"a":1}`)
	done := w.runOnce("done", passText, `{"a":1}`)
	start := func(machine, name, input string) func() error {
		return func() error {
			_, err := w.client.StartExecution(t.Context(), &sfn.StartExecutionInput{
				StateMachineArn: aws.String(machine), Name: aws.String(name), Input: aws.String(input),
			})
			return err
		}
	}
	create := func(in sfn.CreateStateMachineInput) func() error {
		return func() error {
			if in.RoleArn == nil {
				in.RoleArn = aws.String(testRole)
			}
			_, err := w.client.CreateStateMachine(t.Context(), &in)
			return err
		}
	}
	other := strings.Replace(machine, ":m", ":other", 1)
	otherExecution := strings.Replace(running, ":running", ":other", 1)
	for _, tc := range []struct {
		name string
		call func() error
		want string // "": none
	}{
		{"the same name and input while it runs", start(machine, "running", `{"a":1}`), ""},
		{"the same name, other input", start(machine, "running", `{"a":2}`), "ExecutionAlreadyExists"},
		{"the same name and input, ended", start(*done.StateMachineArn, "run", `{"a":1}`), "ExecutionAlreadyExists"},
		{"no JSON", start(machine, "x", `{`), "InvalidExecutionInput"},
		{"two values", start(machine, "x", `{} {}`), "InvalidExecutionInput"},
		{"input of 256 KiB and a byte", start(machine, "x", `"`+strings.Repeat("a", MaxData-1)+`"`), "InvalidExecutionInput"},
		{"a name with a space", start(machine, "a b", `{}`), "InvalidName"},
		{"a name with a colon", start(machine, "a:b", `{}`), "InvalidName"},
		{"a name with a slash", start(machine, "../b", `{}`), "InvalidName"},
		{"a name of 81", start(machine, strings.Repeat("n", 81), `{}`), "InvalidName"},
		{"no such machine", start(other, "x", `{}`), "StateMachineDoesNotExist"},
		{"no ARN", start("m", "x", `{}`), "InvalidArn"},
		{"the ARN of an execution", start(running, "x", `{}`), "InvalidArn"},
		{"a version", start(machine+":1", "x", `{}`), "ValidationException"},
		{"a Map's machine", start(machine+"/Read", "x", `{}`), "ValidationException"},
		{"the same machine once more", create(sfn.CreateStateMachineInput{Name: aws.String("m"), Definition: aws.String(taskText)}), ""},
		{"another one of its name", create(sfn.CreateStateMachineInput{Name: aws.String("m"), Definition: aws.String(passText)}),
			"StateMachineAlreadyExists"},
		{"a definition that does not run", create(sfn.CreateStateMachineInput{Name: aws.String("n"), Definition: aws.String(`{}`)}),
			"InvalidDefinition"},
		{"a bad name", create(sfn.CreateStateMachineInput{Name: aws.String("a b"), Definition: aws.String(passText)}), "InvalidName"},
		{"Express", create(sfn.CreateStateMachineInput{
			Name: aws.String("e"), Definition: aws.String(passText), Type: types.StateMachineTypeExpress,
		}), "StateMachineTypeNotSupported"},
		{"no role", create(sfn.CreateStateMachineInput{Name: aws.String("r"), Definition: aws.String(passText), RoleArn: aws.String("role")}),
			"InvalidArn"},
		{"a version is asked for", create(sfn.CreateStateMachineInput{
			Name: aws.String("v"), Definition: aws.String(passText), Publish: true,
		}), "ValidationException"},
		{"describe no execution", func() error {
			_, err := w.client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: aws.String(otherExecution)})
			return err
		}, "ExecutionDoesNotExist"},
		{"stop no execution", func() error {
			_, err := w.client.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: aws.String(otherExecution)})
			return err
		}, "ExecutionDoesNotExist"},
		{"stop one that has ended", func() error {
			_, err := w.client.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: done.ExecutionArn})
			return err
		}, ""},
		{"redrive one that runs", func() error {
			_, err := w.client.RedriveExecution(t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: done.ExecutionArn})
			return err
		}, "ExecutionNotRedrivable"},
		{"history of none", func() error {
			_, err := w.client.GetExecutionHistory(t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: aws.String("x")})
			return err
		}, "InvalidArn"},
		{"no Map Run", func() error {
			_, err := w.client.DescribeMapRun(t.Context(), &sfn.DescribeMapRunInput{
				MapRunArn: aws.String("arn:aws:states:us-east-1:123456789012:mapRun:m/l:id"),
			})
			return err
		}, "ResourceNotFound"},
		{"children are not listed", func() error {
			_, err := w.client.ListExecutions(t.Context(), &sfn.ListExecutionsInput{MapRunArn: aws.String("arn")})
			return err
		}, "ValidationException"},
		{"what does not run here", func() error {
			_, err := w.client.ListActivities(t.Context(), &sfn.ListActivitiesInput{})
			return err
		}, "UnknownOperationException"},
		{"a token of nobody", func() error {
			_, err := w.client.ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{NextToken: aws.String("x")})
			return err
		}, "InvalidToken"},
		{"an update of nothing", func() error {
			_, err := w.client.UpdateStateMachine(t.Context(), &sfn.UpdateStateMachineInput{StateMachineArn: aws.String(machine)})
			return err
		}, "MissingRequiredParameter"},
		{"delete what is not there", func() error {
			_, err := w.client.DeleteStateMachine(t.Context(), &sfn.DeleteStateMachineInput{StateMachineArn: aws.String(other)})
			return err
		}, ""},
		{"another secret", func() error {
			_, err := newClient(w.URL(), testKeys.AccessKeyID, "other").ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{})
			return err
		}, "InvalidSignatureException"},
		{"another key", func() error {
			_, err := newClient(w.URL(), "AKIDOTHER", "other").ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{})
			return err
		}, "UnrecognizedClientException"},
	} {
		if err := tc.call(); (err == nil) != (tc.want == "") || err != nil && code(err) != tc.want {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	close(release)
	if out := w.wait(running); out.Status != types.ExecutionStatusSucceeded {
		t.Errorf("%s: %s", out.Status, aws.ToString(out.Cause))
	}
}

// Nobody is let in unsigned, and nothing but the API is served.
func TestUnsigned(t *testing.T) {
	w := newWorld(t)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		req, err := http.NewRequestWithContext(t.Context(), method, w.URL(), strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Target", "AWSStepFunctions.ListStateMachines")
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Type string `json:"__type"`
		}
		err = json.NewDecoder(r.Body).Decode(&body)
		if err != nil || r.StatusCode != 400 || body.Type != "MissingAuthenticationTokenException" || r.Body.Close() != nil {
			t.Errorf("%s: %d %+v, %v", method, r.StatusCode, body, err)
		}
	}
}

// State machines are created, found, changed and deleted. An execution keeps
// the definition that it began with:
// docs.aws.amazon.com/step-functions/latest/apireference/API_UpdateStateMachine.html.
func TestMachines(t *testing.T) {
	w := newWorld(t)
	var all []string
	for i := range 5 {
		all = append(all, w.create(fmt.Sprintf("m%d", i), passText))
	}
	var found []string
	for token := (*string)(nil); ; {
		page, err := w.client.ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{MaxResults: 2, NextToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.StateMachines {
			found = append(found, *m.StateMachineArn)
		}
		if token = page.NextToken; token == nil {
			break
		}
	}
	if !slices.Equal(found, all) {
		t.Errorf("listed %v, want %v", found, all)
	}
	before := w.begin(all[0], "before", "{}")
	w.wait(before)
	const changed = `{"StartAt":"P","States":{"P":{"Type":"Pass","Result":"new","End":true}}}`
	if _, err := w.client.UpdateStateMachine(t.Context(), &sfn.UpdateStateMachineInput{
		StateMachineArn: aws.String(all[0]), Definition: aws.String(changed),
	}); err != nil {
		t.Fatal(err)
	}
	out, err := w.client.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: aws.String(all[0])})
	if err != nil || *out.Definition != changed || out.Status != types.StateMachineStatusActive {
		t.Errorf("%+v, %v", out, err)
	}
	of, err := w.client.DescribeStateMachineForExecution(t.Context(),
		&sfn.DescribeStateMachineForExecutionInput{ExecutionArn: aws.String(before)})
	if err != nil || *of.Definition != passText {
		t.Errorf("%+v, %v", of, err)
	}
	if got := w.wait(w.begin(all[0], "after", "{}")); aws.ToString(got.Output) != `"new"` {
		t.Errorf("output %s", aws.ToString(got.Output))
	}
	list, err := w.client.ListExecutions(t.Context(), &sfn.ListExecutionsInput{
		StateMachineArn: aws.String(all[0]), StatusFilter: types.ExecutionStatusSucceeded,
	})
	if err != nil || len(list.Executions) != 2 || *list.Executions[0].Name != "after" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := w.client.DeleteStateMachine(t.Context(), &sfn.DeleteStateMachineInput{StateMachineArn: aws.String(all[0])}); err != nil {
		t.Fatal(err)
	}
	_, err = w.client.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: aws.String(all[0])})
	if code(err) != "StateMachineDoesNotExist" {
		t.Error(err)
	}
}

// ValidateStateMachineDefinition says where it is wrong:
// docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html.
func TestValidate(t *testing.T) {
	w := newWorld(t)
	for text, want := range map[string]string{
		passText: "",
		`{"StartAt":"P","States":{"P":{"Type":"Wait","End":true}}}`:                 "SCHEMA_VALIDATION_FAILED /States/P/Type",
		`{"StartAt":"Q","States":{"P":{"Type":"Pass","End":true}}}`:                 "MISSING_TRANSITION_TARGET /StartAt",
		`{"StartAt":"P","States":{"P":{"Type":"Pass","Next":"Q"}}}`:                 "MISSING_TRANSITION_TARGET /States/P/Next",
		`{"StartAt":"P","States":{"P":{"Type":"Pass","End":true,"Assign":{}}}}`:     "SCHEMA_VALIDATION_FAILED /States/P/Assign",
		`{"StartAt":"P","States":{"P":{"Type":"Pass","End":true,"Result":1}}}extra`: "INVALID_JSON_DESCRIPTION /",
	} {
		out, err := w.client.ValidateStateMachineDefinition(t.Context(), &sfn.ValidateStateMachineDefinitionInput{Definition: aws.String(text)})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, d := range out.Diagnostics {
			got = *d.Code + " " + *d.Location
		}
		if got != want || (want == "") != (out.Result == types.ValidateStateMachineDefinitionResultCodeOk) {
			t.Errorf("%s: %s %q, want %q", text, out.Result, got, want)
		}
	}
}

// The history has the types and the details of
// docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html.
func TestHistory(t *testing.T) {
	w := newWorld(t)
	w.put(3)
	out := w.runOnce("scan", scanText(), scanInput(10))
	var got []string
	for token := (*string)(nil); ; {
		page, err := w.client.GetExecutionHistory(t.Context(), &sfn.GetExecutionHistoryInput{
			ExecutionArn: out.ExecutionArn, MaxResults: 3, NextToken: token,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			line := string(e.Type)
			switch {
			case e.StateEnteredEventDetails != nil:
				line += " " + *e.StateEnteredEventDetails.Name
			case e.StateExitedEventDetails != nil:
				line += " " + *e.StateExitedEventDetails.Name
			case e.MapRunStartedEventDetails != nil:
				line += " " + (*e.MapRunStartedEventDetails.MapRunArn)[:60]
			case e.ExecutionStartedEventDetails != nil:
				line += fmt.Sprint(" ", *e.ExecutionStartedEventDetails.Input == scanInput(10))
			case e.ExecutionSucceededEventDetails != nil:
				line += fmt.Sprint(" ", *e.ExecutionSucceededEventDetails.Output == *out.Output)
			}
			got = append(got, line)
			if e.Id != int64(len(got)) || e.PreviousEventId != e.Id-1 {
				t.Errorf("event %d after %d is the %dth", e.Id, e.PreviousEventId, len(got))
			}
		}
		if token = page.NextToken; token == nil {
			break
		}
	}
	want := []string{
		"ExecutionStarted true", "ChoiceStateEntered Source", "ChoiceStateExited Source", "MapStateEntered ReadListing",
		"MapRunStarted arn:aws:states:us-east-1:123456789012:mapRun:scan/ReadListin", "MapRunSucceeded", "MapStateExited ReadListing",
	}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) || got[len(got)-1] != "ExecutionSucceeded true" {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
}

// Whatever a request's body is, each action answers with an error of the API or
// well.
func FuzzRequest(f *testing.F) {
	w := newWorld(f)
	arn := w.create("m", passText)
	for name := range actions {
		f.Add(name, []byte(`{"stateMachineArn":"`+arn+`","executionArn":"arn:aws:states:us-east-1:123456789012:execution:m:x","maxResults":2}`))
	}
	f.Add("CreateStateMachine", []byte(`{"name":"n","definition":"{}","roleArn":"arn:","type":"STANDARD"}`))
	f.Add("UpdateMapRun", []byte(`{"mapRunArn":"arn:aws:states:r:1:mapRun:m/l:i","toleratedFailurePercentage":1e400}`))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		do := actions[name]
		if do == nil || name == "StartExecution" { // which leaves folders
			return
		}
		out, err := do(w.Server, &call{body: body})
		var known *apiError
		if err != nil && (!errors.As(err, &known) || known.kind == "") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			return
		}
		if _, err := json.Marshal(out); err != nil {
			t.Error(err)
		}
	})
}

package states

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"

	"fanout/bench/internal/objects"
	"fanout/functions/scan"
)

const (
	testRegion  = "us-east-1"
	testAccount = "123456789012"
	testBucket  = "listed"
	testResults = "results"
	testRole    = "arn:aws:iam::123456789012:role/test"
)

var testKeys = aws.Credentials{AccessKeyID: "AKIDTEST", SecretAccessKey: "secret"}

// functions is a Lambda service for tests: whatever the test's function says.
type functions struct {
	*httptest.Server
	mu     sync.Mutex
	handle func(r *http.Request, name string, payload []byte) answer
	calls  int
}

// answer is what an invocation comes to: a function's answer, a function's
// error, or with a status an error of the API.
type answer struct {
	body          string
	functionError bool
	status        int
	kind          string
}

func newFunctions(t testing.TB) *functions {
	f := &functions{handle: func(*http.Request, string, []byte) answer { return answer{body: `{"ok":true}`} }}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

func (f *functions) set(handle func(r *http.Request, name string, payload []byte) answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handle, f.calls = handle, 0
}

func (f *functions) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *functions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	payload, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.calls++
	handle := f.handle
	f.mu.Unlock()
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/2015-03-31/functions/"), "/invocations")
	a := handle(r, name, payload)
	switch {
	case a.status != 0:
		w.Header().Set("X-Amzn-Errortype", a.kind)
		w.WriteHeader(a.status)
	case a.functionError:
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	if len(a.body) > eagerBytes {
		time.Sleep(20 * eagerTime) // see there: this machine may be busy
	}
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	_, _ = io.WriteString(w, a.body) // a client that has gone away
}

// world is a server with what its state machines reach.
type world struct {
	*Server
	t      testing.TB
	client *sfn.Client
	lambda *functions
	s3     *s3.Client
	store  *objects.Server
	cfg    Config
	pace   time.Duration // what a second of a definition takes
	at     services
}

// newWorld starts one in which a second of a definition takes a tenth of one. What
// has a time limit then has one that a busy machine keeps: a batch has 14 s.
func newWorld(t testing.TB) *world { return newWorldAt(t, 100*time.Millisecond) }

// newWorldAt starts one in which a second takes that long.
func newWorldAt(t testing.TB, pace time.Duration) *world {
	t.Helper()
	store, err := objects.Start(objects.Config{Dir: t.TempDir(), Region: testRegion})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	store.AddKey(testKeys.AccessKeyID, testKeys.SecretAccessKey)
	for _, b := range []string{testBucket, testResults} {
		if err := store.CreateBucket(b); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t, pace: pace, lambda: newFunctions(t), store: store}
	w.s3 = store.Client(testKeys.AccessKeyID, testKeys.SecretAccessKey)
	w.at = services{store.URL(), store.CAFile(), w.lambda.URL}
	w.cfg = Config{
		Credentials: testKeys, Region: testRegion, AccountID: testAccount, Dir: t.TempDir(), S3: w.s3,
		Lambda: awslambda.New(awslambda.Options{
			BaseEndpoint: aws.String(w.lambda.URL), Region: testRegion, Retryer: aws.NopRetryer{},
			Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		}),
	}
	w.start()
	return w
}

func (w *world) start() {
	w.t.Helper()
	s, err := start(w.cfg, w.pace)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.Server = s
	w.client = newClient(s.URL(), testKeys.AccessKeyID, testKeys.SecretAccessKey)
}

func newClient(url, id, secret string) *sfn.Client {
	return sfn.New(sfn.Options{
		BaseEndpoint: aws.String(url), Region: testRegion,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
	})
}

// create makes a state machine, and gives its ARN.
func (w *world) create(name, definition string) string {
	w.t.Helper()
	out, err := w.client.CreateStateMachine(w.t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String(name), Definition: aws.String(definition), RoleArn: aws.String(testRole),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.StateMachineArn
}

func (w *world) begin(machine, name, input string) string {
	w.t.Helper()
	out, err := w.client.StartExecution(w.t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: aws.String(machine), Name: aws.String(name), Input: aws.String(input),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.ExecutionArn
}

func (w *world) describe(arn string) *sfn.DescribeExecutionOutput {
	w.t.Helper()
	out, err := w.client.DescribeExecution(w.t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: aws.String(arn)})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// wait waits for the end of an execution's attempt.
func (w *world) wait(arn string) *sfn.DescribeExecutionOutput {
	w.t.Helper()
	x, err := w.execution(arn)
	if err != nil {
		w.t.Fatal(err)
	}
	x.mu.Lock()
	ended := x.ended
	x.mu.Unlock()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		w.t.Fatalf("%s still runs", arn)
	}
	return w.describe(arn)
}

func (w *world) redrive(arn string) *sfn.DescribeExecutionOutput {
	w.t.Helper()
	if _, err := w.client.RedriveExecution(w.t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: aws.String(arn)}); err != nil {
		w.t.Fatal(err)
	}
	return w.wait(arn)
}

// runOnce creates a state machine, runs it once, and gives what came of it.
func (w *world) runOnce(name, definition, input string) *sfn.DescribeExecutionOutput {
	w.t.Helper()
	return w.wait(w.begin(w.create(name, definition), "run", input))
}

// mapRunOf describes the newest Map Run of an execution.
func (w *world) mapRunOf(arn string) *sfn.DescribeMapRunOutput {
	w.t.Helper()
	list, err := w.client.ListMapRuns(w.t.Context(), &sfn.ListMapRunsInput{ExecutionArn: aws.String(arn)})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(list.MapRuns) == 0 {
		w.t.Fatalf("%s has no Map Run", arn)
	}
	out, err := w.client.DescribeMapRun(w.t.Context(), &sfn.DescribeMapRunInput{MapRunArn: list.MapRuns[0].MapRunArn})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// put puts n objects, k00000 to k99999, and what else is named.
func (w *world) put(n int, more ...string) {
	w.t.Helper()
	keys := more
	for i := range n {
		keys = append(keys, fmt.Sprintf("k%05d", i))
	}
	for _, k := range keys {
		w.putObject(testBucket, k, "x")
	}
}

func (w *world) putObject(bucket, key, body string) {
	w.t.Helper()
	_, err := w.s3.PutObject(w.t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key),
		Body: strings.NewReader(body)})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) getResult(key string) string {
	w.t.Helper()
	out, err := w.s3.GetObject(w.t.Context(), &s3.GetObjectInput{Bucket: aws.String(testResults), Key: aws.String(key)})
	if err != nil {
		w.t.Fatalf("%s: %v", key, err)
	}
	defer out.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(out.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// code is the error's name as the API told it.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// scanText is the state machine of the scan.
func scanText() string {
	return scan.Substitutions{
		FetchFunction: "arn:aws:lambda:us-east-1:123456789012:function:fetch", Partition: "aws", ExecutionType: scan.Express,
	}.Substitute()
}

func scanInput(items int) string {
	return fmt.Sprintf(`{"event":{"s3_bucket_name":%q,"folder":"","find":"x"},"prefix":"","results":{"bucket":%q},
		"batch":{"items":%d,"bytes":200000},"max_concurrency":4,"tolerated_failure_percentage":0}`, testBucket, testResults, items)
}

// fetched answers a batch as the fetch function does, and a merge with what it
// got.
func fetched(_ *http.Request, _ string, payload []byte) answer {
	var in struct {
		Items []struct{ Key string }
		Merge json.RawMessage
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return answer{status: 400, kind: "InvalidRequestContentException", body: `{"message":"not JSON"}`}
	}
	if in.Merge != nil {
		return answer{body: string(in.Merge)}
	}
	return answer{body: fmt.Sprintf(`{"part":"p","keys":%d}`, len(in.Items))}
}

// The scan's own text runs from its listing to its merge.
func TestScan(t *testing.T) {
	w := newWorld(t)
	w.put(25, "a folder/", "ünï/ côde", "new\nline", `"quoted"\`)
	var mu sync.Mutex
	seen := map[string]int{}
	sizes := map[int]int{}
	w.lambda.set(func(r *http.Request, name string, payload []byte) answer {
		var in struct {
			BatchInput struct {
				Job     string
				Results struct{ Bucket string }
				Event   struct {
					Bucket string `json:"s3_bucket_name"`
				}
			}
			Items []map[string]string
			Merge json.RawMessage
		}
		if err := json.Unmarshal(payload, &in); err != nil {
			t.Error(err)
		}
		if in.Merge == nil {
			mu.Lock()
			defer mu.Unlock()
			for _, item := range in.Items {
				seen[item["Key"]]++
				if len(item) != 1 {
					t.Errorf("item %v: want its key alone", item)
				}
			}
			sizes[len(in.Items)]++
			if in.BatchInput.Job != "job-1" || in.BatchInput.Results.Bucket != testResults || in.BatchInput.Event.Bucket != testBucket {
				t.Errorf("batch input: %+v", in.BatchInput)
			}
		}
		return fetched(r, name, payload)
	})
	arn := w.begin(w.create("scan", scanText()), "job-1", scanInput(10))
	out := w.wait(arn)
	if out.Status != types.ExecutionStatusSucceeded {
		t.Fatalf("%s: %s: %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	if len(seen) != 29 || sizes[10] != 2 || sizes[9] != 1 {
		t.Errorf("%d keys in batches of %v, want 29 in 10, 10 and 9: %v", len(seen), sizes, seen)
	}
	r := w.mapRunOf(arn)
	if r.ItemCounts.Total != 29 || r.ItemCounts.Succeeded != 29 || r.ExecutionCounts.Succeeded != 3 || r.ItemCounts.ResultsWritten != 29 ||
		r.Status != types.MapRunStatusSucceeded || r.MaxConcurrency != 4 {
		t.Errorf("Map Run: %+v, items %+v, executions %+v", r, r.ItemCounts, r.ExecutionCounts)
	}
	id := (*r.MapRunArn)[strings.LastIndex(*r.MapRunArn, ":")+1:]
	want := fmt.Sprintf(`{"acks":{"Bucket":%q,"Key":"jobs/job-1/acks/%s/manifest.json"},"event":`, testResults, id)
	if got := aws.ToString(out.Output); !strings.HasPrefix(got, want) || !strings.Contains(got, `"total":29`) {
		t.Errorf("output %s, want it to begin with %s", got, want)
	}
	var manifest struct {
		ResultFiles map[string][]struct {
			Key  string
			Size int
		}
	}
	if err := json.Unmarshal([]byte(w.getResult("jobs/job-1/acks/"+id+"/manifest.json")), &manifest); err != nil {
		t.Fatal(err)
	}
	files := manifest.ResultFiles["SUCCEEDED"]
	if len(files) != 1 || len(manifest.ResultFiles["FAILED"]) != 0 || len(manifest.ResultFiles["PENDING"]) != 0 {
		t.Fatalf("manifest: %+v", manifest)
	}
	text := w.getResult(files[0].Key)
	var records []struct{ Input, Output, Status, ExecutionArn, StateMachineArn string }
	if err := json.Unmarshal([]byte(text), &records); err != nil || len(records) != 3 || len(text) != files[0].Size {
		t.Fatalf("%v, %d records in %d bytes: %s", err, len(records), len(text), text)
	}
	if r := records[0]; r.Status != "SUCCEEDED" || !strings.HasPrefix(r.Input, `{"BatchInput":`) || !strings.HasPrefix(r.Output,
		`{"part":"p"`) ||
		!strings.Contains(r.ExecutionArn, ":express:scan/ReadListing:") || !strings.HasSuffix(r.StateMachineArn,
		":stateMachine:scan/ReadListing") {
		t.Errorf("record %+v", r)
	}
}

// What Close leaves is the folder that was given.
func TestCloseLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	w := newWorld(t)
	cfg := w.cfg
	cfg.Dir = ""
	s, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if _, err := http.Get(s.URL()); err == nil { //nolint:noctx // it must fail at once
		t.Error("it still listens")
	}
	_, err = Start(w.cfg)
	if !errors.Is(err, ErrInUse) {
		t.Errorf("two servers on one folder: %v", err)
	}
}

func redriveInput(arn *string) *sfn.RedriveExecutionInput {
	return &sfn.RedriveExecutionInput{ExecutionArn: arn}
}

func bucketInput(name string) *s3.CreateBucketInput {
	return &s3.CreateBucketInput{Bucket: aws.String(name)}
}

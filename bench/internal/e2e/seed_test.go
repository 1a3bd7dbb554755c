package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"fanout/bench/internal/lab"
	"fanout/bench/internal/network"
	"fanout/bench/internal/objects"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// seedLab is the seeder's own bootstrap in the sandbox, an embedded S3 beside
// it, and a CloudFormation that takes its answers.
type seedLab struct {
	s3       *s3.Client
	server   *objects.Server
	lambda   *awslambda.Client
	callback string
	statuses chan int          // what the callback answers first
	answers  chan cfn.Response // what it was told
}

// seedTimeouts are the functions there are: by name, each with its time-out.
// hasty has less time than the seeder keeps in reserve for its answer.
var seedTimeouts = map[string]time.Duration{"seeder": 2 * time.Minute, "hasty": 20 * time.Second}

// seedFunction is the lab's name for one of them.
func seedFunction(name string) string {
	return fmt.Sprintf("fanout-%s-%s-%d", name, lambda.HostArchitecture(), lambda.VCPUMemoryMB)
}

func startSeedLab(t *testing.T) *seedLab {
	t.Helper()
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "fanout/functions/cmd/seed")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the seeder: %v\n%s", err, out)
	}
	config := lab.Config{
		Architectures: []string{lambda.HostArchitecture()}, MemoriesMB: []int{lambda.VCPUMemoryMB}, Timeout: 2 * time.Minute,
		Network: network.None, Corpus: corpus.Default(), NoLimits: true,
	}
	for name := range seedTimeouts {
		config.Contenders = append(config.Contenders, lab.Contender{Name: name, Path: func(string) string { return bootstrap }})
	}
	l, err := lab.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &seedLab{
		server: l.S3, s3: l.S3Client(), lambda: l.Client(), statuses: make(chan int, 8), answers: make(chan cfn.Response, 8),
	}
	for name, timeout := range seedTimeouts {
		if _, err := s.lambda.UpdateFunctionConfiguration(t.Context(), &awslambda.UpdateFunctionConfigurationInput{
			FunctionName: aws.String(seedFunction(name)), Timeout: aws.Int32(int32(timeout.Seconds())),
		}); err != nil {
			t.Fatal(err)
		}
	}

	callback := httptest.NewServer(http.HandlerFunc(s.answer(t)))
	t.Cleanup(callback.Close)
	s.callback = callback.URL + "/answer?X-Amz-Signature=c0ffee"
	return s
}

// answer is CloudFormation's end of the callback.
func (s *seedLab) answer(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case status := <-s.statuses:
			w.WriteHeader(status)
			return
		default:
		}
		body, err := io.ReadAll(r.Body)
		var response cfn.Response
		if err == nil {
			err = json.Unmarshal(body, &response)
		}
		if err != nil || r.Method != http.MethodPut || r.URL.RawQuery != "X-Amz-Signature=c0ffee" {
			t.Errorf("callback: %s %s %q: %v", r.Method, r.URL, body, err)
		}
		s.answers <- response
	}
}

// request has a function of the sandbox answer CloudFormation.
func (s *seedLab) request(t *testing.T, function string, kind cfn.RequestType, properties, old map[string]any) cfn.Response {
	t.Helper()
	event := cfn.Event{
		RequestType: kind, RequestID: "r", LogicalResourceID: "Objects", StackID: "s", ResponseURL: s.callback,
		ResourceProperties: properties, OldResourceProperties: old,
	}
	if kind != cfn.RequestCreate {
		event.PhysicalResourceID = "s3://seeded"
	}
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.lambda.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: aws.String(seedFunction(function)), Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	if out.FunctionError != nil {
		t.Fatalf("%s: %s %s", kind, *out.FunctionError, out.Payload)
	}
	select {
	case a := <-s.answers:
		if a.PhysicalResourceID != "s3://seeded" {
			t.Errorf("%s: physical ID %s", kind, a.PhysicalResourceID)
		}
		return a
	default:
		t.Fatalf("%s: the function ended without an answer", kind)
		return cfn.Response{}
	}
}

func seedProperties(spec corpus.Spec) map[string]any {
	return map[string]any{
		"Bucket": "seeded", "Prefix": spec.Prefix, "Objects": fmt.Sprint(spec.Count), "Seed": fmt.Sprint(spec.Seed),
		"MinBytes": fmt.Sprint(spec.MinBytes), "MaxBytes": fmt.Sprint(spec.MaxBytes), "Needle": spec.Needle,
	}
}

// digest reads the whole bucket.
func (s *seedLab) digest(t *testing.T) (n int, digest string) {
	t.Helper()
	var d fetch.Digest
	pages := s3.NewListObjectsV2Paginator(s.s3, &s3.ListObjectsV2Input{Bucket: aws.String("seeded")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			got, err := s.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("seeded"), Key: o.Key})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(got.Body)
			if err := got.Body.Close(); err != nil {
				t.Error(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			d.Add(*o.Key, fetch.BodyCRC(0, body))
			n++
		}
	}
	return n, d.String()
}

func (s *seedLab) holds(t *testing.T, spec corpus.Spec) {
	t.Helper()
	n, got := s.digest(t)
	if _, want := spec.Expect(); n != spec.Count || got != want.String() {
		t.Errorf("the bucket holds %d objects with digest %s, want %d with %s", n, got, spec.Count, want.String())
	}
}

// TestSeeder takes the seeder's bootstrap through a stack's life.
func TestSeeder(t *testing.T) {
	s := startSeedLab(t)
	if err := s.server.CreateBucket("seeded"); err != nil {
		t.Fatal(err)
	}
	// Somebody turned versioning on: an emptied bucket must be empty all the same.
	if _, err := s.s3.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: aws.String("seeded"), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	}); err != nil {
		t.Fatal(err)
	}
	ok := func(a cfn.Response) {
		t.Helper()
		if a.Status != cfn.StatusSuccess {
			t.Fatalf("%s: %s", a.Status, a.Reason)
		}
	}
	fails := func(a cfn.Response, reason string) {
		t.Helper()
		if a.Status != cfn.StatusFailed || !strings.Contains(a.Reason, reason) {
			t.Fatalf("%s %q, want a failure with %q", a.Status, a.Reason, reason)
		}
	}

	first := corpus.Default()
	first.Count, first.MaxBytes = 60, 3000
	s.statuses <- http.StatusServiceUnavailable // the callback is tried again
	a := s.request(t, "seeder", cfn.RequestCreate, seedProperties(first), nil)
	ok(a)
	if a.Data["Objects"] != "60" || a.Data["Bytes"] != fmt.Sprint(first.TotalBytes()) {
		t.Errorf("data %v", a.Data)
	}
	s.holds(t, first)

	fewer := first
	fewer.Count, fewer.Seed, fewer.Needle = 25, 7, "another needle"
	ok(s.request(t, "seeder", cfn.RequestUpdate, seedProperties(fewer), seedProperties(first)))
	s.holds(t, fewer)

	moved := fewer
	moved.Prefix = "objects/deeper/"
	ok(s.request(t, "seeder", cfn.RequestUpdate, seedProperties(moved), seedProperties(fewer)))
	s.holds(t, moved)

	broken := seedProperties(moved)
	broken["Objects"] = "1000001"
	fails(s.request(t, "seeder", cfn.RequestUpdate, broken, seedProperties(moved)), "objects 1000001: must be 1 to 1000000")
	s.holds(t, moved)

	fails(s.request(t, "hasty", cfn.RequestUpdate, seedProperties(first), seedProperties(moved)), "out of time")
	s.holds(t, moved)

	ok(s.request(t, "seeder", cfn.RequestDelete, broken, nil))
	versions, err := s.s3.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: aws.String("seeded")})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(versions.Versions) + len(versions.DeleteMarkers); n != 0 {
		t.Errorf("%d versions and delete markers are left", n)
	}
	if _, err := s.s3.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String("seeded")}); err != nil {
		t.Errorf("delete the emptied bucket: %v", err)
	}
	ok(s.request(t, "seeder", cfn.RequestDelete, seedProperties(moved), nil)) // once more, with no bucket there
}

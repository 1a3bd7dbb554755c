package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/smithy-go"

	"fanout/functions/corpus"
)

// fakeStore notes what it is asked for; its functions, where set, decide how
// that ends.
type fakeStore struct {
	calls    []string
	onPut    func(ctx context.Context, progress func(done, total int)) error
	onRemove func(ctx context.Context) error
}

func (f *fakeStore) replace(
	ctx context.Context, bucket string, spec corpus.Spec, earlier []corpus.Spec, progress func(done, total int),
) error {
	call := fmt.Sprintf("put %d %s/%s", spec.Count, bucket, spec.Prefix)
	for _, e := range earlier {
		call += fmt.Sprintf(" for %d %s", e.Count, e.Prefix)
	}
	f.calls = append(f.calls, call)
	if f.onPut != nil {
		return f.onPut(ctx, progress)
	}
	return nil
}

func (f *fakeStore) remove(ctx context.Context, bucket string, specs []corpus.Spec, _ func(int)) error {
	f.calls = append(f.calls, fmt.Sprintf("remove %s %d", bucket, len(specs)))
	if f.onRemove != nil {
		return f.onRemove(ctx)
	}
	return nil
}

func (f *fakeStore) emptyOnly(ctx context.Context, bucket, prefix string, _ func(int)) error {
	f.calls = append(f.calls, fmt.Sprintf("empty only %s/%s", bucket, prefix))
	if f.onRemove != nil {
		return f.onRemove(ctx)
	}
	return nil
}

func (f *fakeStore) empty(_ context.Context, bucket string, _ func(int)) error {
	f.calls = append(f.calls, "empty "+bucket)
	return nil
}

// signature stands for what makes the callback's address a credential.
const signature = "X-Amz-Signature=c0ffee"

// cloudFormation is the other end of the callback: it notes each body that was
// put to it and gives the next status, or 200 when there are no more.
type cloudFormation struct {
	t        *testing.T
	statuses []int
	answers  []cfn.Response
	tries    int
}

func (c *cloudFormation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.tries++
	if r.Method != http.MethodPut || r.URL.RawQuery != signature {
		c.t.Errorf("callback was asked for %s %s", r.Method, r.URL)
	}
	if kind, ok := r.Header["Content-Type"]; ok {
		c.t.Errorf("Content-Type %q: the address is signed without one", kind)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) > 4096 {
		c.t.Errorf("callback's body: %d bytes, %v", len(body), err)
	}
	status := http.StatusOK
	if len(c.statuses) > 0 {
		status, c.statuses = c.statuses[0], c.statuses[1:]
	}
	if status == http.StatusOK {
		var answer cfn.Response
		if err := json.Unmarshal(body, &answer); err != nil {
			c.t.Errorf("callback's body %q: %v", body, err)
		}
		c.answers = append(c.answers, answer)
	}
	w.WriteHeader(status)
}

// RoundTrip serves without a network, for tests in a bubble of fake time.
func (c *cloudFormation) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	if w.Code == dropped {
		return nil, errors.New("connection reset by peer")
	}
	return w.Result(), nil
}

// dropped is a status that stands for no answer at all.
const dropped = 599

func properties(changes ...string) map[string]any {
	p := map[string]any{
		"ServiceToken": "arn:aws:lambda:eu-central-1:111111111111:function:seeder",
		"Bucket":       "b", "Prefix": "objects/", "Objects": "3",
		"MinBytes": "20", "MaxBytes": "40", "Seed": "18446744073709551615", "Needle": "MyMagicString",
	}
	for i := 0; i < len(changes); i += 2 {
		p[changes[i]] = changes[i+1]
	}
	return p
}

func request(kind cfn.RequestType, p, old map[string]any) cfn.Event {
	e := cfn.Event{
		RequestType: kind, RequestID: "request-1", LogicalResourceID: "Objects", StackID: "stack-1",
		ResponseURL: "https://cloudformation.invalid/answer?" + signature, ResourceProperties: p, OldResourceProperties: old,
	}
	if kind != cfn.RequestCreate {
		e.PhysicalResourceID = "s3://b"
	}
	return e
}

// ofResults makes a request one for the results of scans.
func ofResults(e cfn.Event) cfn.Event {
	e.ResourceType = "Custom::FanoutResults"
	return e
}

func apiError(code string) error {
	return fmt.Errorf("operation error S3: %w", &smithy.GenericAPIError{Code: code, Message: "no"})
}

func foreign(key string, idle bool) error {
	return fmt.Errorf("corpus: %w", &corpus.ForeignError{Bucket: "b", Keys: []string{key}, Prefix: "objects/", Idle: idle})
}

// TestRequests goes over real HTTP to a CloudFormation that is not one.
func TestRequests(t *testing.T) {
	tests := []struct {
		name   string
		event  cfn.Event
		store  fakeStore
		calls  []string
		status cfn.StatusType
		id     string
		reason string // part of it
	}{
		{ // the ordinary way in
			name: "create", event: request(cfn.RequestCreate, properties(), nil),
			calls: []string{"put 3 b/objects/"}, status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // another number of objects is put over the old ones
			name: "update", event: request(cfn.RequestUpdate, properties("Objects", "5"), properties()),
			calls: []string{"put 5 b/objects/ for 3 objects/"}, status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // what lies under the old prefix would never be found again
			name: "update of the prefix", event: request(cfn.RequestUpdate, properties("Prefix", "objects/a/"), properties()),
			calls: []string{"put 3 b/objects/a/ for 3 objects/"}, status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // the rollback of an update that was refused for its properties: nothing was put for those
			name: "update from broken properties", event: request(cfn.RequestUpdate, properties(), properties("Objects", "many", "Prefix", "x/")),
			calls: []string{"put 3 b/objects/"}, status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // a new ID makes CloudFormation delete the old one, so the old bucket is left alone now
			name: "update of the bucket", event: request(cfn.RequestUpdate, properties("Bucket", "c", "Prefix", "x/"), properties()),
			calls: []string{"put 3 c/x/"}, status: cfn.StatusSuccess, id: "s3://c",
		},
		{ // somebody's object: the stack's events name it
			name: "update refused", event: request(cfn.RequestUpdate, properties("Prefix", "y/"), properties()),
			store: fakeStore{onPut: func(context.Context, func(int, int)) error { return foreign("y/mine.txt", false) }},
			calls: []string{"put 3 b/y/ for 3 objects/"}, status: cfn.StatusFailed, id: "s3://b", reason: "s3://b/y/mine.txt is in the way",
		},
		{ // its rollback finds everything as it left it, that object included
			name: "rollback of a refused update", event: request(cfn.RequestUpdate, properties(), properties("Objects", "5")),
			store: fakeStore{onPut: func(context.Context, func(int, int)) error { return foreign("objects/mine.txt", true) }},
			calls: []string{"put 3 b/objects/ for 5 objects/"}, status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // a new bucket cannot hold the right objects already
			name: "create refused", event: request(cfn.RequestCreate, properties(), nil),
			store: fakeStore{onPut: func(context.Context, func(int, int)) error { return foreign("objects/mine.txt", true) }},
			calls: []string{"put 3 b/objects/"}, status: cfn.StatusFailed, id: "s3://b", reason: "objects/mine.txt is in the way",
		},
		{ // whatever the prefix was: the bucket could not be deleted otherwise
			name: "delete", event: request(cfn.RequestDelete, properties(), nil),
			calls: []string{"remove b 1"}, status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // says what is left, that it is left, and what to do
			name: "delete with somebody's objects there", event: request(cfn.RequestDelete, properties("EmptyBucket", "false"), nil),
			store: fakeStore{onRemove: func(context.Context) error { return foreign("mine.txt", false) }},
			calls: []string{"remove b 1"}, status: cfn.StatusFailed, id: "s3://b",
			reason: "bucket b contains objects that this stack did not create: s3://b/mine.txt. Nothing was deleted from it: move " +
				"these objects or delete them",
		},
		{ // asked for, so everything goes
			name: "delete of everything", event: request(cfn.RequestDelete, properties("EmptyBucket", "true"), nil),
			calls: []string{"empty b"}, status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // the roll-back of a create that was refused for its properties
			name: "delete with broken properties", event: request(cfn.RequestDelete, map[string]any{"Bucket": "b", "Objects": "many"}, nil),
			calls: []string{"remove b 0"}, status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // … or because it named no bucket
			name: "delete without a bucket", event: request(cfn.RequestDelete, properties("Bucket", ""), nil),
			status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // others put results
			name: "create results", event: ofResults(request(cfn.RequestCreate, map[string]any{"Bucket": "b", "Prefix": "jobs/"}, nil)),
			status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // … and go on to
			name:   "update results",
			event:  ofResults(request(cfn.RequestUpdate, map[string]any{"Bucket": "b", "EmptyBucket": "true"}, map[string]any{"Bucket": "b"})),
			status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // not those that only look like seed objects
			name: "delete results", event: ofResults(request(cfn.RequestDelete, map[string]any{"Bucket": "b", "Prefix": "jobs/"}, nil)),
			calls: []string{"empty only b/jobs/"}, status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // everything would be under it, and none of it foreign
			name: "delete results without a prefix", event: ofResults(request(cfn.RequestDelete, map[string]any{"Bucket": "b"}, nil)),
			status: cfn.StatusFailed, id: "s3://b", reason: "Prefix <nil>: must be what the keys of results begin with; nothing was deleted",
		},
		{ // where somebody keeps something beside them
			name:  "delete results with somebody's objects there",
			event: ofResults(request(cfn.RequestDelete, map[string]any{"Bucket": "b", "Prefix": "jobs/", "EmptyBucket": "false"}, nil)),
			store: fakeStore{onRemove: func(context.Context) error { return foreign("mine.txt", false) }},
			calls: []string{"empty only b/jobs/"}, status: cfn.StatusFailed, id: "s3://b",
			reason: "bucket b contains objects that this stack did not create: s3://b/mine.txt. Nothing was deleted from it",
		},
		{ // asked for
			name:  "delete results and everything",
			event: ofResults(request(cfn.RequestDelete, map[string]any{"Bucket": "b", "Prefix": "jobs/", "EmptyBucket": "true"}, nil)),
			calls: []string{"empty b"}, status: cfn.StatusSuccess, id: "s3://b",
		},
		{ // a delete that did not empty the bucket must not pass for one that did
			name: "delete fails", event: request(cfn.RequestDelete, properties(), nil),
			store: fakeStore{onRemove: func(context.Context) error { return apiError("InternalError") }},
			calls: []string{"remove b 1"}, status: cfn.StatusFailed, id: "s3://b", reason: "empty bucket b",
		},
		{ // the cause reaches the stack's events
			name: "create fails", event: request(cfn.RequestCreate, properties(), nil),
			store: fakeStore{onPut: func(context.Context, func(int, int)) error { return apiError("NoSuchBucket") }},
			calls: []string{"put 3 b/objects/"}, status: cfn.StatusFailed, id: "s3://b", reason: "put 3 objects into bucket b: operation error S3",
		},
		{ // properties come from a template that anybody may have written
			name: "create out of range", event: request(cfn.RequestCreate, properties("Objects", "99999999"), nil),
			status: cfn.StatusFailed, id: "s3://b", reason: "objects 99999999: must be 1 to 10000000",
		},
		{ // no ID can be made from this, but there must be one
			name: "create without a bucket", event: request(cfn.RequestCreate, properties("Bucket", ""), nil),
			status: cfn.StatusFailed, id: "request-1", reason: "must name a bucket",
		},
		{ // a kind of request that does not exist yet
			name: "unknown request", event: request("Import", properties(), nil),
			status: cfn.StatusFailed, id: "s3://b", reason: `request type "Import"`,
		},
		{ // CloudFormation drops an answer of more than 4 KB without a word
			name: "long reason", event: request(cfn.RequestCreate, properties(), nil),
			store: fakeStore{onPut: func(context.Context, func(int, int)) error { return errors.New(strings.Repeat("é", 9000)) }},
			calls: []string{"put 3 b/objects/"}, status: cfn.StatusFailed, id: "s3://b", reason: "é …",
		},
		{ // a panic is an answer too
			name: "panic", event: request(cfn.RequestCreate, properties(), nil),
			store: fakeStore{onPut: func(context.Context, func(int, int)) error { panic("out of cheese") }},
			calls: []string{"put 3 b/objects/"}, status: cfn.StatusFailed, id: "s3://b", reason: "panic: out of cheese",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cloud := &cloudFormation{t: t}
			server := httptest.NewServer(cloud)
			defer server.Close()
			test.event.ResponseURL = server.URL + "/answer?" + signature
			var log bytes.Buffer
			s := &seeder{store: &test.store, callback: server.Client(), log: slog.New(slog.NewJSONHandler(&log, nil))}
			if err := s.handle(t.Context(), test.event); err != nil {
				t.Fatal(err)
			}
			if len(cloud.answers) != 1 {
				t.Fatalf("%d answers, want 1", len(cloud.answers))
			}
			got := cloud.answers[0]
			if got.Status != test.status || got.PhysicalResourceID != test.id || !strings.Contains(got.Reason, test.reason) {
				t.Errorf("answer %s %s %q, want %s %s %q", got.Status, got.PhysicalResourceID, got.Reason, test.status, test.id, test.reason)
			}
			if got.RequestID != "request-1" || got.LogicalResourceID != "Objects" || got.StackID != "stack-1" {
				t.Errorf("answer to %s %s %s", got.RequestID, got.LogicalResourceID, got.StackID)
			}
			if !slices.Equal(test.store.calls, test.calls) {
				t.Errorf("store was asked for %q, want %q", test.store.calls, test.calls)
			}
			if strings.Contains(log.String(), signature) {
				t.Errorf("the log holds the callback's signature: %s", &log)
			}
		})
	}
}

// TestData: a person looks at these in the console.
func TestData(t *testing.T) {
	cloud := &cloudFormation{t: t}
	s := &seeder{store: &fakeStore{}, callback: &http.Client{Transport: cloud}, log: slog.New(slog.DiscardHandler)}
	if err := s.handle(t.Context(), request(cfn.RequestCreate, properties("MaxBytes", "20"), nil)); err != nil {
		t.Fatal(err)
	}
	if data := cloud.answers[0].Data; data["Objects"] != "3" || data["Bytes"] != "60" {
		t.Errorf("data %v, want 3 objects of 20 bytes", data)
	}
}

// TestTimeLimit runs in fake time: the function's limit is a minute away, and
// work that does not end by itself must be answered for before that.
func TestTimeLimit(t *testing.T) {
	tests := []struct {
		name   string
		onPut  func(ctx context.Context, progress func(int, int)) error
		reason string
	}{
		{ // says how far it came
			"heeds the context", func(ctx context.Context, progress func(int, int)) error {
				progress(2, 3)
				<-ctx.Done()
				return fmt.Errorf("put object 3: %w", ctx.Err())
			}, "out of time 30s before the function's limit, after 2 of 3 objects",
		},
		{ // a client that hangs in spite of its context
			"hangs", func(context.Context, func(int, int)) error {
				time.Sleep(24 * time.Hour) // of fake time
				return nil
			}, "out of time 30s before the function's limit, before the first object",
		},
		{ // refused for as long as there is time: the reason is the time
			"refused slowly", func(ctx context.Context, _ func(int, int)) error {
				time.Sleep(20 * time.Second) // of fake time
				return apiError("AccessDenied")
			}, "out of time",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cloud := &cloudFormation{t: t}
				s := &seeder{store: &fakeStore{onPut: test.onPut}, callback: &http.Client{Transport: cloud}, log: slog.New(slog.DiscardHandler)}
				if err := s.handle(ctx, request(cfn.RequestCreate, properties(), nil)); err != nil {
					t.Fatal(err)
				}
				if err := ctx.Err(); err != nil {
					t.Errorf("answered past the function's limit")
				}
				if a := cloud.answers; len(a) != 1 || a[0].Status != cfn.StatusFailed || !strings.Contains(a[0].Reason, test.reason) {
					t.Errorf("answers %+v, want one failure with %q", a, test.reason)
				}
				time.Sleep(48 * time.Hour) // of fake time: lets what hung end
			})
		})
	}
}

// TestNewRole: the rights of a role made seconds ago may not be there yet.
func TestNewRole(t *testing.T) {
	tests := []struct {
		name    string
		kind    cfn.RequestType
		code    string // that the refusals have
		refused int    // tries that are, before they succeed
		status  cfn.StatusType
		tries   int
	}{
		{"rights come", cfn.RequestCreate, "AccessDenied", 3, cfn.StatusSuccess, 4},      // deploys instead of rolling back
		{"rights come to HEAD", cfn.RequestCreate, "Forbidden", 3, cfn.StatusSuccess, 4}, // which S3 answers without a name
		{"rights to delete come", cfn.RequestDelete, "Forbidden", 1, cfn.StatusSuccess, 2},
		// gives up: 1 + 2 + 4 + 8 + 16 s, and 32 more would pass a minute
		{"rights never come", cfn.RequestCreate, "AccessDenied", 1_000_000, cfn.StatusFailed, 6},
		{"rights to delete never come", cfn.RequestDelete, "AccessDenied", 1_000_000, cfn.StatusFailed, 6},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				refuse := func() error {
					if n++; n <= test.refused {
						return apiError(test.code)
					}
					return nil
				}
				store := &fakeStore{
					onPut:    func(context.Context, func(int, int)) error { return refuse() },
					onRemove: func(context.Context) error { return refuse() },
				}
				cloud := &cloudFormation{t: t}
				s := &seeder{store: store, callback: &http.Client{Transport: cloud}, log: slog.New(slog.DiscardHandler)}
				if err := s.handle(t.Context(), request(test.kind, properties(), nil)); err != nil {
					t.Fatal(err)
				}
				if a := cloud.answers; len(a) != 1 || a[0].Status != test.status || n != test.tries {
					t.Errorf("%d tries, answers %+v; want %d, %s", n, a, test.tries, test.status)
				}
			})
		})
	}
}

// TestAnswer loses the callback on its way, in fake time.
func TestAnswer(t *testing.T) {
	tests := []struct {
		name     string
		statuses []int
		tries    int
		fails    string // part of the error
	}{
		{"at once", nil, 1, ""}, // no retry without a reason
		{"after trouble", []int{500, 503, dropped, 429, 408}, 6, ""},               // every kind that may pass
		{"expired", []int{403, 403}, 1, "status 403"},                              // would be refused again
		{"never", []int{500, 500, 500, 500, 500, 500, 500}, 6, "try 6 of 6"},       // Lambda's own retry comes next
		{"no connection", slices.Repeat([]int{dropped}, 7), 6, "connection reset"}, // the error of net/http shows the address
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := &cloudFormation{t: t, statuses: test.statuses}
				var log bytes.Buffer
				s := &seeder{store: &fakeStore{}, callback: &http.Client{Transport: cloud}, log: slog.New(slog.NewJSONHandler(&log, nil))}
				err := s.handle(t.Context(), request(cfn.RequestCreate, properties(), nil))
				if fmt.Sprint(err) == "<nil>" != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
					t.Errorf("error %v, want %q", err, test.fails)
				}
				if cloud.tries != test.tries {
					t.Errorf("%d tries, want %d", cloud.tries, test.tries)
				}
				if said := log.String() + fmt.Sprint(err); strings.Contains(said, signature) {
					t.Errorf("log or error hold the callback's signature: %s", said)
				}
			})
		})
	}
}

// TestAnswerStops: once the function's time is over there is nobody to try for.
func TestAnswerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		cloud := &cloudFormation{t: t, statuses: slices.Repeat([]int{500}, 9)}
		s := &seeder{callback: &http.Client{Transport: cloud}, log: slog.New(slog.DiscardHandler)}
		err := s.answer(ctx, "https://cloudformation.invalid/answer?"+signature, &cfn.Response{})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "status 500") {
			t.Errorf("error %v, want the time-out and its cause", err)
		}
	})
}

// TestAnswerNowhere: an address that is none must not be repeated in an error.
func TestAnswerNowhere(t *testing.T) {
	s := &seeder{callback: http.DefaultClient, log: slog.New(slog.DiscardHandler)}
	err := s.answer(t.Context(), "://?"+signature, &cfn.Response{})
	if err == nil || strings.Contains(err.Error(), signature) {
		t.Errorf("error %v, want one without the address", err)
	}
}

func TestParseSpec(t *testing.T) {
	tests := []struct {
		name    string
		change  []string
		drop    string
		wrong   string // part of the error
		correct corpus.Spec
	}{
		{ // the whole range of the seed, which a JSON number would round
			name: "all", correct: corpus.Spec{Count: 3, MinBytes: 20, MaxBytes: 40, Seed: 1<<64 - 1, Needle: "MyMagicString", Prefix: "objects/"},
		},
		{ // as templates have it, in JSON: CloudFormation keeps ASCII alone
			name: "needle in JSON", change: []string{"NeedleJSON", `"\u65e5\u672c \u00e9"`},
			correct: corpus.Spec{Count: 3, MinBytes: 20, MaxBytes: 40, Seed: 1<<64 - 1, Needle: "日本 é", Prefix: "objects/"},
		},
		{
			name: "needle in broken JSON", change: []string{"NeedleJSON", `MyMagicString`},
			wrong: `NeedleJSON "MyMagicString": must be text as JSON`,
		},
		{ // a distribution of sizes, as a table
			name:   "shape",
			change: []string{"MinBytes", "1", "MaxBytes", "40", "ShapeJSON", `{"name":"sizes","bins":[[500000,1,1,1],[500000,30,35,40]]}`},
			correct: corpus.Spec{Count: 3, Seed: 1<<64 - 1, Needle: "MyMagicString", Prefix: "objects/"}.
				WithShape(shape(t, `{"name":"sizes","bins":[[500000,1,1,1],[500000,30,35,40]]}`)),
		},
		{
			name: "shape of other bounds", change: []string{"ShapeJSON", `{"name":"sizes","bins":[[1000000,30,35,40]]}`},
			wrong: "min-bytes 20, max-bytes 40: must be left out",
		},
		{name: "broken shape", change: []string{"ShapeJSON", `{"bins":[[1,2,3,4]]}`}, wrong: "ShapeJSON: shape: weights sum to 1"},
		{name: "shape that is no JSON", change: []string{"ShapeJSON", `sizes.txt`}, wrong: "ShapeJSON: invalid character"},
		{name: "more than 15 minutes' worth", change: []string{"Objects", "1000001"}, wrong: "objects 1000001: must be 1 to 1000000"},
		{name: "no such number", change: []string{"MinBytes", "-1"}, wrong: `MinBytes "-1": must be a whole number`}, // would be huge unsigned
		{name: "missing", drop: "Needle", wrong: "Needle <nil>: must be text"},                                       // not an empty one
		{name: "too big", change: []string{"Objects", "4294967296"}, wrong: "of up to 31 bits"},                      // would wrap on 32 bits
		{name: "not valid together", change: []string{"MaxBytes", "19"}, wrong: "max-bytes 19"},                      // the corpus' own rules
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := properties(test.change...)
			delete(p, test.drop)
			got, err := parseSpec(p)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("error %v, want %q", err, test.wrong)
				}
				return
			}
			if err != nil || got != test.correct {
				t.Errorf("%+v, %v; want %+v", got, err, test.correct)
			}
		})
	}
}

func shape(t *testing.T, text string) (s corpus.Shape) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// FuzzParseSpec: whatever the properties are, what comes out is valid or an
// error.
func FuzzParseSpec(f *testing.F) {
	f.Add([]byte(`{"Prefix":"objects/","Objects":"3","MinBytes":"20","MaxBytes":"40","Seed":"1","Needle":"MyMagicString"}`))
	f.Add([]byte(`{"Prefix":"o/","Objects":"3","MinBytes":"20","MaxBytes":"40","Seed":"1","NeedleJSON":"\"\\u65e5\""}`))
	f.Add([]byte(`{"Prefix":"o/","Objects":"3","MinBytes":"1","MaxBytes":"40","Seed":"1","Needle":"n",
		"ShapeJSON":"{\"bins\":[[1000000,1,2,40]]}"}`))
	f.Add([]byte(`{"Prefix":1,"Objects":["3"],"MinBytes":null,"MaxBytes":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p map[string]any
		if json.Unmarshal(b, &p) != nil {
			return
		}
		spec, err := parseSpec(p)
		if err == nil && spec.Validate() != nil {
			t.Errorf("%s gave %+v, which is not valid", b, spec)
		}
	})
}

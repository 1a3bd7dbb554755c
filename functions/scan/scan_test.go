package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"fanout/functions/fetch"
)

// memory is an S3 with all buckets in one map, by BUCKET/KEY.
type memory struct {
	mu      sync.Mutex
	objects map[string]string
	fail    map[string]error         // Get's, by BUCKET/KEY
	slow    map[string]time.Duration // before Get's body, by BUCKET/KEY
	putErr  error
	putErrs []error  // Put's first ones
	puts    []string // in order
}

func newMemory() *memory {
	return &memory{objects: map[string]string{}, fail: map[string]error{}, slow: map[string]time.Duration{}}
}

func (s *memory) Connections() int64 { return 0 }

func (s *memory) List(_ context.Context, bucket, prefix string, page func([]fetch.Object) error) error {
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.objects))
	s.mu.Unlock()
	var all []fetch.Object
	for _, name := range names {
		if key, ok := strings.CutPrefix(name, bucket+"/"); ok && strings.HasPrefix(key, prefix) {
			all = append(all, fetch.Object{Key: key, Size: int64(len(s.objects[name]))})
		}
	}
	for page1 := range slices.Chunk(all, 1000) {
		if err := page(page1); err != nil {
			return err
		}
	}
	return nil
}

func (s *memory) Get(ctx context.Context, bucket, key string, sink fetch.Sink) (fetch.Read, error) {
	s.mu.Lock()
	body, ok := s.objects[bucket+"/"+key]
	err, wait := s.fail[bucket+"/"+key], s.slow[bucket+"/"+key]
	s.mu.Unlock()
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fetch.Read{}, ctx.Err()
		}
	}
	switch {
	case ctx.Err() != nil:
		return fetch.Read{}, ctx.Err()
	case err != nil:
		return fetch.Read{Retries: 1}, err
	case !ok:
		return fetch.Read{}, &fetch.Error{Type: fetch.NoSuchKey, Message: "get s3://" + bucket + "/" + key}
	}
	// A first try that breaks off: what it wrote must not count.
	for _, piece := range []string{body[:len(body)/2], "reset", body[:len(body)/3], body[len(body)/3:]} {
		if piece == "reset" {
			sink.Reset()
		} else if _, err := sink.Write([]byte(piece)); err != nil {
			return fetch.Read{}, err
		}
	}
	return fetch.Read{Bytes: int64(len(body))}, nil
}

func (s *memory) Put(_ context.Context, bucket, key string, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.putErrs) > 0 {
		err := s.putErrs[0]
		s.putErrs = s.putErrs[1:]
		return err
	}
	if s.putErr != nil {
		return s.putErr
	}
	s.objects[bucket+"/"+key] = string(body)
	s.puts = append(s.puts, bucket+"/"+key)
	return nil
}

func handlerOver(s fetch.Store) *Handler {
	h := New(fetch.New(fetch.Config{Client: "fake", Concurrency: 8}, func(context.Context, string) (fetch.Store, error) { return s, nil }))
	h.pause = time.Millisecond
	return h
}

// batchOf gives the envelope of keys.
func batchOf(find string, keys ...string) string {
	items := make([]Item, len(keys))
	for i, key := range keys {
		items[i].Key = key
	}
	text, err := json.Marshal(items)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"BatchInput":{"job":"j","results":{"bucket":"r"},"event":{"s3_bucket_name":"b","find":%s}},"Items":%s}`,
		find, text)
}

func invoke[T any](t *testing.T, h *Handler, ctx context.Context, payload string) (T, error) {
	t.Helper()
	var answer T
	out, err := h.Invoke(ctx, []byte(payload))
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return answer, nil
}

func errorMessage(err error) string {
	var wire messages.InvokeResponse_Error
	if errors.As(err, &wire) {
		return wire.Message
	}
	return fmt.Sprint(err)
}

func errorType(err error) string {
	var wire messages.InvokeResponse_Error
	if errors.As(err, &wire) {
		return wire.Type
	}
	return ""
}

// job is one scan over a memory: how its batches went, and what Merge is asked.
type job struct {
	*memory
	t     *testing.T
	h     *Handler
	total int
	files map[string][]string // ResultWriter's entries, by status

	digestOf []string                 // the keys that a result is of
	later    map[string]time.Duration // slow, once the batches are over
}

func newJob(t *testing.T) *job {
	s := newMemory()
	return &job{memory: s, t: t, h: handlerOver(s), files: map[string][]string{}}
}

// fill makes n objects, of which every tenth matches.
func (j *job) fill(n int) (keys []string) {
	for i := range n {
		key, body := fmt.Sprintf("p/%05d", i), fmt.Sprint("noise ", i)
		if i%10 == 7 {
			body = "a needle"
		}
		j.objects["b/"+key] = body
		keys = append(keys, key)
	}
	return keys
}

// digest is that of these objects, as one fetch would see them.
func (j *job) digest(keys ...string) string {
	var d fetch.Digest
	for _, key := range keys {
		d.Add(key, fetch.BodyCRC(0, []byte(j.objects["b/"+key])))
	}
	return d.String()
}

// batch runs one batch as a child execution does; status: of the child.
func (j *job) batch(status string, keys ...string) Ack {
	j.t.Helper()
	payload := batchOf(`"needle"`, keys...)
	ack, err := invoke[Ack](j.t, j.h, j.t.Context(), payload)
	if err != nil {
		j.t.Fatal(err)
	}
	j.child(status, payload)
	j.total += len(keys)
	return ack
}

// child notes a child execution as ResultWriter does.
func (j *job) child(status, payload string) {
	name := fmt.Sprintf("child-%d", len(j.files["SUCCEEDED"])+len(j.files["FAILED"])+len(j.files["PENDING"]))
	entry, err := json.Marshal(map[string]any{
		"ExecutionArn": "arn:aws:states:us-east-1:1:execution:m/run:" + name, "Name": name, "Status": status,
		"Input": payload, "InputDetails": map[string]bool{"Included": true}, "Output": `{"part":"x","keys":1}`,
	})
	if err != nil {
		j.t.Fatal(err)
	}
	j.files[status] = append(j.files[status], string(entry))
}

// mergeOf gives what Merge is asked, and puts ResultWriter's files there.
func (j *job) mergeOf(total int) string {
	list := map[string][]map[string]any{}
	for _, status := range []string{"SUCCEEDED", "FAILED", "PENDING"} {
		list[status] = []map[string]any{}
		for i := 0; i < len(j.files[status]); i += 2 { // two to a file
			key := fmt.Sprintf("jobs/j/acks/u/%s_%d.json", status, i/2)
			body := "[" + strings.Join(j.files[status][i:min(i+2, len(j.files[status]))], ",") + "]"
			j.objects["r/"+key] = body
			list[status] = append(list[status], map[string]any{"Key": key, "Size": len(body)})
		}
	}
	text, err := json.Marshal(map[string]any{"DestinationBucket": "r", "MapRunArn": "arn", "ResultFiles": list})
	if err != nil {
		j.t.Fatal(err)
	}
	j.objects["r/jobs/j/acks/u/manifest.json"] = string(text)
	return fmt.Sprintf(`{"merge":{"job":"j","results":{"bucket":"r"},"event":{"s3_bucket_name":"b","find":"needle"},"total":%d,`+
		`"acks":{"Bucket":"r","Key":"jobs/j/acks/u/manifest.json"}}}`, total)
}

func (j *job) merge() (Result, error) {
	j.t.Helper()
	return invoke[Result](j.t, j.h, j.t.Context(), j.mergeOf(j.total))
}

// parts are the names of the parts there are.
func (j *job) parts() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(j.objects)) {
		if strings.HasPrefix(name, "r/jobs/j/parts/") {
			names = append(names, name)
		}
	}
	return names
}

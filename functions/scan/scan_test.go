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
	if s.putErr != nil {
		return s.putErr
	}
	s.objects[bucket+"/"+key] = string(body)
	s.puts = append(s.puts, bucket+"/"+key)
	return nil
}

func handlerOver(s fetch.Store) *Handler {
	return New(fetch.New(fetch.Config{Client: "fake", Concurrency: 8}, func(context.Context, string) (fetch.Store, error) { return s, nil }))
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
	return fmt.Sprintf(`{"BatchInput":{"job":"j","results":{"bucket":"r"},"event":{"s3_bucket_name":"b","find":%s}},"Items":%s}`, find, text)
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

func errorType(err error) string {
	var wire messages.InvokeResponse_Error
	if errors.As(err, &wire) {
		return wire.Type
	}
	return ""
}

func TestJob(t *testing.T) {
	s := newMemory()
	var want fetch.Digest
	var keys []string
	for i := range 2500 {
		key, body := fmt.Sprintf("p/%05d", i), fmt.Sprint("noise ", i)
		if i%100 == 7 {
			body = "a needle"
		}
		s.objects["b/"+key] = body
		want.Add(key, fetch.BodyCRC(0, []byte(body)))
		keys = append(keys, key)
	}
	h := handlerOver(s)
	for batch := range slices.Chunk(keys, 100) {
		ack, err := invoke[Ack](t, h, t.Context(), batchOf(`"needle"`, batch...))
		if err != nil || ack.Keys != 100 || ack.Objects != 100 || ack.Errors != 0 {
			t.Fatalf("%+v, %v", ack, err)
		}
		p, err := DecodePart([]byte(s.objects["r/"+ack.Part]))
		if err != nil || p.First != batch[0] || p.Last != batch[99] || len(p.Matches) != 1 || p.Matches[0].Key != batch[7] {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	r, err := invoke[Result](t, h, t.Context(), `{"merge":{"job":"j","results":{"bucket":"r"},"event":{"s3_bucket_name":"b","find":"needle"},"total":2500,
		"acks":{"Bucket":"r","Key":"jobs/j/acks/u/manifest.json"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if r.Parts != 25 || r.Keys != 2500 || r.Objects != 2500 || r.Matched != 25 || r.Digest != want.String() || r.Matches[1].Key != "p/00107" {
		t.Errorf("%+v", r)
	}
	if s.objects["r/jobs/j/result.json"] == "" {
		t.Error("no result.json")
	}
}

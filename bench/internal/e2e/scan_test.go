package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"fanout/bench/internal/objects"
	"fanout/functions/fetch"
	"fanout/functions/scan"
	"fanout/functions/store"
)

// scanHandler is the function as it is deployed, with that client.
func scanHandler(client string) *scan.Handler {
	return scan.New(fetch.New(fetch.Config{Client: client}, func(ctx context.Context, name string) (fetch.Store, error) {
		return store.Open(ctx, name)
	}))
}

// TestScanParts: with each client, batches of odd keys leave parts that merge to the
// digest of one fetch of them all; and what is inside gzip is found.
func TestScanParts(t *testing.T) {
	srv, c := startS3(t, objects.Config{})
	bodies := map[string]string{
		"plain": "noise", "a b": "a needle here\nnext", "a+b": "noise", "a%2Fb": "needle", "é/ü": "needle", "tab\tnewline\n": "noise",
		"//": "noise", "folder/": "", strings.Repeat("k", 1024): "needle", "z.gz": packed("inside\nthe needle"), "quote\"back\\": "noise",
		"control\x01\x1f": "needle",
	}
	fill(t, srv, c, "data", bodies)
	if err := srv.CreateBucket("results"); err != nil {
		t.Fatal(err)
	}
	for _, client := range store.Names {
		t.Run(client, func(t *testing.T) {
			h := scanHandler(client)
			event := fmt.Sprintf(`{"s3_bucket_name":"data","find":"needle","decompress":true,"matches":"all","locate":true,"client":%q}`, client)
			whole := answer[fetch.Response](t, h, event)
			var keys []string
			for key := range bodies {
				keys = append(keys, key)
			}
			slices.Sort(keys)
			job := "job-" + client
			for batch := range slices.Chunk(keys, 5) {
				var items []scan.Item
				for _, key := range batch {
					items = append(items, scan.Item{Key: key})
				}
				text, err := json.Marshal(items)
				if err != nil {
					t.Fatal(err)
				}
				ack := answer[scan.Ack](t, h, fmt.Sprintf(`{"BatchInput":{"job":%q,"results":{"bucket":"results"},"event":%s},"Items":%s}`,
					job, event, text))
				if ack.Keys != len(batch) || ack.Objects != len(batch) {
					t.Errorf("%+v", ack)
				}
			}
			result := answer[scan.Result](t, h, fmt.Sprintf(`{"merge":{"job":%q,"results":{"bucket":"results"},"event":%s,"total":%d}}`,
				job, event, len(keys)))
			got, want := fmt.Sprint(lines(result.Matches)), fmt.Sprint(lines(whole.Matches))
			if got != want || result.Digest != whole.Stats.Digest || result.Bytes != whole.Stats.Bytes || result.Parts != 3 {
				t.Errorf("%+v\nmatches %s\nwant    %s\n%+v", result, got, want, whole.Stats)
			}
			if !strings.Contains(got, "z.gz 11 the needle") || result.Matched != 6 {
				t.Errorf("matches %s", got)
			}
		})
	}
}

func lines(matches []fetch.Match) (text []string) {
	for _, m := range matches {
		text = append(text, fmt.Sprintf("%s %d %s", m.Key, *m.Offset, *m.Line))
	}
	return text
}

// answer invokes h, and decodes its answer.
func answer[T any](t *testing.T, h *scan.Handler, event string) (to T) {
	t.Helper()
	out, err := h.Invoke(t.Context(), []byte(event))
	if err != nil {
		t.Fatalf("%.200s: %v", event, err)
	}
	if err := json.Unmarshal(out, &to); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return to
}

func packed(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		panic(err) // a buffer does not fail
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

// TestContentEncoding: each client tells the handler how a body is encoded, one that is
// read in ranges too, and gives it as it is stored.
func TestContentEncoding(t *testing.T) {
	srv, c := startS3(t, objects.Config{})
	if err := srv.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 9<<20)                    // over lean's ranges of 8 MB, and gzip makes it no smaller
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise) // never fails
	var size int64
	for key, text := range map[string]string{"small": "the needle", "large": string(noise) + "\nneedle"} {
		body := packed(text)
		size += int64(len(body))
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("data"), Key: &key, Body: strings.NewReader(body),
			ContentEncoding: aws.String("gzip")})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, client := range store.Names {
		event := fmt.Sprintf(`{"s3_bucket_name":"data","find":"needle","decompress":true,"matches":"all","locate":true,"client":%q}`, client)
		r := answer[fetch.Response](t, scanHandler(client), event)
		want := fmt.Sprintf("[large %d needle small 4 the needle]", len(noise)+1)
		if got := fmt.Sprint(lines(r.Matches)); got != want || r.Stats.Bytes != size {
			t.Errorf("%s: %s, %d bytes; want %s, %d", client, got, r.Stats.Bytes, want, size)
		}
	}
}

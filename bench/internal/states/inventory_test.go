package states

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"fanout/bench/internal/objects"
	"fanout/functions/corpus"
)

// An inventory list as the embedded S3 makes it has every object of the bucket,
// of several files, with keys as the service leaves them: URL-encoded.
func TestScanOfInventory(t *testing.T) {
	w := newWorld(t)
	spec := corpus.Spec{Count: 10_500, MinBytes: 20, MaxBytes: 60, Seed: 3, Needle: "needle", Prefix: "p/"}
	if err := w.store.Generate(t.Context(), testBucket, spec, nil); err != nil {
		t.Fatal(err)
	}
	odd := []string{"a folder/", "a+b", "a%20b", "ünï/ côde", "new\nline", `"quoted"\`, "ctl\x01", strings.Repeat("k", 1024)}
	w.put(0, odd...)
	if err := w.store.CreateBucket("lists"); err != nil {
		t.Fatal(err)
	}
	key, err := w.store.PutInventory(t.Context(), objects.Inventory{Bucket: testBucket, Destination: "lists", KeysPerFile: 4000})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // of seen
	seen := map[string]int{}
	w.lambda.set(func(r *http.Request, name string, payload []byte) answer {
		var in struct {
			BatchInput struct {
				URLEncoded bool `json:"url_encoded"`
			}
			Items []struct{ Key string }
		}
		if err := json.Unmarshal(payload, &in); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, item := range in.Items {
			plain, err := url.QueryUnescape(item.Key)
			if err != nil || !in.BatchInput.URLEncoded {
				t.Errorf("key %q, encoded %t: %v", item.Key, in.BatchInput.URLEncoded, err)
			}
			seen[plain]++
		}
		return fetched(r, name, payload)
	})
	input := strings.TrimSuffix(scanInput(1000), "}") +
		fmt.Sprintf(`,"inventory":{"bucket":"lists","key":%q,"url_encoded":true}}`, key)
	arn := w.begin(w.create("scan", scanText()), "job-1", input)
	if out := w.wait(arn); out.Status != types.ExecutionStatusSucceeded {
		t.Fatalf("%s: %s: %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	if n := int64(spec.Count + len(odd)); w.mapRunOf(arn).ItemCounts.Total != n || int64(len(seen)) != n {
		t.Errorf("%d items, %d keys, want %d", w.mapRunOf(arn).ItemCounts.Total, len(seen), n)
	}
	for _, key := range append(odd, spec.Key(0), spec.Key(spec.Count-1)) {
		if seen[key] != 1 {
			t.Errorf("%q was read %d times", key, seen[key])
		}
	}
}

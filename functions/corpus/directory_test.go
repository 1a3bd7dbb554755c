package corpus

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// directoryBucket is an S3 Express directory bucket, which the embedded S3 has
// none of: S3 answers a listing of versions there with an error, and its ETags
// are no MD5.
type directoryBucket struct {
	t       *testing.T
	mu      sync.Mutex
	objects map[string]string // keys, and the MD5 of the mark or nothing
	puts    int
}

func (b *directoryBucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	query := r.URL.Query()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	etag := func(key string) string { return fmt.Sprintf("%q", "random-"+b.objects[key]) }
	switch {
	case r.Method == http.MethodGet && query.Get("list-type") == "2":
		var contents strings.Builder
		for _, key := range slices.Sorted(maps.Keys(b.objects)) {
			if strings.HasPrefix(key, query.Get("prefix")) {
				fmt.Fprintf(&contents, "<Contents><Key>%s</Key><Size>20</Size><ETag>%s</ETag></Contents>", strings.ReplaceAll(key, " ", "+"), etag(key))
			}
		}
		fmt.Fprintf(w, "<ListBucketResult><EncodingType>url</EncodingType>%s</ListBucketResult>", &contents)
	case r.Method == http.MethodHead:
		w.Header().Set("X-Amz-Meta-Fanout-Md5", b.objects[key])
		w.Header().Set("ETag", etag(key))
	case r.Method == http.MethodPut:
		b.puts++
		b.objects[key] = r.Header.Get("X-Amz-Meta-Fanout-Md5")
	case r.Method == http.MethodPost && query.Has("delete"):
		var request struct {
			Object []struct{ Key, VersionId string }
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = xml.Unmarshal(body, &request)
		}
		if err != nil {
			b.t.Error(err)
		}
		for _, o := range request.Object {
			if o.VersionId != "" {
				b.t.Errorf("%s: version %s", o.Key, o.VersionId)
			}
			delete(b.objects, o.Key)
		}
		fmt.Fprint(w, "<DeleteResult></DeleteResult>")
	default:
		w.WriteHeader(http.StatusNotImplemented)
		fmt.Fprint(w, "<Error><Code>NotImplemented</Code></Error>")
	}
}

func startDirectoryBucket(t *testing.T, keys ...string) (*directoryBucket, *s3.Client) {
	t.Helper()
	b := &directoryBucket{t: t, objects: map[string]string{}}
	for _, key := range keys {
		b.objects[key] = ""
	}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return b, s3.New(s3.Options{
		BaseEndpoint: aws.String(server.URL), Region: "us-east-1", UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
		}),
		DisableS3ExpressSessionAuth: aws.Bool(true), // the server knows no sessions
	})
}

const directoryName = "mine--use1-az4--x-s3"

func TestEmptyDirectoryBucket(t *testing.T) {
	b, client := startDirectoryBucket(t, "objects/a", "objects/b c")
	n, err := Empty(t.Context(), client, directoryName, "", nil)
	if err != nil || n != 2 || len(b.objects) != 0 {
		t.Errorf("%d deleted, %d left, %v; want 2, 0, no error", n, len(b.objects), err)
	}
}

// The mark says of a seed object whether its bytes are right, where the ETag
// does not.
func TestMarkInDirectoryBucket(t *testing.T) {
	b, client := startDirectoryBucket(t)
	s := Spec{Count: 5, MinBytes: 20, MaxBytes: 20, Seed: 1, Needle: "needle", Prefix: "p/"}
	for _, want := range []PutReport{{Put: 5, Bytes: 100}, {Kept: 5}} {
		if got, err := s.Put(t.Context(), client, directoryName, nil); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	other := s
	other.Seed, other.Count = 2, 4
	if got, err := other.Put(t.Context(), client, directoryName, nil); err != nil || got.Put != 4 || got.Removed != 1 {
		t.Errorf("other bytes: %+v, %v", got, err)
	}
	b.objects["p/mine"] = ""
	if n, err := Remove(t.Context(), client, directoryName, nil, nil); err == nil || n != 0 {
		t.Errorf("%d deleted beside a foreign object, %v", n, err)
	}
	delete(b.objects, "p/mine")
	if n, err := Remove(t.Context(), client, directoryName, nil, nil); err != nil || n != 4 {
		t.Errorf("%d deleted, %v", n, err)
	}
}

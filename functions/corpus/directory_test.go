package corpus

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestEmptyDirectoryBucket: S3 answers a listing of versions of a directory
// bucket with an error, so that a stack with one could not be deleted. The
// server here is as strict; the embedded S3 has no such buckets.
func TestEmptyDirectoryBucket(t *testing.T) {
	var mu sync.Mutex
	objects := map[string]bool{"objects/a": true, "objects/b c": true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		query := r.URL.Query()
		switch {
		case r.Method == http.MethodGet && query.Get("list-type") == "2":
			var contents strings.Builder
			for key := range objects {
				fmt.Fprintf(&contents, "<Contents><Key>%s</Key></Contents>", strings.ReplaceAll(key, " ", "+"))
			}
			fmt.Fprintf(w, "<ListBucketResult><EncodingType>url</EncodingType>%s</ListBucketResult>", &contents)
		case r.Method == http.MethodPost && query.Has("delete"):
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			for key := range objects {
				if strings.Contains(string(body), "<Key>"+key+"</Key>") {
					delete(objects, key)
				}
			}
			fmt.Fprint(w, "<DeleteResult></DeleteResult>")
		default:
			w.WriteHeader(http.StatusNotImplemented)
			fmt.Fprint(w, "<Error><Code>NotImplemented</Code></Error>")
		}
	}))
	defer server.Close()

	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(server.URL), Region: "us-east-1", UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
		}),
		DisableS3ExpressSessionAuth: aws.Bool(true), // the server knows no sessions
	})
	n, err := Empty(t.Context(), client, "mine--use1-az4--x-s3", "", nil)
	if err != nil || n != 2 || len(objects) != 0 {
		t.Errorf("%d deleted, %d left, %v; want 2, 0, no error", n, len(objects), err)
	}
}

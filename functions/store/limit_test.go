package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fanout/functions/fetch"
	"fanout/functions/store"
)

// limitEnv makes this test binary a process that reads with the client that it
// names, through limitURL, having opened limitOthers files beforehand.
const (
	limitEnv    = "STORE_LIMIT_CLIENT"
	limitURL    = "STORE_LIMIT_URL"
	limitOthers = "STORE_LIMIT_OTHERS"
)

const limitObjects = 1100

// readLimited is the child of TestFileLimit: it prints the invocation's answer.
func readLimited(client string) error {
	var others int
	if _, err := fmt.Sscan(os.Getenv(limitOthers), &others); err != nil {
		return err
	}
	files := make([]*os.File, others)
	for i := range files {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		files[i] = f
	}
	defer runtime.KeepAlive(files) // one that nobody holds is closed
	if err := os.Setenv("AWS_ENDPOINT_URL_S3", os.Getenv(limitURL)); err != nil {
		return err
	}
	h := fetch.New(fetch.Config{Client: client}, func(ctx context.Context, name string) (fetch.Store, error) {
		return store.Open(ctx, name)
	})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	answer, err := h.Invoke(ctx, []byte(`{"s3_bucket_name":"photos","concurrency":1024}`))
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%s\n", answer)
	return err
}

// TestFileLimit: with far more workers than the process may open files, every
// client reads every object, over as many connections as there may be.
func TestFileLimit(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name        string
		files       int
		others      int // open already, so that there are fewer for connections than are counted on
		connections int32
	}{
		{"a limit", 128, 0, 96},
		{"a low one", 48, 0, 36},
		{"a limit that others have used up", 128, 100, 28},
	} {
		for _, client := range store.Names {
			t.Run(tt.name+", "+client, func(t *testing.T) {
				t.Parallel()
				var open, most atomic.Int32
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Query().Get("list-type") == "2" {
						contents := strings.Repeat("<Contents><Key>key</Key><Size>4</Size></Contents>", limitObjects)
						_, _ = fmt.Fprint(w, "<ListBucketResult>", contents, "</ListBucketResult>")
						return
					}
					time.Sleep(20 * time.Millisecond) // S3's latency: so that requests are under way together
					_, _ = fmt.Fprint(w, "body")
				}))
				server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
					switch state {
					case http.StateNew:
						n := open.Add(1)
						for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
						}
					case http.StateClosed, http.StateHijacked:
						open.Add(-1)
					}
				}
				server.Start()
				defer server.Close()
				cmd := exec.CommandContext(t.Context(), shell, "-c", fmt.Sprintf("ulimit -n %d && exec %q", tt.files, exe))
				cmd.Env = append(os.Environ(), limitEnv+"="+client, limitURL+"="+server.URL, fmt.Sprintf("%s=%d", limitOthers, tt.others),
					"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=s", "AWS_CONFIG_FILE="+os.DevNull,
					"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true")
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v\n%.2000s", err, stderr.String())
				}
				var answer fetch.Response
				if err := json.Unmarshal(out, &answer); err != nil {
					t.Fatalf("%v in %.300s", err, out)
				}
				if answer.Result != fmt.Sprint(limitObjects) || answer.Stats.Errors != 0 {
					t.Errorf("read %s of %d objects, %d errors", answer.Result, limitObjects, answer.Stats.Errors)
				}
				// The server sees the end of a connection a little after the client.
				if got := most.Load(); client == store.Lean && got > tt.connections || got < tt.connections/4 {
					t.Errorf("%d connections at once, want up to %d", got, tt.connections)
				}
			})
		}
	}
}

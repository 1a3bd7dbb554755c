package lean_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"fanout/functions/fetch"
	"fanout/functions/store/lean"
)

// Every object under a prefix is listed and read. In a Lambda function getenv
// is os.Getenv, and the client is made once for the process.
func Example() {
	getenv, stop := someS3()
	defer stop()
	ctx := context.Background()

	config, err := lean.ConfigFromEnv(getenv)
	if err != nil {
		log.Fatal(err)
	}
	client, err := lean.New(config)
	if err != nil {
		log.Fatal(err)
	}
	err = client.List(ctx, "photos", "2026/", func(page []fetch.Object) error {
		for _, object := range page {
			var body bytes.Buffer
			if _, err := client.Get(ctx, "photos", object.Key, &body); err != nil {
				return err
			}
			fmt.Printf("%s, %d bytes: %s\n", object.Key, object.Size, &body)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// 2026/cat.txt, 4 bytes: meow
	// 2026/dog.txt, 4 bytes: woof
}

// An error whose cause S3 names is a [fetch.Error] of that name.
func ExampleClient_Get() {
	getenv, stop := someS3()
	defer stop()
	ctx := context.Background()
	config, err := lean.ConfigFromEnv(getenv)
	if err != nil {
		log.Fatal(err)
	}
	client, err := lean.New(config)
	if err != nil {
		log.Fatal(err)
	}

	var body bytes.Buffer
	_, err = client.Get(ctx, "photos", "2026/gone.txt", &body)
	if refused := (*fetch.Error)(nil); errors.As(err, &refused) && refused.Type == fetch.NoSuchKey {
		fmt.Println("it is gone")
	}
	// Output: it is gone
}

// someS3 is an S3 with two objects, and an environment that leads there.
func someS3() (getenv func(string) string, stop func()) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/photos/":
			fmt.Fprint(w, `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>
				<Contents><Key>2026%2Fcat.txt</Key><Size>4</Size></Contents>
				<Contents><Key>2026%2Fdog.txt</Key><Size>4</Size></Contents></ListBucketResult>`)
		case "/photos/2026/cat.txt":
			fmt.Fprint(w, "meow")
		case "/photos/2026/dog.txt":
			fmt.Fprint(w, "woof")
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `<Error><Code>NoSuchKey</Code></Error>`)
		}
	}))
	env := map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_S3": server.URL,
		"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret",
	}
	return func(name string) string { return env[name] }, server.Close
}

// TestDocumentation: what docs/lean.md shows in Go is in this file, where it is
// compiled and run.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../../docs/lean.md")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("no Go in docs/lean.md")
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		if !strings.Contains(squeeze(string(self)), squeeze(code)) {
			t.Errorf("not in example_test.go:\n%s", code)
		}
	}
}

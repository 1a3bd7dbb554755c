package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fanout/functions/fetch"
	"fanout/functions/store"
)

// s3Like answers a listing of two objects, and their bodies.
func s3Like(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/gone/" || r.URL.Path == "/gone":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `<Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>`)
		case r.URL.Query().Get("list-type") == "2":
			fmt.Fprint(w, `<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a+b%2B</Key><Size>3</Size></Contents>`+
				`<Contents><Key>c</Key><Size>3</Size></Contents></ListBucketResult>`)
		case r.URL.Path == "/bucket/a b+":
			fmt.Fprint(w, "one")
		case r.URL.Path == "/bucket/c":
			fmt.Fprint(w, "two")
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestEndpoint: -aws and -endpoint mean what they say, whatever endpoints and
// switches the environment and the profile have.
func TestEndpoint(t *testing.T) {
	environment(t)
	url := s3Like(t)
	profile := filepath.Join(t.TempDir(), "config")
	text := "[default]\nendpoint_url = " + url + "\nignore_configured_endpoint_urls = false\n"
	if err := os.WriteFile(profile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ignoring := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(ignoring, []byte("[default]\nignore_configured_endpoint_urls = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		env    map[string]string
		args   []string
		status int // 0: the objects of url; 1: AWS, which nothing here reaches; 2: refused
	}{
		{"-aws with an endpoint in the environment", map[string]string{"AWS_ENDPOINT_URL_S3": url}, []string{"-aws"}, 1},
		{"-aws with the general one", map[string]string{"AWS_ENDPOINT_URL": url}, []string{"-aws"}, 1},
		{"-aws with one in the profile", map[string]string{"AWS_CONFIG_FILE": profile}, []string{"-aws"}, 1},
		{"-endpoint where endpoints are ignored", map[string]string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
			[]string{"-endpoint", url}, 0},
		{"-endpoint before the environment's", map[string]string{"AWS_ENDPOINT_URL_S3": "https://other.example"},
			[]string{"-endpoint", url}, 0},
		{"the environment's", map[string]string{"AWS_ENDPOINT_URL_S3": url}, nil, 0},
		{"the environment's, ignored", map[string]string{"AWS_ENDPOINT_URL_S3": url, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"}, nil, 2},
		{"the environment's, ignored by the profile", map[string]string{"AWS_ENDPOINT_URL_S3": url, "AWS_CONFIG_FILE": ignoring}, nil, 0},
	} {
		for _, client := range store.Names {
			t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "")
			t.Setenv("AWS_CONFIG_FILE", os.DevNull)
			t.Setenv("AWS_MAX_ATTEMPTS", "1")
			for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} { // to the SDK, empty is not unset
				t.Setenv(name, "")
				if err := os.Unsetenv(name); err != nil {
					t.Fatal(err)
				}
			}
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			var stdout, stderr bytes.Buffer
			args := append([]string{"-bucket", "bucket", "-client", client}, tc.args...)
			if status := run(t.Context(), args, nil, &stdout, &stderr); status != tc.status {
				t.Errorf("%s, %s: status %d, want %d: %s%s", tc.name, client, status, tc.status, stdout.String(), stderr.String())
			}
		}
	}
}

// TestRegion: another S3 than AWS's is read without a region set, AWS's is not;
// one that is set, in the environment or the profile, counts.
func TestRegion(t *testing.T) {
	environment(t)
	url := s3Like(t)
	profile := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(profile, []byte("[default]\nregion = garage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		env    map[string]string
		args   []string
		status int
		region string // that AWS_REGION has afterwards
		stderr string
	}{
		{"none", nil, []string{"-endpoint", url}, 0, defaultRegion, ""},
		{"none, with the environment's endpoint", map[string]string{"AWS_ENDPOINT_URL_S3": url}, nil, 0, defaultRegion, ""},
		{"the environment's", map[string]string{"AWS_REGION": "eu-central-1"}, []string{"-endpoint", url}, 0, "eu-central-1", ""},
		{"the environment's other one", map[string]string{"AWS_DEFAULT_REGION": "eu-central-1"}, []string{"-endpoint", url}, 0, "", ""},
		{"the profile's", map[string]string{"AWS_CONFIG_FILE": profile}, []string{"-endpoint", url}, 0, "", ""},
		{"none, of AWS", nil, []string{"-aws"}, 2, "", "error: no region: -aws needs the bucket's\nhint: set AWS_REGION, "},
	} {
		for _, client := range store.Names {
			t.Setenv("AWS_CONFIG_FILE", os.DevNull)
			for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} {
				t.Setenv(name, "") // it is put back in the end
				if err := os.Unsetenv(name); err != nil {
					t.Fatal(err)
				}
			}
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			var stdout, stderr bytes.Buffer
			args := append([]string{"-bucket", "bucket", "-client", client}, tc.args...)
			status := run(t.Context(), args, nil, &stdout, &stderr)
			if status != tc.status || os.Getenv("AWS_REGION") != tc.region || !strings.HasPrefix(stderr.String(), tc.stderr) {
				t.Errorf("%s, %s: status %d, region %q: %s%s", tc.name, client, status, os.Getenv("AWS_REGION"), &stdout, &stderr)
			}
		}
	}
}

// TestMain puts all of AWS behind a proxy that nobody is: these tests call loopback
// addresses only, which are never behind one.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "", "NO_PROXY": "", "no_proxy": ""} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func environment(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "", "CONCURRENCY": "", "CLIENT": "", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "",
	} {
		t.Setenv(name, value)
	}
}

func TestRun(t *testing.T) {
	environment(t)
	url := s3Like(t)
	file := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(file, []byte(`{"s3_bucket_name":"bucket"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name     string
		args     []string
		stdin    string
		status   int
		response string // of the response: its result, or its errorType
		stderr   string // part of it
	}{
		// The three ways to say the event.
		{"flags", []string{"-endpoint", url, "-bucket", "bucket", "-find", "two", "-concurrency", "2"}, "", 0, "c", ""},
		{"file", []string{"-endpoint", url, "-event", file}, "", 0, "2", ""},
		{"standard input", []string{"-endpoint", url, "-event", "-"}, `{"s3_bucket_name":"bucket","find":"one"}`, 0, "a b+", ""},
		// What Lambda would response to what is wrong.
		{"bad event", []string{"-endpoint", url, "-event", "-"}, `{`, 1, fetch.InvalidEvent, ""},
		{"no such bucket", []string{"-endpoint", url, "-bucket", "gone"}, "", 1, fetch.NoSuchBucket, ""},
		{"unknown client", []string{"-endpoint", url, "-bucket", "bucket", "-client", "curl"}, "", 1, fetch.InvalidEvent, ""},
		{"concurrency 0 is not auto", []string{"-endpoint", url, "-bucket", "bucket", "-concurrency", "0"}, "", 1, fetch.InvalidEvent, ""},
		// Wrong usage never reads anything.
		{"no endpoint", []string{"-bucket", "bucket"}, "", 2, "", "error: no endpoint: give -endpoint"},
		{"both endpoints", []string{"-bucket", "bucket", "-aws", "-endpoint", url}, "", 2, "",
			"error: -endpoint and -aws are mutually exclusive"},
		{"no event", []string{"-endpoint", url}, "", 2, "", "error: no event: give -event or -bucket"},
		{"two events", []string{"-endpoint", url, "-event", file, "-find", "x"}, "", 2, "", "error: -event and the event's own flags"},
		{"argument", []string{"-endpoint", url, "-bucket", "b", "extra"}, "", 2, "", `error: unexpected argument "extra"`},
		{"unknown flag", []string{"-frob"}, "", 2, "", "error: flag provided but not defined: -frob\nhint: "},
		{"a number that is none", []string{"-endpoint", url, "-bucket", "b", "-concurrency", "8x"}, "", 2, "",
			`error: invalid value "8x" for flag -concurrency: must be a whole number` + "\nhint: "},
		{"a time without a unit", []string{"-endpoint", url, "-bucket", "b", "-timeout", "5"}, "", 2, "",
			`error: invalid value "5" for flag -timeout: must be a number with a unit, such as 90s or 5m` + "\nhint: "},
		{"a negative time", []string{"-endpoint", url, "-bucket", "b", "-timeout", "-5s"}, "", 2, "",
			"error: -timeout -5s: must not be negative"},
		{"a string that no event can hold", []string{"-endpoint", url, "-bucket", "b", "-find", "\xff"}, "", 2, "",
			`error: -find "\xff": must be UTF-8`},
		{"a prefix that none can", []string{"-endpoint", url, "-bucket", "b", "-folder", "\xff"}, "", 2, "",
			`error: -folder "\xff": must be UTF-8`},
		{"missing file", []string{"-endpoint", url, "-event", file + "x"}, "", 1, "", "error: read the event: open "},
		{"help", []string{"-h"}, "", 0, "", "usage: local "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("AWS_ENDPOINT_URL_S3", "")
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), tc.args, strings.NewReader(tc.stdin), &stdout, &stderr); status != tc.status {
				t.Errorf("status %d, want %d", status, tc.status)
			}
			if !strings.Contains(stderr.String(), tc.stderr) {
				t.Errorf("said %q, want %q", stderr.String(), tc.stderr)
			}
			if tc.response == "" {
				if stdout.Len() > 0 {
					t.Errorf("answered %s", stdout.String())
				}
				return
			}
			var response struct{ Result, ErrorType string }
			if err := json.Unmarshal(stdout.Bytes(), &response); err != nil || response.Result+response.ErrorType != tc.response {
				t.Errorf("answered %s, want %s", stdout.String(), tc.response)
			}
		})
	}
}

// TestInterruptedInput: a signal ends the wait for an event that does not come.
func TestInterruptedInput(t *testing.T) {
	environment(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stdin, never := io.Pipe()
	defer func() { _ = never.Close() }()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"-aws", "-event", "-"}, stdin, &stdout, &stderr)
	if want := "error: read the event from standard input: context canceled\n"; status != 1 || !strings.HasPrefix(stderr.String(), want) {
		t.Errorf("status %d, said %q, want %q", status, stderr.String(), want)
	}
}

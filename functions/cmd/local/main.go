// Command local is the local entry point: the same handler as in Lambda, in a
// process of one's own, for a first look and for a debugger.
//
//	local -endpoint https://127.0.0.1:9000 -bucket photos -find needle
//	local -aws -event event.json
//	echo '{"s3_bucket_name":"photos"}' | local -aws -event -
//
// It prints what Lambda would answer: the response, or errorType and
// errorMessage with exit status 1.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/config"

	"fanout/functions/fetch"
	"fanout/functions/scan"
	"fanout/functions/store"
	_ "fanout/functions/store/sdk" // stock, tuned and the shared configuration
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// settings is what the command line says.
type settings struct {
	eventFile string
	endpoint  string
	aws       bool
	timeout   time.Duration
	event     fetch.Event
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "error: %v\nhint: run with -h for the flags\n", err)
		return 2
	}
	payload, err := s.payload(ctx, stdin)
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\nhint: -event takes a file, or - for standard input\n", err)
		return 1
	}
	cfg, err := fetch.ConfigFromEnv(os.Getenv, store.Default)
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\nhint: unset it or correct it\n", err)
		return 2
	}
	if err := s.setEndpoint(); err != nil {
		fmt.Fprintf(stderr, "error: set the endpoint: %v\nhint: see -endpoint\n", err)
		return 2
	}
	if err := s.setRegion(ctx); err != nil {
		fmt.Fprintf(stderr, "error: %v\nhint: set AWS_REGION, such as us-east-1, or see your AWS profile\n", err)
		return 2
	}
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	handler := scan.New(fetch.New(cfg, func(ctx context.Context, client string) (fetch.Store, error) {
		return store.Open(ctx, client)
	}))
	response, err := handler.Invoke(ctx, payload)
	status := 0
	if err != nil {
		status = 1
		if response, err = json.Marshal(err); err != nil {
			fmt.Fprintf(stderr, "error: encode the response: %v\nhint: please report this\n", err)
			return 1
		}
	}
	if _, err := fmt.Fprintf(stdout, "%s\n", response); err != nil {
		fmt.Fprintf(stderr, "error: write the response: %v\nhint: see where standard output goes\n", err)
		return 1
	}
	return status
}

// environmentEndpoint says whether the environment has an endpoint, and does not
// have it ignored.
func environmentEndpoint() bool {
	return (os.Getenv("AWS_ENDPOINT_URL_S3") != "" || os.Getenv("AWS_ENDPOINT_URL") != "") &&
		!strings.EqualFold(os.Getenv(ignoreEndpoints), "true")
}

// ignoreEndpoints is the variable that has the SDK ignore what environment and
// profile say of endpoints, if it is true.
const ignoreEndpoints = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"

// setEndpoint makes -endpoint, -aws or the environment's endpoint count, whatever
// a profile has: without -aws, nothing is read from AWS.
func (s settings) setEndpoint() error {
	switch {
	case s.aws:
		return os.Setenv(ignoreEndpoints, "true")
	case s.endpoint != "":
		return errors.Join(os.Setenv("AWS_ENDPOINT_URL_S3", s.endpoint), os.Setenv(ignoreEndpoints, "false"))
	}
	return os.Setenv(ignoreEndpoints, "false")
}

// defaultRegion is what requests to another S3 than AWS's are signed for unless
// a region is set: most such servers expect this one, or take any.
const defaultRegion = "us-east-1"

// setRegion makes sure that there is a region, from environment or profile: with
// an endpoint that is not AWS's, the default one.
func (s settings) setRegion(ctx context.Context) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read the AWS configuration: %w", err)
	case cfg.Region != "":
		return nil
	case s.aws:
		return errors.New("no region: -aws needs the bucket's")
	}
	return os.Setenv("AWS_REGION", defaultRegion)
}

// eventFlags are the flags that build an event.
var eventFlags = map[string]bool{"bucket": true, "folder": true, "find": true, "concurrency": true, "client": true, "continue": true}

// value gives what sets a flag's value: what is allowed is the error of one that
// cannot be read.
func value[T any](to *T, read func(string) (T, error), allowed string) func(string) error {
	return func(text string) error {
		v, err := read(text)
		if err != nil {
			return errors.New(allowed)
		}
		*to = v
		return nil
	}
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	var find string
	var concurrency int
	var continueOnError bool
	f := flag.NewFlagSet("local", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&s.eventFile, "event", "", "read the event from this `file` (-: standard input)")
	f.StringVar(&s.event.Bucket, "bucket", "", "event: s3_bucket_name")
	f.StringVar(&s.event.Folder, "folder", "", "event: key prefix")
	f.StringVar(&find, "find", "", "event: string to find (left out: count)")
	f.Func("concurrency", "event: `goroutines`, 1 to 1024 (left out: CONCURRENCY, else auto)",
		value(&concurrency, strconv.Atoi, "must be a whole number"))
	f.StringVar(&s.event.Client, "client", "", "event: client (left out: CLIENT, else "+store.Default+")")
	f.BoolVar(&continueOnError, "continue", false, "event: on_error continue")
	f.StringVar(&s.endpoint, "endpoint", "", "S3 endpoint `URL`, such as https://127.0.0.1:9000; the region is "+defaultRegion+" unless set")
	f.BoolVar(&s.aws, "aws", false, "read from AWS itself")
	f.Func("timeout", "`time` limit, as a function's (0: none, good under a debugger)",
		value(&s.timeout, time.ParseDuration, "must be a number with a unit, such as 90s or 5m"))
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.SetOutput(stderr)
			fmt.Fprintln(stderr, "usage: local (-endpoint URL | -aws) (-event FILE | -bucket NAME [flags])")
			f.PrintDefaults()
		}
		return s, err
	}
	fromFlags := false
	f.Visit(func(fl *flag.Flag) {
		fromFlags = fromFlags || eventFlags[fl.Name]
		switch fl.Name {
		case "find":
			s.event.Find = &find
		case "concurrency":
			s.event.Concurrency = &concurrency
		}
	})
	if continueOnError {
		s.event.OnError = fetch.OnErrorContinue
	}
	switch {
	case f.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case s.eventFile != "" && fromFlags:
		return s, errors.New("-event and the event's own flags are mutually exclusive")
	case s.eventFile == "" && s.event.Bucket == "":
		return s, errors.New("no event: give -event or -bucket")
	case !utf8.ValidString(find):
		return s, fmt.Errorf("-find %q: must be UTF-8, since an event is JSON", find)
	case !utf8.ValidString(s.event.Folder):
		return s, fmt.Errorf("-folder %q: must be UTF-8, as keys are", s.event.Folder)
	case s.endpoint != "" && s.aws:
		return s, errors.New("-endpoint and -aws are mutually exclusive")
	case s.endpoint == "" && !s.aws && !environmentEndpoint():
		return s, errors.New("no endpoint: give -endpoint (or AWS_ENDPOINT_URL_S3), or -aws to read from AWS itself")
	case s.timeout < 0:
		return s, fmt.Errorf("-timeout %v: must not be negative", s.timeout)
	}
	return s, nil
}

func (s settings) payload(ctx context.Context, stdin io.Reader) ([]byte, error) {
	switch s.eventFile {
	case "":
		return json.Marshal(s.event)
	case "-":
		payload, err := readAll(ctx, stdin)
		if err != nil {
			return nil, fmt.Errorf("read the event from standard input: %w", err)
		}
		return payload, nil
	}
	payload, err := os.ReadFile(s.eventFile)
	if err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	return payload, nil
}

// readAll reads to the end, or until ctx does: a signal alone does not end a read.
func readAll(ctx context.Context, from io.Reader) ([]byte, error) {
	var all []byte
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		all, err = io.ReadAll(from)
	}()
	select {
	case <-done:
		return all, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

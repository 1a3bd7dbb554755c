package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"fanout/bench/internal/lab"
	"fanout/bench/internal/network"
	"fanout/bench/internal/objects"
	"fanout/bench/internal/scan"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
	"fanout/functions/outputs"
)

// faultLab is a stack with a scan, in this process, so that a test can have
// things go wrong in it.
type faultLab struct {
	*lab.Lab
	*cloud
	t    *testing.T
	spec corpus.Spec
	dir  string // of the function's program
	home string // where the command runs
}

// faultBatch is how many objects a batch has in these tests.
const faultBatch = 50

func startFaultLab(t *testing.T, change func(*lab.Config)) *faultLab {
	t.Helper()
	build(t, "fanout", "faulty")
	f := &faultLab{t: t, spec: corpus.Default(), dir: t.TempDir(), home: t.TempDir()}
	f.spec.Count, f.spec.MaxBytes = 10*faultBatch, 2000
	program, err := os.ReadFile(filepath.Join(bins, "faulty", "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "bootstrap"), program, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := lab.Config{
		Contenders: []lab.Contender{{
			Name: outputs.GoContender, Path: func(string) string { return filepath.Join(f.dir, "bootstrap") },
		}},
		Architectures: []string{lambda.HostArchitecture()}, MemoriesMB: []int{256}, Timeout: 30 * time.Second,
		Network: network.None, Corpus: f.spec, Jobs: true,
	}
	if change != nil {
		change(&cfg)
	}
	if f.Lab, err = lab.Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := f.Seed(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(f.spec)
	if err != nil {
		t.Fatal(err)
	}
	f.cloud = &cloud{env: f.Exports()}
	f.formation(t, map[string]string{
		"Bucket": lab.Bucket, "Prefix": f.spec.Prefix, "Region": lab.Region, "Objects": string(text),
		"Fetch256Arn":         fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", lab.Region, lab.Account, f.Targets[0].Function),
		"ScanStateMachineArn": f.Machines[0].ARN, "ScanResultsBucket": lab.Results,
	})
	return f
}

// fault has the function go wrong.
func (f *faultLab) fault(what string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, "fault"), []byte(what), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// scan runs fanout scan, or one of its subcommands, on the job.
func (f *faultLab) scan(args ...string) (status int, stdout, stderr string) {
	f.t.Helper()
	cmd := f.fanout(f.t, append([]string{"scan"}, args...)...)
	cmd.Dir = f.home
	return says(f.t, cmd)
}

// start starts the job, with what else is asked for.
func (f *faultLab) start(args ...string) (status int, stdout, stderr string) {
	f.t.Helper()
	return f.scan(append([]string{
		"--stack", "Fanout", "--find", f.spec.Needle, "--batch", fmt.Sprint(faultBatch), "--max-concurrency", "4", "--job", "j", "--out", "r",
	}, args...)...)
}

// complete wants a right and complete answer.
func (f *faultLab) complete(what string, status int, stdout, stderr string) {
	f.t.Helper()
	if status != 0 || stdout != f.spec.Key(f.spec.NeedleObject())+"\n" {
		f.t.Errorf("%s: status %d, matches %q", what, status, stdout)
	}
	like(f.t, what, stderr, `^job j: complete$`)
	like(f.t, what, stderr, `as the objects' seed has it, and so is the match$`)
}

// redrive reads the rest.
func (f *faultLab) redrive() {
	f.t.Helper()
	status, stdout, stderr := f.scan("redrive", "--stack", "Fanout", "--out", "r", "j")
	f.complete("redriven", status, stdout, stderr)
}

// firstOf is the first key of a batch.
func (f *faultLab) firstOf(batch int) string { return f.spec.Key(batch * faultBatch) }

// What goes wrong and passes costs nothing of the answer.
func TestScanGetsOver(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*lab.Config)
		args   []string
		fault  func(f *faultLab)
	}{
		// The merge reads what a batch has not.
		{"a batch that is always killed, and tolerated", nil, []string{"--tolerate", "100%"},
			func(f *faultLab) { f.fault("kill always " + f.firstOf(3)) }},
		{"S3 503 storm", nil, nil, func(f *faultLab) { f.S3.Storm(2000, 0) }},
		{"resets and short bodies", nil, nil, func(f *faultLab) {
			if err := f.S3.SetFaults(objects.Faults{SlowDown: 0.02, Reset: 0.02, Short: 0.02}); err != nil {
				f.t.Fatal(err)
			}
		}},
		{"every batch's function is killed once", nil, nil, func(f *faultLab) { f.fault("kill once *") }},
		{"time-out once", func(c *lab.Config) { c.Timeout = 3 * time.Second }, nil, func(f *faultLab) { f.fault("hang once " + f.firstOf(3)) }},
		{"out of memory once", nil, nil, func(f *faultLab) { f.fault("grow once " + f.firstOf(0)) }},
		{"429 from every invoke beyond one at once", func(c *lab.Config) { c.Concurrency = 1 }, nil, func(*faultLab) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if strings.Contains(tc.name, "always") { // tried five times more, ever later
				t.Parallel()
			}
			f := startFaultLab(t, tc.change)
			tc.fault(f)
			status, stdout, stderr := f.start(tc.args...)
			f.complete(tc.name, status, stdout, stderr)
		})
	}
}

// What stays wrong is named, and redriven to the right answer once it is put
// right.
func TestScanNamesWhatIsLeft(t *testing.T) {
	key := func(f *faultLab) string { return f.spec.Key(123) }
	for _, tc := range []struct {
		name   string
		change func(*lab.Config)
		args   []string
		fault  func(f *faultLab)
		want   []string
		repair func(f *faultLab)
	}{
		{"missing key", nil, nil,
			func(f *faultLab) { f.S3.SetKeyFault(lab.Bucket, key(f), objects.Missing) },
			[]string{`^job j: incomplete: 1 object was not read$`, `^499 of the 500 objects listed were read`,
				`^not read: 1 object: NoSuchKey, such as objects/object-000123: `, `^hint: objects that were removed after they were listed`},
			func(f *faultLab) { f.S3.SetKeyFault(lab.Bucket, key(f), objects.Readable) }},
		{"AccessDenied on a key", nil, nil,
			func(f *faultLab) { f.S3.SetKeyFault(lab.Bucket, key(f), objects.Denied) },
			[]string{`^not read: 1 object: AccessDenied, such as objects/object-000123: `,
				`^error: job j: 1 object was not read\nhint: fanout scan redrive --stack Fanout j reads what is missing$`},
			func(f *faultLab) { f.S3.SetKeyFault(lab.Bucket, key(f), objects.Readable) }},
		{"a batch that always times out", func(c *lab.Config) { c.Timeout = 2 * time.Second }, nil,
			func(f *faultLab) { f.fault("hang always " + f.firstOf(3)) },
			[]string{`^job j: incomplete: [0-9]+ objects were not read$`, `^not read: [0-9]+ objects in batches that failed or were stopped$`},
			func(f *faultLab) { f.fault("hang once none") }},
		{"a batch that is always out of memory, and nothing tolerated", nil, nil,
			func(f *faultLab) { f.fault("grow always " + f.firstOf(0)) },
			[]string{`^job j: incomplete: [0-9]+ objects were not read$`},
			func(f *faultLab) { f.fault("grow once none") }},
		{"a part lost before the merge", nil, nil,
			func(f *faultLab) { f.S3.SetKeyFault(lab.Bucket, key(f), objects.Denied) },
			[]string{`^job j: incomplete: 1 object was not read$`},
			func(f *faultLab) {
				f.S3.SetKeyFault(lab.Bucket, key(f), objects.Readable)
				parts, err := f.S3Client().ListObjectsV2(f.t.Context(), &s3.ListObjectsV2Input{
					Bucket: aws.String(lab.Results), Prefix: aws.String("jobs/j/parts/"),
				})
				if err != nil || len(parts.Contents) != 10 {
					f.t.Fatalf("%d parts, %v", len(parts.Contents), err)
				}
				for _, part := range parts.Contents[2:4] {
					in := &s3.DeleteObjectInput{Bucket: aws.String(lab.Results), Key: part.Key}
					if _, err := f.S3Client().DeleteObject(f.t.Context(), in); err != nil {
						f.t.Fatal(err)
					}
				}
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if strings.Contains(tc.name, "always") { // tried five times more, ever later
				t.Parallel()
			}
			f := startFaultLab(t, tc.change)
			tc.fault(f)
			status, _, stderr := f.start(tc.args...)
			if status != 1 {
				t.Errorf("status %d", status)
			}
			for _, want := range tc.want {
				like(t, tc.name, stderr, want)
			}
			file, err := scan.ReadPath(filepath.Join(f.home, "r"))
			if err != nil || file.End.Reason != scan.Incomplete {
				t.Errorf("end %+v, %v", file.End, err)
			}
			tc.repair(f)
			f.redrive()
			if file, err := scan.ReadPath(filepath.Join(f.home, "r")); err != nil || file.End.Reason != scan.Complete || len(file.Marks) != 1 {
				t.Errorf("redriven: end %+v, %d marks, %v", file.End, len(file.Marks), err)
			}
		})
	}
}

// A job that was complete, and whose parts have changed since, is not called complete
// any more.
func TestScanPartsChange(t *testing.T) {
	f := startFaultLab(t, nil)
	status, stdout, stderr := f.start()
	f.complete("at first", status, stdout, stderr)
	bucket := aws.String(lab.Results)
	parts, err := f.S3Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("jobs/j/parts/")})
	if err != nil || len(parts.Contents) != 10 {
		t.Fatalf("%d parts, %v", len(parts.Contents), err)
	}
	put := func(part int, body string) {
		in := &s3.PutObjectInput{Bucket: bucket, Key: parts.Contents[part].Key, Body: strings.NewReader(body)}
		if _, err := f.S3Client().PutObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name   string
		change func()
		want   string
	}{
		{"another answer", func() { put(0, `{"keys":50,"objects":50,"digest":"0000000000000000"}`) },
			`^error: job j: its parts have changed since it ended: they now add up to 500 objects, `},
		{"a smaller part", func() { put(0, `{"keys":5,"objects":5,"digest":"0000000000000000"}`) },
			`^error: job j: its parts have changed since it ended: they now have 455 keys, and had 500\nhint: .*: scan again$`},
		{"a part gone", func() {
			if _, err := f.S3Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: parts.Contents[0].Key}); err != nil {
				t.Fatal(err)
			}
		}, `they now have 450 keys, and had 500\n`},
		{"a part that contradicts itself", func() { put(1, `{"keys":50,"objects":0,"digest":"0000000000000000"}`) },
			`^error: s3://.*\.json is damaged: part: 50 keys, but 0 objects and 0 failures\nhint: .*scan again`},
	} {
		tc.change()
		status, _, stderr := f.scan("result", "--stack", "Fanout", "--out", "r", "j")
		if status != 1 {
			t.Errorf("%s: status %d", tc.name, status)
		}
		like(t, tc.name, stderr, tc.want)
		if strings.Contains(stderr, "complete") || strings.Contains(stderr, "redrive --stack") {
			t.Errorf("%s: said\n%s", tc.name, stderr)
		}
	}
}

// Objects of every kind: the longest keys, all sorts of characters, folders'
// placeholders, nothing at all, and a large one among small ones.
func TestScanOddObjects(t *testing.T) {
	f := startFaultLab(t, func(c *lab.Config) { c.Timeout = 2 * time.Minute }) // a GB at a seventh of a vCPU
	const prefix = "odd/"
	bodies := map[string]string{
		"folder/": "", "folder/folder/": "", "empty": "", "a b+c%2Fd": f.spec.Needle, "é/日本/\U0001F600": "x" + f.spec.Needle,
		"tab\tnewline\n": f.spec.Needle + f.spec.Needle, "ctl\x01\x7f": "y", "quote\"back\\slash'": "z", "//": "w", "../..": "v",
		"=1+1": f.spec.Needle,
	}
	for i := range 300 { // of which 256 KiB hold less than faultBatch
		bodies[strings.Repeat("k", 1024-len(prefix)-3)+fmt.Sprintf("%03d", i)] = "body"
	}
	var want fetch.Digest
	var size int64
	for key, body := range bodies {
		if _, err := f.S3Client().PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String(lab.Bucket), Key: aws.String(prefix + key), Body: strings.NewReader(body),
		}); err != nil {
			t.Fatal(err)
		}
		want.Add(prefix+key, fetch.BodyCRC(0, []byte(body)))
		size += int64(len(body))
	}
	large := corpus.Spec{Count: 1, MinBytes: 1 << 30, MaxBytes: 1 << 30, Seed: 1, Needle: "NotThis", Prefix: prefix + "large/"}
	if err := f.S3.Generate(t.Context(), lab.Bucket, large, nil); err != nil {
		t.Fatal(err)
	}
	_, digest := large.Expect()
	want.Merge(digest)
	size += 1 << 30

	status, stdout, stderr := f.start("--prefix", prefix, "--batch", "1000", "--format", "jsonl", "--locate")
	if status != 0 {
		t.Fatalf("status %d:\n%s", status, stderr)
	}
	file, err := scan.ReadPath(filepath.Join(f.home, "r"))
	if err != nil || file.Summary == nil {
		t.Fatal(err)
	}
	if s := file.Summary; s.Objects != int64(len(bodies))+1 || s.Bytes != size || s.Digest != want.String() || s.Matches != 4 || s.Parts < 2 {
		t.Errorf("sum %+v, want %d objects of %d bytes with digest %s", s, len(bodies)+1, size, want)
	}
	found := map[string]int64{}
	for line := range strings.Lines(stdout) {
		var m fetch.Match
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.Offset == nil {
			t.Fatalf("%q: %v", line, err)
		}
		found[strings.TrimPrefix(m.Key, prefix)] = *m.Offset
	}
	if len(found) != 4 || found["a b+c%2Fd"] != 0 || found["é/日本/\U0001F600"] != 1 || found["tab\tnewline\n"] != 0 || found["=1+1"] != 0 {
		t.Errorf("found %v", found)
	}
	status, stdout, stderr = f.scan("result", "--stack", "Fanout", "j")
	if status != 0 || !strings.Contains(stdout, "\n\"odd/tab\\tnewline\\n\"\t0\t") {
		t.Errorf("as text: status %d, %q, said %s", status, stdout, stderr)
	}
}

// A connection that breaks for a while ends nothing: the command goes on when it
// is back.
func TestScanBrokenConnection(t *testing.T) {
	f := startFaultLab(t, nil)
	proxy := newFlaky(t, f.env["AWS_ENDPOINT_URL_SFN"])
	f.env["AWS_ENDPOINT_URL_SFN"], f.env["AWS_MAX_ATTEMPTS"] = proxy.URL, "1"
	status, stdout, stderr := f.start("--batch", "5")
	f.complete("flaky", status, stdout, stderr)
	like(t, "flaky", stderr, `^warning: .* job j: .*; trying again$`)
	if proxy.broken.Load() == 0 {
		t.Error("no call was broken off")
	}
}

// flaky passes calls of an API on, but breaks off the first one for a Map Run's
// counts, and every second one after it.
type flaky struct {
	*httptest.Server
	calls, broken atomic.Int64
}

func newFlaky(t *testing.T, to string) *flaky {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	p := &flaky{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("X-Amz-Target"), "DescribeMapRun") && p.calls.Add(1)%2 == 1 {
			p.broken.Add(1)
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// An S3 Inventory in place of a listing: its keys, URL-encoded as they are in
// CSV, are read like any others. One of another bucket is refused.
func TestScanInventory(t *testing.T) {
	f := startFaultLab(t, nil)
	for _, key := range []string{"a b+c%2Fd", "é/日本/\U0001F600", "tab\tnewline\n", "folder/", "ctl\x01", "quote\"comma,"} {
		in := &s3.PutObjectInput{Bucket: aws.String(lab.Bucket), Key: aws.String("odd/" + key), Body: strings.NewReader(f.spec.Needle)}
		if _, err := f.S3Client().PutObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	bucket, key, err := f.Inventory(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := f.start("--inventory", "s3://"+bucket+"/"+key, "--format", "jsonl")
	if status != 0 || strings.Count(stdout, "\n") != 7 || !strings.Contains(stdout, `"odd/tab\tnewline\n"`) {
		t.Errorf("status %d, matches\n%s\nsaid:\n%s", status, stdout, stderr)
	}
	file, err := scan.ReadPath(filepath.Join(f.home, "r"))
	if h := file.Header; err != nil || file.Summary == nil || file.Summary.Objects != 506 || !h.Input.Inventory.URLEncoded || h.Corpus != nil {
		t.Errorf("%+v, %v", file.Summary, err)
	}
	for manifest, want := range map[string]string{
		`{"sourceBucket":"another","fileFormat":"CSV"}`:        `^error: inventory s3://.* is of bucket "another"; the stack reads "fanout-lab"`,
		`{"sourceBucket":"fanout-lab","fileFormat":"ORC"}`:     `^error: inventory s3://.* is in format "ORC", which Step Functions`,
		`{"sourceBucket":"fanout-lab","fileFormat":"Parquet"}`: `^error: inventory s3://.* is in format "Parquet", which Step Functions`,
		"no JSON": `^error: inventory s3://.*: invalid character`,
	} {
		in := &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("other/manifest.json"), Body: strings.NewReader(manifest)}
		if _, err := f.S3Client().PutObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		_, _, stderr := f.scan("--stack", "Fanout", "--find", "x", "--inventory", "s3://"+bucket+"/other/manifest.json")
		like(t, manifest, stderr, want)
	}
}

// An inventory that lists every object twice has batches of the very same keys,
// which leave one part: nothing of it is missing.
func TestScanInventoryTwice(t *testing.T) {
	f := startFaultLab(t, nil)
	bucket, key, err := f.Inventory(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := f.S3Client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close() //nolint:errcheck // only read from
	var manifest map[string]any
	if err := json.NewDecoder(out.Body).Decode(&manifest); err != nil {
		t.Fatal(err)
	}
	files := manifest["files"].([]any)
	manifest["files"] = append(files, files...)
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.S3Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(text)}); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := f.start("--inventory", "s3://"+bucket+"/"+key)
	if want := f.spec.Key(f.spec.NeedleObject()) + "\n"; status != 0 || stdout != want {
		t.Errorf("status %d, matches %q, said:\n%s", status, stdout, stderr)
	}
	like(t, "twice", stderr, `^1,?000 objects read, .*`)
	like(t, "twice", stderr, `^1 match$`)
}

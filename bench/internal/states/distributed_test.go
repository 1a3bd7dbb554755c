package states

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// reading is a distributed Map over the listed bucket with more fields, whose
// children call a function.
func reading(more string) string {
	return one(`{"Type":"Map","Label":"Read","End":true,
		"ItemReader":{"Resource":"arn:aws:states:::s3:listObjectsV2","Parameters":{"Bucket":"` + testBucket + `"}},
		"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"EXPRESS"},"StartAt":"T","States":{"T":{"Type":"Task",
		"Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","Payload.$":"$"},"OutputPath":"$.Payload","End":true}}},
		"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Parameters":{"Bucket":"` + testResults + `","Prefix":"out"}}` + more + `}`)
}

// keyed is the same with key-only items in batches of so many.
func keyed(items int, more string) string {
	return reading(fmt.Sprintf(`,"ItemSelector":{"Key.$":"$$.Map.Item.Value.Key"},"ItemBatcher":{"MaxItemsPerBatch":%d}%s`, items, more))
}

// keysOf gives the keys in a batch.
func keysOf(payload []byte) []string {
	var in struct{ Items []struct{ Key string } }
	_ = json.Unmarshal(payload, &in) // what is none has no keys
	keys := make([]string, len(in.Items))
	for i, item := range in.Items {
		keys[i] = item.Key
	}
	return keys
}

// ledger counts how often each key was handed to a function that answered well.
type ledger struct {
	mu   sync.Mutex
	keys map[string]int
}

func (l *ledger) add(keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[string]int{}
	}
	for _, k := range keys {
		l.keys[k]++
	}
}

// want says what is not as it should be: each of n keys, once.
func (l *ledger) want(t *testing.T, n int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, times := range l.keys {
		if times != 1 {
			t.Errorf("%s was read %d times", k, times)
		}
	}
	if len(l.keys) != n {
		t.Errorf("%d keys were read, want %d", len(l.keys), n)
	}
}

// files gives the records of each status that a Map Run's manifest leads to.
func (w *world) files(r *sfn.DescribeMapRunOutput, prefix string) map[string][]record {
	w.t.Helper()
	id := (*r.MapRunArn)[strings.LastIndex(*r.MapRunArn, ":")+1:]
	var m struct {
		DestinationBucket, MapRunArn string
		ResultFiles                  map[string][]struct {
			Key  string
			Size int
		}
	}
	if err := json.Unmarshal([]byte(w.getResult(prefix+id+"/manifest.json")), &m); err != nil {
		w.t.Fatal(err)
	}
	if m.DestinationBucket != testResults || m.MapRunArn != *r.MapRunArn || len(m.ResultFiles) != 3 {
		w.t.Errorf("manifest %+v", m)
	}
	all := map[string][]record{}
	for status, files := range m.ResultFiles {
		for i, f := range files {
			if want := fmt.Sprintf("%s%s/%s_%d.json", prefix, id, status, i); f.Key != want {
				w.t.Errorf("file %s, want %s", f.Key, want)
			}
			text := w.getResult(f.Key)
			var records []record
			if err := json.Unmarshal([]byte(text), &records); err != nil || len(text) != f.Size {
				w.t.Fatalf("%s: %d bytes, %v", f.Key, len(text), err)
			}
			all[status] = append(all[status], records...)
		}
	}
	return all
}

type record struct {
	ExecutionArn, Input, Name, Output, Error, Cause string
	RedriveStatus, RedriveStatusReason, StartDate   string
	StateMachineArn, Status, StopDate               string
	RedriveCount                                    *int
	InputDetails, OutputDetails                     *struct{ Included bool }
}

// An item of a listing, by the example of
// docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html.
func TestListedItem(t *testing.T) {
	w := newWorld(t)
	w.putObject(testBucket, "processData/images/n02085620_1073.jpg", "some bytes")
	var got string
	w.lambda.set(func(_ *http.Request, _ string, payload []byte) answer {
		got = string(payload)
		return answer{body: "1"}
	})
	if out := w.runOnce("m", reading(""), `{}`); out.Status != types.ExecutionStatusSucceeded {
		t.Fatalf("%s: %s", aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	var item struct {
		Etag, Key, StorageClass string
		LastModified, Size      int64
	}
	d := json.NewDecoder(strings.NewReader(got))
	d.DisallowUnknownFields()
	sum := md5.Sum([]byte("some bytes"))
	if err := d.Decode(&item); err != nil || item.Etag != `"`+hex.EncodeToString(sum[:])+`"` ||
		item.Key != "processData/images/n02085620_1073.jpg" ||
		item.StorageClass != "STANDARD" || item.LastModified < 1.7e9 || item.Size != 10 {
		t.Errorf("%s, %v", got, err)
	}
}

// Keys of 1,024 bytes, of unicode, control characters, and what XML, JSON and
// URLs escape come to the function as they are, and so do console folders.
func TestKeys(t *testing.T) {
	keys := []string{
		strings.Repeat("k", 1024), strings.Repeat("ü", 512), "folder/", "a b+c%20d", `q"u'o\t\e`, "<&>", "\x01\x02\x1f\x7f", "new\nline\r\t",
		"emoji 😀", "\u2028\ufffd", "./..//x", "?#[]", "\x00a",
	}
	w := newWorld(t)
	w.put(0, keys...)
	var l ledger
	w.lambda.set(func(_ *http.Request, _ string, payload []byte) answer {
		l.add(keysOf(payload))
		return answer{body: "1"}
	})
	out := w.runOnce("m", keyed(3, ""), `{}`)
	if out.Status != types.ExecutionStatusSucceeded {
		t.Fatalf("%s: %s", aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	l.want(t, len(keys))
	for _, k := range keys {
		if l.keys[k] != 1 {
			t.Errorf("%q was read %d times", k, l.keys[k])
		}
	}
}

// Batches, by the examples of
// docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html.
func TestBatches(t *testing.T) {
	w := newWorld(t)
	w.put(1130)
	for i, tc := range []struct {
		name    string
		batcher string
		want    []int // items of each batch, largest first
		err     string
	}{
		{"1,130 items in hundreds are 12 batches", `"MaxItemsPerBatch":100`, []int{100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 30},
			""},
		{"all in one, up to 256 KiB", `"MaxInputBytesPerBatch":262144`, []int{1130}, ""},
		// {"Items":[ and ]} are 12 bytes, an item {"Key":"k00000"} 16, and a comma before it
		{"by bytes: 12+16+17*59 = 1,031", `"MaxInputBytesPerBatch":1031`, sizes(60), ""},
		{"one byte less", `"MaxInputBytesPerBatch":1030`, sizes(59), ""},
		{"by both, bytes being fewer", `"MaxItemsPerBatch":100,"MaxInputBytesPerBatch":1031`, sizes(60), ""},
		{"by both, items being fewer", `"MaxItemsPerBatch":50,"MaxInputBytesPerBatch":1031`, sizes(50), ""},
		{"by paths", `"MaxItemsPerBatchPath":"$.n","MaxInputBytesPerBatchPath":"$.b"`, sizes(500), ""},
		{"with input, which counts", `"MaxInputBytesPerBatch":1055,"BatchInput":{"a.$":"$.n"}`, sizes(60), ""},
		{"a single item that is too large", `"MaxInputBytesPerBatch":27`, nil, errDataLimit},
		{"none at all", `"MaxItemsPerBatchPath":"$.zero"`, nil, errRuntime},
		{"a path to text", `"MaxItemsPerBatchPath":"$.text"`, nil, errRuntime},
		{"a path to a fraction", `"MaxItemsPerBatchPath":"$.half"`, nil, errRuntime},
	} {
		var mu sync.Mutex
		var got []int
		var l ledger
		w.lambda.set(func(_ *http.Request, _ string, payload []byte) answer {
			mu.Lock()
			defer mu.Unlock()
			keys := keysOf(payload)
			l.add(keys)
			got = append(got, len(keys))
			return answer{body: "1"}
		})
		text := reading(`,"ItemSelector":{"Key.$":"$$.Map.Item.Value.Key"},"ItemBatcher":{` + tc.batcher + `}`)
		out := w.runOnce(fmt.Sprintf("m%d", i), text, `{"n":500,"b":200000,"zero":0,"text":"x","half":2.5}`)
		if aws.ToString(out.Error) != tc.err {
			t.Errorf("%s: %s: %s, want %q", tc.name, aws.ToString(out.Error), aws.ToString(out.Cause), tc.err)
		}
		if tc.err != "" {
			continue
		}
		slices.Sort(got)
		slices.Reverse(got)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: batches of %v, want %v", tc.name, got, tc.want)
		}
		l.want(t, 1130)
	}
}

// sizes are 1,130 items in batches of most.
func sizes(most int) []int {
	var all []int
	for n := 1130; n > 0; n -= most {
		all = append(all, min(n, most))
	}
	return all
}

// No items are no children, and no failure.
func TestEmptyPrefix(t *testing.T) {
	w := newWorld(t)
	out := w.runOnce("m", keyed(10, ""), `{}`)
	r := w.mapRunOf(*out.ExecutionArn)
	if out.Status != types.ExecutionStatusSucceeded || r.ItemCounts.Total != 0 || w.lambda.count() != 0 {
		t.Errorf("%s, %+v, %d calls", out.Status, r.ItemCounts, w.lambda.count())
	}
	if files := w.files(r, "out/"); len(files) != 0 {
		t.Errorf("files %v", files)
	}
}

// What cannot be read is States.ItemReaderFailed, and a redrive reads again:
// docs.aws.amazon.com/step-functions/latest/dg/redrive-map-run.html#maprun-redrive-input.
func TestItemReaderFailed(t *testing.T) {
	w := newWorld(t)
	w.put(5)
	arn := w.begin(w.create("m", strings.Replace(keyed(2, ""), `"Bucket":"`+testBucket, `"Bucket.$":"$.b","Prefix":"`, 1)), "run",
		`{"b":"later"}`)
	out := w.wait(arn)
	if aws.ToString(out.Error) != errItemReader || !strings.Contains(aws.ToString(out.Cause), "NoSuchBucket") {
		t.Fatalf("%s: %s", aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	if _, err := w.s3.CreateBucket(t.Context(), bucketInput("later")); err != nil {
		t.Fatal(err)
	}
	w.putObject("later", "key", "x")
	if out = w.redrive(arn); out.Status != types.ExecutionStatusSucceeded || w.mapRunOf(arn).ItemCounts.Total != 1 {
		t.Errorf("%s %s: %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
	}
}

// Results that cannot be written are States.ResultWriterFailed. A redrive writes
// them, and runs no child again.
func TestResultWriterFailed(t *testing.T) {
	w := newWorld(t)
	w.put(5)
	text := strings.Replace(keyed(2, ""), `"Bucket":"`+testResults+`"`, `"Bucket":"nowhere"`, 1)
	out := w.runOnce("m", text, `{}`)
	if aws.ToString(out.Error) != errResultWriter {
		t.Fatalf("%s: %s", aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	if _, err := w.s3.CreateBucket(t.Context(), bucketInput("nowhere")); err != nil {
		t.Fatal(err)
	}
	calls := w.lambda.count()
	out = w.redrive(*out.ExecutionArn)
	if out.Status != types.ExecutionStatusSucceeded || w.lambda.count() != calls || calls != 3 {
		t.Errorf("%s %s after %d and %d calls", out.Status, aws.ToString(out.Error), calls, w.lambda.count())
	}
}

// An inventory, by the example of
// docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html: a
// row's values are strings, its key is as it is in the file.
func TestInventory(t *testing.T) {
	const rows = `"amzn-s3-demo-source-bucket","csvDataset/","0","2022-11-16T00:27:19.000Z"
"amzn-s3-demo-source-bucket","csvDataset/a+b%C3%BC%2B.csv","3399671","2022-11-16T00:29:32.000Z"
`
	zipped := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(text)) // a buffer takes it
		_ = z.Close()
		return b.String()
	}
	sum := func(text string) string {
		s := md5.Sum([]byte(text))
		return hex.EncodeToString(s[:])
	}
	manifest := func(format, schema, files string) string {
		return `{"sourceBucket":"amzn-s3-demo-source-bucket","destinationBucket":"arn:aws:s3:::` + testBucket + `","version":"2016-11-30",
			"creationTimestamp":"1668560400000","fileFormat":"` + format + `","fileSchema":"` + schema + `","files":[` + files + `]}`
	}
	const schema = "Bucket, Key, Size, LastModifiedDate"
	file := func(key, md5 string) string { return `{"key":"` + key + `","size":7300,"MD5checksum":"` + md5 + `"}` }
	w := newWorld(t)
	w.putObject(testBucket, "data/plain.csv", rows)
	w.putObject(testBucket, "data/zipped.csv.gz", zipped(rows))
	w.putObject(testBucket, "data/short.csv.gz", zipped(rows)[:40])
	w.putObject(testBucket, "data/odd.csv", `"a","b"`+"\n")
	all := `{"Bucket":"amzn-s3-demo-source-bucket","Key":"csvDataset/","Size":"0","LastModifiedDate":"2022-11-16T00:27:19.000Z"},` +
		`{"Bucket":"amzn-s3-demo-source-bucket","Key":"csvDataset/a+b%C3%BC%2B.csv","Size":"3399671",` +
		`"LastModifiedDate":"2022-11-16T00:29:32.000Z"}`
	for i, tc := range []struct {
		name, manifest, config string
		want                   string // items, or a part of the cause
	}{
		{"one file", manifest("CSV", schema, file("data/plain.csv", sum(rows))), `"InputType":"MANIFEST"`, all},
		{"the other name of the type", manifest("CSV", schema, file("data/plain.csv", sum(rows))), `"ManifestType":"S3_INVENTORY"`, all},
		{"compressed", manifest("CSV", schema, file("data/zipped.csv.gz", sum(zipped(rows)))), `"InputType":"MANIFEST"`, all},
		{"two files, of which the third row is the last", manifest("CSV", schema, file("data/zipped.csv.gz", "")+","+file("data/plain.csv", "")),
			`"InputType":"MANIFEST","MaxItems":3`, all + "," + strings.Split(all, ",{")[0]},
		{"no files", manifest("CSV", schema, ""), `"InputType":"MANIFEST"`, ""},
		{"Parquet", manifest("Parquet", schema, file("data/plain.csv", "")), `"InputType":"MANIFEST"`,
			`its fileFormat is "Parquet": only inventories in CSV can be read`},
		{"ORC", manifest("ORC", schema, ""), `"InputType":"MANIFEST"`, `its fileFormat is "ORC"`},
		{"without keys", manifest("CSV", "Bucket, Size", ""), `"InputType":"MANIFEST"`, `has no Key`},
		{"another checksum", manifest("CSV", schema, file("data/plain.csv", strings.Repeat("0", 32))), `"InputType":"MANIFEST"`,
			"the manifest says 000"},
		{"a file that is not there", manifest("CSV", schema, file("data/none.csv", "")), `"InputType":"MANIFEST"`, "NoSuchKey"},
		{"a file that is cut short", manifest("CSV", schema, file("data/short.csv.gz", "")), `"InputType":"MANIFEST"`, "unexpected EOF"},
		{"rows of other columns", manifest("CSV", schema, file("data/odd.csv", "")), `"InputType":"MANIFEST"`, "wrong number of fields"},
		{"no manifest", "hello", `"InputType":"MANIFEST"`, "it is no manifest of an S3 Inventory"},
	} {
		key := fmt.Sprintf("inventory-%d/manifest.json", i)
		w.putObject(testBucket, key, tc.manifest)
		var got string
		w.lambda.set(func(_ *http.Request, _ string, payload []byte) answer {
			got = string(payload)
			return answer{body: "1"}
		})
		text := strings.Replace(reading(`,"ItemBatcher":{"MaxItemsPerBatch":10}`),
			`{"Resource":"arn:aws:states:::s3:listObjectsV2","Parameters":{"Bucket":"`+testBucket+`"}`,
			`{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{`+tc.config+`},"Parameters":{"Bucket":"`+testBucket+`","Key.$":"$.key"}`, 1)
		out := w.runOnce(fmt.Sprintf("m%d", i), text, `{"key":"`+key+`"}`)
		if out.Status == types.ExecutionStatusFailed {
			if aws.ToString(out.Error) != errItemReader || !strings.Contains(aws.ToString(out.Cause), tc.want) || strings.HasPrefix(tc.want, "{") {
				t.Errorf("%s: %s: %s, want %s", tc.name, aws.ToString(out.Error), aws.ToString(out.Cause), tc.want)
			}
			continue
		}
		if want := `{"Items":[` + tc.want + `]}`; got != want && tc.want+got != "" {
			t.Errorf("%s: %s, want %s", tc.name, got, want)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"destinationBucket":"arn:aws:s3:::b","fileFormat":"CSV","fileSchema":"Bucket, Key",
		"files":[{"key":"k","MD5checksum":"m"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseManifest(text)
		if err == nil && (m.Bucket == "" || m.Format != "CSV" || !slices.Contains(m.columns, "Key")) {
			t.Errorf("%+v", m)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add([]byte("\"b\",\"k\"\n\"b\",\"k,2\"\n"))
	f.Add([]byte{0x1f, 0x8b, 8})
	columns := []string{"Bucket", "Key"}
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = readRows(bytes.NewReader(text), columns, func(row any) error {
			if !json.Valid(encodeValue(row)) {
				t.Errorf("%q", encodeValue(row))
			}
			return nil
		})
	})
}

func FuzzContents(f *testing.F) {
	f.Add([]byte(`<ListBucketResult><Contents><Key>a%20b</Key>` +
		`<LastModified>2022-11-16T00:27:19.000Z</LastModified><ETag>&quot;x&quot;</ETag>` +
		`<Size>1</Size><StorageClass>STANDARD</StorageClass></Contents><IsTruncated>false</IsTruncated></ListBucketResult>`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		n := 0
		err := parseContents(doc, func(o *listed) error {
			n++
			if !json.Valid(encodeValue(o)) || o.key == "" {
				t.Errorf("%q", encodeValue(o))
			}
			return nil
		})
		if left := withoutContents(doc); err == nil && n > 0 && len(left) >= len(doc) {
			t.Errorf("%d objects are still in %q", n, left)
		}
	})
}

// Too many failures, by
// docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html#maprun-fail-threshold.
func TestThreshold(t *testing.T) {
	w := newWorld(t)
	w.put(100)
	for i, tc := range []struct {
		name   string
		fields string
		fail   int // of ten batches of ten
		want   string
	}{
		{"nothing is tolerated by default", ``, 1, errThreshold},
		{"nothing has failed", ``, 0, ""},
		{"0%", `,"ToleratedFailurePercentage":0`, 1, errThreshold},
		{"10%", `,"ToleratedFailurePercentage":10`, 1, ""},
		{"9.5%", `,"ToleratedFailurePercentage":9.5`, 1, errThreshold},
		{"by path", `,"ToleratedFailurePercentagePath":"$.percent"`, 2, ""},
		{"all may fail", `,"ToleratedFailurePercentage":100`, 10, ""},
		{"10 items", `,"ToleratedFailureCount":10`, 1, ""},
		{"20 of 10 items", `,"ToleratedFailureCountPath":"$.count"`, 2, errThreshold},
		{"no item", `,"ToleratedFailureCount":0`, 1, errThreshold},
		{"either: the count", `,"ToleratedFailureCount":10,"ToleratedFailurePercentage":50`, 2, errThreshold},
		{"either: the percentage", `,"ToleratedFailureCount":50,"ToleratedFailurePercentage":10`, 2, errThreshold},
	} {
		var n atomic.Int64
		w.lambda.set(func(*http.Request, string, []byte) answer {
			if n.Add(1) <= int64(tc.fail) {
				return answer{functionError: true, body: `{"errorType":"E"}`}
			}
			return answer{body: "1"}
		})
		out := w.runOnce(fmt.Sprintf("m%d", i), keyed(10, tc.fields), `{"percent":20,"count":10}`)
		r := w.mapRunOf(*out.ExecutionArn)
		status := types.MapRunStatusSucceeded
		if tc.want != "" {
			status = types.MapRunStatusFailed
		}
		if aws.ToString(out.Error) != tc.want || r.Status != status {
			t.Errorf("%s: %s %s: %s, want %q", tc.name, r.Status, aws.ToString(out.Error), aws.ToString(out.Cause), tc.want)
		}
		c := r.ItemCounts
		if sum := c.Pending + c.Running + c.Succeeded + c.Failed + c.TimedOut + c.Aborted; sum != c.Total || c.Running != 0 {
			t.Errorf("%s: %+v", tc.name, c)
		}
		if tc.want == "" && (c.Failed != int64(tc.fail)*10 || c.Succeeded != 100-c.Failed || c.ResultsWritten != 100) {
			t.Errorf("%s: %+v", tc.name, c)
		}
	}
}

// A Map Run that failed has all its children in its files, and a redrive runs
// those that did not succeed, and no other:
// docs.aws.amazon.com/step-functions/latest/dg/redrive-map-run.html,
// docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html.
func TestRedriveMapRun(t *testing.T) {
	w := newWorld(t)
	w.put(95)
	var l ledger
	var broken atomic.Bool
	broken.Store(true)
	w.lambda.set(func(r *http.Request, _ string, payload []byte) answer {
		keys := keysOf(payload)
		if broken.Load() && slices.Contains(keys, "k00042") {
			return answer{functionError: true, body: `{"errorType":"E","errorMessage":"<m>"}`}
		}
		l.add(keys)
		return answer{body: fmt.Sprintf(`{"n":%d}`, len(keys))}
	})
	out := w.runOnce("m", keyed(10, `,"MaxConcurrency":1`), `{}`)
	arn := *out.ExecutionArn
	r := w.mapRunOf(arn)
	c := r.ExecutionCounts
	if aws.ToString(out.Error) != errThreshold || r.Status != types.MapRunStatusFailed || c.Succeeded != 4 || c.Failed != 1 || c.Pending != 5 {
		t.Fatalf("%s, %+v", aws.ToString(out.Error), c)
	}
	files := w.files(r, "out/")
	if len(files["SUCCEEDED"]) != 4 || len(files["FAILED"]) != 1 || len(files["PENDING"]) != 5 {
		t.Fatalf("%d succeeded, %d failed, %d pending", len(files["SUCCEEDED"]), len(files["FAILED"]), len(files["PENDING"]))
	}
	ok, bad, rest := files["SUCCEEDED"][0], files["FAILED"][0], files["PENDING"][4]
	if ok.Status != "SUCCEEDED" || ok.Output != `{"n":10}` || ok.RedriveStatus != "NOT_REDRIVABLE" || *ok.RedriveCount != 0 ||
		ok.RedriveStatusReason != "Execution is SUCCEEDED and cannot be redriven" || !ok.InputDetails.Included || !ok.OutputDetails.Included ||
		!strings.HasPrefix(ok.Input, `{"Items":[{"Key":"k00000"},`) || len(ok.StartDate) != len("2025-02-04T01:49:50.099Z") ||
		ok.StopDate < ok.StartDate ||
		ok.ExecutionArn != "arn:aws:states:us-east-1:123456789012:express:m/Read:"+ok.Name ||
		ok.StateMachineArn != "arn:aws:states:us-east-1:123456789012:stateMachine:m/Read" {
		t.Errorf("%+v", ok)
	}
	if bad.Status != "FAILED" || bad.Error != "E" || bad.Cause != `{"errorType":"E","errorMessage":"<m>"}` ||
		bad.RedriveStatus != "REDRIVABLE_BY_MAP_RUN" ||
		!strings.Contains(bad.Input, "k00042") {
		t.Errorf("%+v", bad)
	}
	if rest.Status != "PENDING" || !strings.Contains(rest.Input, "k00094") {
		t.Errorf("%+v", rest)
	}

	broken.Store(false)
	before := w.lambda.count()
	out = w.redrive(arn)
	again := w.mapRunOf(arn)
	c = again.ExecutionCounts
	if out.Status != types.ExecutionStatusSucceeded || *again.MapRunArn != *r.MapRunArn || aws.ToInt32(again.RedriveCount) != 1 ||
		again.RedriveDate == nil ||
		c.Succeeded != 10 || c.Failed != 0 || c.Pending != 0 || c.Total != 10 || again.ItemCounts.Total != 95 || w.lambda.count()-before != 6 {
		t.Errorf("%s, %+v, %+v, %d calls", out.Status, again, c, w.lambda.count()-before)
	}
	l.want(t, 95)
	files = w.files(again, "out/")
	if len(files["SUCCEEDED"]) != 10 || len(files["FAILED"]) != 0 || len(files["PENDING"]) != 0 {
		t.Errorf("%d succeeded, %d failed, %d pending", len(files["SUCCEEDED"]), len(files["FAILED"]), len(files["PENDING"]))
	}
}

// A Retry of a Map is a new Map Run:
// docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html.
func TestRetriedMap(t *testing.T) {
	w := newWorld(t)
	w.put(5)
	var n atomic.Int64
	w.lambda.set(func(*http.Request, string, []byte) answer {
		if n.Add(1) == 1 {
			return answer{functionError: true, body: `{"errorType":"E"}`}
		}
		return answer{body: "1"}
	})
	out := w.runOnce("m", keyed(10, `,"Retry":[{"ErrorEquals":["States.ExceedToleratedFailureThreshold"]}]`), `{}`)
	list, err := w.client.ListMapRuns(t.Context(), &sfn.ListMapRunsInput{ExecutionArn: out.ExecutionArn})
	if err != nil || len(list.MapRuns) != 2 || out.Status != types.ExecutionStatusSucceeded {
		t.Errorf("%s, %+v, %v", out.Status, list, err)
	}
}

// No more children run at once than MaxConcurrency, and UpdateMapRun changes
// that while they do:
// docs.aws.amazon.com/step-functions/latest/apireference/API_UpdateMapRun.html.
func TestConcurrency(t *testing.T) {
	w := newWorld(t)
	w.put(30)
	arrived, release := make(chan struct{}, 30), make(chan struct{})
	w.lambda.set(func(*http.Request, string, []byte) answer {
		arrived <- struct{}{}
		<-release
		return answer{body: "1"}
	})
	arn := w.begin(w.create("m", keyed(1, `,"MaxConcurrency":3`)), "run", `{}`)
	for range 3 {
		<-arrived
	}
	r := w.mapRunOf(arn)
	if c := r.ExecutionCounts; c.Running != 3 || r.MaxConcurrency != 3 || r.Status != types.MapRunStatusRunning || len(arrived) != 0 {
		t.Errorf("%+v, %d more", c, len(arrived))
	}
	if _, err := w.client.UpdateMapRun(t.Context(), &sfn.UpdateMapRunInput{MapRunArn: r.MapRunArn, MaxConcurrency: aws.Int32(7)}); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		<-arrived
	}
	if c := w.mapRunOf(arn); c.ExecutionCounts.Running != 7 || c.MaxConcurrency != 7 || len(arrived) != 0 {
		t.Errorf("%+v, %d more", c.ExecutionCounts, len(arrived))
	}
	close(release)
	if out := w.wait(arn); out.Status != types.ExecutionStatusSucceeded {
		t.Errorf("%s: %s", aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	_, err := w.client.UpdateMapRun(t.Context(), &sfn.UpdateMapRunInput{MapRunArn: r.MapRunArn, MaxConcurrency: aws.Int32(7)})
	if code(err) != "ValidationException" {
		t.Errorf("an update of one that has ended: %v", err)
	}
}

// The service's own bound on children holds where a definition asks for more.
func TestChildren(t *testing.T) {
	w := newWorld(t)
	w.put(10)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.cfg.Children = 2
	w.start()
	var now, most atomic.Int64
	w.lambda.set(func(*http.Request, string, []byte) answer {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		defer now.Add(-1)
		return answer{body: "1"}
	})
	if out := w.runOnce("m", keyed(1, ""), `{}`); out.Status != types.ExecutionStatusSucceeded || most.Load() > 2 {
		t.Errorf("%s, %d at once", out.Status, most.Load())
	}
}

// StopExecution aborts the children that run; a redrive runs them, and what had
// not begun.
func TestStop(t *testing.T) {
	w := newWorld(t)
	w.put(50)
	arrived := make(chan struct{}, 50)
	var l ledger
	var hang atomic.Bool
	hang.Store(true)
	w.lambda.set(func(r *http.Request, _ string, payload []byte) answer {
		keys := keysOf(payload)
		if hang.Load() && keys[0] >= "k00020" {
			arrived <- struct{}{}
			<-r.Context().Done()
			return answer{}
		}
		l.add(keys)
		return answer{body: "1"}
	})
	arn := w.begin(w.create("m", keyed(10, `,"MaxConcurrency":2`)), "run", `{}`)
	<-arrived
	<-arrived
	_, err := w.client.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: aws.String(arn), Error: aws.String("MyStop"),
		Cause: aws.String("mine")})
	if err != nil {
		t.Fatal(err)
	}
	if out := w.describe(arn); out.Status != types.ExecutionStatusAborted || aws.ToString(out.Error) != "MyStop" ||
		aws.ToString(out.Cause) != "mine" {
		t.Errorf("%s %s", out.Status, aws.ToString(out.Error))
	}
	out := w.wait(arn)
	r := w.mapRunOf(arn)
	if c := r.ExecutionCounts; r.Status != types.MapRunStatusAborted || c.Succeeded != 2 || c.Aborted != 2 || c.Pending != 1 ||
		out.RedriveStatus != "REDRIVABLE" {
		t.Errorf("%s %+v %s", r.Status, c, out.RedriveStatus)
	}
	files := w.files(r, "out/")
	if len(files["SUCCEEDED"]) != 2 || len(files["FAILED"]) != 2 || files["FAILED"][0].Status != "ABORTED" || len(files["PENDING"]) != 1 {
		t.Errorf("%+v", files)
	}
	hang.Store(false)
	if out = w.redrive(arn); out.Status != types.ExecutionStatusSucceeded {
		t.Errorf("%s %s", out.Status, aws.ToString(out.Cause))
	}
	l.want(t, 50)
}

// An Express child that runs for more than five minutes is TIMED_OUT:
// docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html.
func TestExpressLimit(t *testing.T) {
	w := newWorldAt(t, 10*time.Millisecond) // it lasts 3 s
	w.put(3)
	w.lambda.set(func(r *http.Request, _ string, payload []byte) answer {
		if keysOf(payload)[0] == "k00001" {
			<-r.Context().Done()
		}
		return answer{body: "1"}
	})
	out := w.runOnce("m", keyed(1, `,"ToleratedFailurePercentage":50`), `{}`)
	c := w.mapRunOf(*out.ExecutionArn)
	if out.Status != types.ExecutionStatusSucceeded || c.ItemCounts.TimedOut != 1 || c.ItemCounts.Succeeded != 2 {
		t.Errorf("%s, %+v", out.Status, c.ItemCounts)
	}
	if files := w.files(c, "out/"); len(files["FAILED"]) != 1 || files["FAILED"][0].Status != "TIMED_OUT" {
		t.Errorf("%+v", files)
	}
}

// Every fourth invocation is throttled; Retry sees to it that nothing is lost.
func TestThrottled(t *testing.T) {
	w := newWorld(t)
	w.put(100)
	var l ledger
	var n atomic.Int64
	w.lambda.set(func(r *http.Request, name string, payload []byte) answer {
		if n.Add(1)%4 == 0 {
			return answer{status: 429, kind: "TooManyRequestsException",
				body: `{"Reason":"ConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}`}
		}
		l.add(keysOf(payload))
		return fetched(r, name, payload)
	})
	out := w.runOnce("scan", scanText(), scanInput(5))
	if out.Status != types.ExecutionStatusSucceeded {
		t.Errorf("%s: %s", aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	l.want(t, 100)
}

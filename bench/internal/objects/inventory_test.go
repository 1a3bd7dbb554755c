package objects_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"fanout/bench/internal/objects"
	"fanout/functions/corpus"
)

// listedKeys are keys as real buckets have them, and inventories encode them.
var listedKeys = []string{
	"o/folder/", "o/a b", "o/a+b", "o/a%20b", "o/\"quoted\",", "o/日本é", "o/line\nend", "o/\x01", "o/back\\slash",
	"o/" + strings.Repeat("k", 1022), "o/" + strings.Repeat("é", 511),
}

func fetchList(t *testing.T, c *s3.Client, key string) []byte {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("lists"), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(out.Body)
	if err := errors.Join(err, out.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return body
}

// An inventory lists what the bucket's own listing does, in files that are as
// large, and have the sums, that the manifest says.
func TestInventory(t *testing.T) {
	srv, c := start(t, objects.Config{})
	if err := srv.CreateBucket("lists"); err != nil {
		t.Fatal(err)
	}
	spec := many()
	if err := srv.Generate(t.Context(), testBucket, spec, nil); err != nil {
		t.Fatal(err)
	}
	for _, key := range listedKeys {
		put(t, c, key, "x")
	}
	put(t, c, spec.Key(3), "written over")
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: aws.String(spec.Key(4))}); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 25, 1, 2, 3, 0, time.UTC)
	for _, row := range []struct {
		name         string
		prefix       string
		keysPerFile  int
		files, count int
		id, under    string
		manifest     string
	}{
		{"all", "", 0, 1, spec.Count - 1 + len(listedKeys), "", "", testBucket + "/all/2026-11-25T01-02Z/manifest.json"},
		{"in files", "", 4000, 3, spec.Count - 1 + len(listedKeys), "daily", "lists/of mine", "lists/of mine/" + testBucket +
			"/daily/2026-11-25T01-02Z/manifest.json"},
		{"files that come out even", "o/", len(listedKeys), 1, len(listedKeys), "odd", "", testBucket +
			"/odd/2026-11-25T01-02Z/manifest.json"},
		{"nothing", "none/", 0, 0, 0, "none", "", testBucket + "/none/2026-11-25T01-02Z/manifest.json"},
	} {
		key, err := srv.PutInventory(t.Context(), objects.Inventory{
			Bucket: testBucket, Prefix: row.prefix, Destination: "lists", DestinationPrefix: row.under, ID: row.id,
			KeysPerFile: row.keysPerFile, At: at,
		})
		if err != nil || key != row.manifest {
			t.Errorf("%s: manifest %q, want %q, %v", row.name, key, row.manifest, err)
			continue
		}
		files := checkManifest(t, c, key)
		if len(files) != row.files {
			t.Errorf("%s: %d files, want %d", row.name, len(files), row.files)
		}
		var got []string
		for _, f := range files {
			shape, err := corpus.ReadShape("inventory", bytes.NewReader(f)) // which reads the service's own files, too
			rows := checkRows(t, f)
			if n, _ := shape.Objects(); err != nil || n != int64(len(rows)) {
				t.Errorf("%s: %d sizes of %d, %v", row.name, n, len(rows), err)
			}
			got = append(got, rows...)
		}
		if want := listed(t, c, row.prefix); !slices.Equal(got, want) || len(got) != row.count {
			t.Errorf("%s: %d rows, %d listed, want %d and the same", row.name, len(got), len(want), row.count)
		}
	}
}

// checkManifest holds manifest.json against its documentation, and gives the
// files that it names.
func checkManifest(t *testing.T, c *s3.Client, key string) (files [][]byte) {
	t.Helper()
	text := fetchList(t, c, key)
	var m struct {
		SourceBucket, DestinationBucket, Version, CreationTimestamp, FileFormat, FileSchema string
		Files                                                                               []struct {
			Key         string
			Size        int64
			MD5checksum string //nolint:tagliatelle // S3's own name
		}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	if m.SourceBucket != testBucket || m.DestinationBucket != "arn:aws:s3:::lists" || m.Version != "2016-11-30" ||
		m.CreationTimestamp != fmt.Sprint(time.Date(2026, 11, 25, 1, 2, 3, 0, time.UTC).UnixMilli()) ||
		m.FileFormat != "CSV" || m.FileSchema != "Bucket, Key, Size, LastModifiedDate, StorageClass" {
		t.Errorf("manifest %s", text)
	}
	sum := md5.Sum(text)
	if got := fetchList(t, c, strings.TrimSuffix(key, "json")+"checksum"); string(got) != hex.EncodeToString(sum[:]) {
		t.Errorf("manifest.checksum is %s", got)
	}
	links := ""
	for _, f := range m.Files {
		if !regexp.MustCompile(`/data/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.csv\.gz$`).MatchString(f.Key) {
			t.Errorf("file %q", f.Key)
		}
		body := fetchList(t, c, f.Key)
		if sum := md5.Sum(body); f.Size != int64(len(body)) || f.MD5checksum != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: %d bytes, %x", f.Key, len(body), sum)
		}
		links += "s3://lists/" + f.Key + "\n"
		files = append(files, body)
	}
	at := strings.LastIndex(key, "/2026-")
	if got := fetchList(t, c, key[:at]+"/hive/dt=2026-11-25-01-02/symlink.txt"); string(got) != links {
		t.Errorf("symlink.txt is %s, want %s", got, links)
	}
	return files
}

// checkRows gives the keys of a file, with their sizes.
func checkRows(t *testing.T, file []byte) (rows []string) {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, `"`+testBucket+`","`) || strings.ContainsAny(line, " \\") || len(line) > 4096 {
			t.Fatalf("row %q", line)
		}
	}
	records, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		key, err := url.QueryUnescape(r[1])
		if _, timeErr := time.Parse("2006-01-02T15:04:05.000Z", r[3]); err != nil || timeErr != nil || len(r) != 5 || r[4] != "STANDARD" {
			t.Fatalf("row %q: %v, %v", r, err, timeErr)
		}
		rows = append(rows, key+" "+r[2])
	}
	return rows
}

// listed gives the same of the bucket's own listing.
func listed(t *testing.T, c *s3.Client, prefix string) (rows []string) {
	t.Helper()
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{
		Bucket: aws.String(testBucket), Prefix: &prefix, EncodingType: types.EncodingTypeUrl,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			key, err := url.QueryUnescape(*o.Key)
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, fmt.Sprintf("%s %d", key, *o.Size))
		}
	}
	return rows
}

func TestInventoryRefuses(t *testing.T) {
	srv, c := start(t, objects.Config{})
	put(t, c, "k", "x")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // a row's own
		inv  objects.Inventory
		want string
	}{
		{"no source", t.Context(), objects.Inventory{Bucket: "none", Destination: testBucket}, "bucket does not exist"},
		{"no destination", t.Context(), objects.Inventory{Bucket: testBucket, Destination: "none"}, "bucket does not exist"},
		{"interrupted", ended, objects.Inventory{Bucket: testBucket, Destination: testBucket}, "context canceled"},
	} {
		if _, err := srv.PutInventory(row.ctx, row.inv); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
	if got := listed(t, c, ""); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
}

// A key's own fault hits reading alone: it is listed as ever. Reading the others
// goes on, and a storm is over when it is.
func TestKeyFaults(t *testing.T) {
	srv, c := start(t, objects.Config{})
	for _, key := range append([]string{"a", "b", "c"}, listedKeys...) {
		put(t, c, key, "x")
	}
	read := func(key string) string {
		_, _, err := get(t.Context(), c, &s3.GetObjectInput{Key: &key})
		if err == nil {
			return ""
		}
		return code(err)
	}
	srv.SetKeyFault(testBucket, "a", objects.Denied)
	srv.SetKeyFault(testBucket, "b", objects.Missing)
	srv.SetKeyFault(testBucket, listedKeys[5], objects.Denied)
	srv.SetKeyFault("other", "c", objects.Denied) // another bucket's
	for key, want := range map[string]string{
		"a": "AccessDenied", "b": "NoSuchKey", "c": "", listedKeys[5]: "AccessDenied", listedKeys[4]: "",
	} {
		if got := read(key); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
	if n := len(listed(t, c, "")); n != 3+len(listedKeys) {
		t.Errorf("%d keys listed", n)
	}
	_, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(testBucket), Key: aws.String("a")})
	if got := code(err); got != "Forbidden" && got != "AccessDenied" {
		t.Errorf("HEAD: %v", err)
	}
	srv.SetKeyFault(testBucket, "a", objects.Readable)
	if got := read("a"); got != "" {
		t.Errorf("mended: %q", got)
	}
	srv.Storm(2, 0)
	for i, want := range []string{"SlowDown", "SlowDown", ""} {
		if got := read("c"); got != want {
			t.Errorf("GET %d of a storm of two: %q, want %q", i, got, want)
		}
	}
	srv.Storm(0, time.Hour)
	if got := read("c"); got != "SlowDown" {
		t.Errorf("a storm of an hour: %q", got)
	}
	srv.Storm(0, 0)
	if got := read("c"); got != "" {
		t.Errorf("after it was ended: %q", got)
	}
	if got := srv.Counts().Faults; got != 7 {
		t.Errorf("%d faults counted, want 7", got)
	}
}

package objects

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// Inventory says of what [Server.PutInventory] makes an inventory list, and
// where.
type Inventory struct {
	Bucket string // whose objects are listed, the latest version of each
	Prefix string // of their keys; "": all

	Destination       string // the bucket that the list is put into, which is there
	DestinationPrefix string // without a slash at its end; "": none
	ID                string // of the inventory configuration; "": "all"

	KeysPerFile int       // 0: a million
	At          time.Time // when the list was begun; zero: now

	Progress func(listed int) // hears how many are listed so far; nil: nobody does
}

// The columns of a list, in the order of fileSchema. Of those that can be chosen
// there is no ETag, which would make a list ten times as large.
const inventorySchema = "Bucket, Key, Size, LastModifiedDate, StorageClass"

// inventoryManifest is manifest.json.
type inventoryManifest struct {
	SourceBucket      string          `json:"sourceBucket"`
	DestinationBucket string          `json:"destinationBucket"` // ARN
	Version           string          `json:"version"`
	CreationTimestamp string          `json:"creationTimestamp"` // Unix milliseconds
	FileFormat        string          `json:"fileFormat"`
	FileSchema        string          `json:"fileSchema"`
	Files             []inventoryFile `json:"files"`
}

type inventoryFile struct {
	Key         string `json:"key"`
	Size        int64  `json:"size"`
	MD5Checksum string `json:"MD5checksum"`
}

// PutInventory puts an inventory list as S3 Inventory delivers it: gzipped CSV
// files without a header line, all fields in quotation marks, keys URL-encoded
// with a plus sign for a space, and manifest.json, manifest.checksum and
// symlink.txt, which name them. It gives the key of manifest.json. The names and
// fields are those of
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html;
// that a key is encoded says storage-inventory.html there.
//
// Memory does not grow with the number of objects, but for a file at a time. It
// ends with ctx's error when ctx does.
func (s *Server) PutInventory(ctx context.Context, inv Inventory) (manifestKey string, err error) {
	if inv.At.IsZero() {
		inv.At = time.Now()
	}
	at := inv.At.UTC()
	folder := path.Join(inv.DestinationPrefix, inv.Bucket, cmp.Or(inv.ID, "all"))
	m := inventoryManifest{
		SourceBucket: inv.Bucket, DestinationBucket: "arn:aws:s3:::" + inv.Destination, Version: "2016-11-30",
		CreationTimestamp: strconv.FormatInt(at.UnixMilli(), 10), FileFormat: "CSV", FileSchema: inventorySchema, Files: []inventoryFile{},
	}
	keys := inventoryKeys{server: s, Inventory: inv}
	for n := 0; !keys.done; n++ {
		file, err := keys.file(ctx)
		if err != nil {
			return "", fmt.Errorf("inventory of bucket %q: %w", inv.Bucket, err)
		}
		if file == nil {
			break // there are no objects at all, or no more
		}
		name := fmt.Sprintf("%s/data/%s.csv.gz", folder, uuidOf(folder, at, n))
		v, err := s.putOwn(inv.Destination, name, "application/octet-stream", file)
		if err != nil {
			return "", fmt.Errorf("inventory of bucket %q: %w", inv.Bucket, err)
		}
		m.Files = append(m.Files, inventoryFile{name, v.size, hex.EncodeToString(v.md5)})
	}
	return s.putManifest(inv.Destination, folder, at, m)
}

// putManifest puts what names the files.
func (s *Server) putManifest(bucket, folder string, at time.Time, m inventoryManifest) (manifestKey string, err error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", fmt.Errorf("inventory: %w", err)
	}
	var links strings.Builder
	for _, f := range m.Files {
		fmt.Fprintf(&links, "s3://%s/%s\n", bucket, f.Key)
	}
	sum := md5.Sum(text)
	manifestKey = folder + at.Format("/2006-01-02T15-04Z/manifest.json")
	for _, o := range []struct{ key, text string }{
		{folder + at.Format("/hive/dt=2006-01-02-15-04/symlink.txt"), links.String()},
		{strings.TrimSuffix(manifestKey, "json") + "checksum", hex.EncodeToString(sum[:])},
		{manifestKey, string(text)}, // last: who sees it finds the others
	} {
		if _, err := s.putOwn(bucket, o.key, "text/plain", []byte(o.text)); err != nil {
			return "", fmt.Errorf("inventory: %w", err)
		}
	}
	return manifestKey, nil
}

// putOwn puts an object from within.
func (s *Server) putOwn(bucket, key, kind string, body []byte) (*version, error) {
	v := &version{key: key, modified: time.Now(), meta: map[string][]string{"Content-Type": {kind}}}
	v, err := s.receive(bytes.NewReader(body), int64(len(body)), v, newDigests(defaultAlgorithm))
	if err != nil {
		return nil, fmt.Errorf("put %s: %w", key, err)
	}
	if _, refusal := s.store.put(bucket, v, conditions{}); refusal != nil {
		return nil, fmt.Errorf("put s3://%s/%s: %s", bucket, key, refusal.message)
	}
	return v, nil
}

// uuidOf gives a file's name, which looks like those that S3 gives.
func uuidOf(folder string, at time.Time, n int) string {
	sum := md5.Sum(fmt.Appendf(nil, "%s %d %d", folder, at.UnixNano(), n))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:])
}

// inventoryKeys goes through the keys.
type inventoryKeys struct {
	Inventory
	server *Server
	after  string // the last key
	listed int
	done   bool

	modified time.Time // of the last object, and as it is written
	written  string
}

// file gives the next file; nil: there are no more keys.
func (k *inventoryKeys) file(ctx context.Context) ([]byte, error) {
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	most, n := cmp.Or(k.KeysPerFile, 1_000_000), 0
	for n < most && !k.done {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows, got, refusal := k.page(min(most-n, maxPage))
		if refusal != nil {
			return nil, fmt.Errorf("%s", refusal.message)
		}
		if _, err := zip.Write(rows); err != nil {
			return nil, err
		}
		n += got
		if k.listed += got; k.Progress != nil {
			k.Progress(k.listed)
		}
	}
	if err := zip.Close(); err != nil || n == 0 {
		return nil, err
	}
	return packed.Bytes(), nil
}

// page gives the rows of the next keys, and how many there are.
func (k *inventoryKeys) page(limit int) (rows []byte, n int, refusal *apiError) {
	refusal = k.server.store.view(k.Bucket, func(b *bucket) *apiError {
		k.done = !b.page(listing{prefix: k.Prefix, after: k.after, limit: limit}, func(key string, versions []*version) bool {
			v := latest(versions)
			if k.written == "" || !v.modified.Equal(k.modified) { // that of many is the same
				k.modified, k.written = v.modified, v.modified.UTC().Format("2006-01-02T15:04:05.000Z")
			}
			rows = append(append(append(rows, '"'), k.Bucket...), `","`...)
			rows = append(append(rows, encodeKey(key)...), `","`...)
			rows = append(strconv.AppendInt(rows, v.size, 10), `","`...)
			rows = append(append(rows, k.written...), `","STANDARD"`+"\n"...)
			n, k.after = n+1, key
			return true
		})
		return nil
	})
	return rows, n, refusal
}

package states

import (
	"bufio"
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
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// reader is ItemReader.
type reader struct {
	list       bool // of objects; else an inventory
	parameters object
	maxItems   setting
}

// source gives a dataset's items. It begins after the position where an
// earlier attempt ended, with skip items before it.
type source interface {
	each(ctx context.Context, after string, skip int64, item func(item any, source, after string) error) error
}

// source gives the items of a Map's dataset.
func (d *distributed) source(s *Server, sc scope) (source, error) {
	if d.reader == nil {
		items, err := d.items(sc)
		return inputItems(items), err
	}
	most, err := d.reader.maxItems.in(sc)
	if err != nil {
		return nil, err
	}
	if most == 0 {
		most = maxItems
	}
	bucket, err := parameter(d.reader.parameters, "Bucket", sc)
	if err != nil {
		return nil, err
	}
	if !d.reader.list {
		key, err := parameter(d.reader.parameters, "Key", sc)
		return &inventory{s: s, bucket: bucket, key: key, most: int64(most)}, err
	}
	prefix := ""
	if d.reader.parameters.field("Prefix") != nil {
		if prefix, err = parameter(d.reader.parameters, "Prefix", sc); err != nil {
			return nil, err
		}
	}
	return &listing{s: s, bucket: bucket, prefix: prefix, most: int64(most)}, nil
}

// inputItems are the items of an array in the state's input.
type inputItems []any

func (l inputItems) each(ctx context.Context, _ string, skip int64, item func(any, string, string) error) error {
	for _, v := range l[min(skip, int64(len(l))):] {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := item(v, "STATE_DATA", ""); err != nil {
			return err
		}
	}
	return nil
}

// inventory is an S3 Inventory in CSV:
// docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html.
type inventory struct {
	s           *Server
	bucket, key string
	most        int64
}

// maxManifest is the most bytes of a manifest.json that are read: some 200 a
// file.
const maxManifest = 64 << 20

// manifest is an inventory's manifest.json.
type manifest struct {
	Bucket string `json:"destinationBucket"` // ARN
	Format string `json:"fileFormat"`
	Schema string `json:"fileSchema"`
	Files  []struct {
		Key string `json:"key"`
		MD5 string `json:"MD5checksum"`
	} `json:"files"`

	columns []string
}

// parseManifest reads a manifest.json and refuses what the service does not
// read, above all other formats than CSV
// (docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html).
func parseManifest(text []byte) (*manifest, error) {
	m := &manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("it is no manifest of an S3 Inventory: %w", err)
	}
	for column := range strings.SplitSeq(m.Schema, ",") {
		m.columns = append(m.columns, strings.TrimSpace(column))
	}
	arn := strings.SplitN(m.Bucket, ":", 6)
	switch {
	case m.Format != "CSV":
		return nil, fmt.Errorf("its fileFormat is %q: only inventories in CSV can be read", m.Format)
	case !slices.Contains(m.columns, "Key"):
		return nil, fmt.Errorf("its fileSchema %q has no Key", m.Schema)
	case len(arn) != 6 || arn[0] != "arn" || arn[5] == "":
		return nil, fmt.Errorf("its destinationBucket %q is not the ARN of a bucket", m.Bucket)
	}
	m.Bucket = arn[5]
	return m, nil
}

func (v *inventory) each(ctx context.Context, _ string, skip int64, item func(any, string, string) error) error {
	where := "s3://" + v.bucket + "/" + v.key
	body, err := v.get(ctx, v.bucket, v.key)
	if err != nil {
		return fmt.Errorf("read %s: %w", where, err)
	}
	text, err := io.ReadAll(io.LimitReader(body, maxManifest+1))
	if err = errors.Join(err, body.Close()); err == nil && len(text) > maxManifest {
		err = fmt.Errorf("it is larger than %d bytes", maxManifest)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", where, err)
	}
	m, err := parseManifest(text)
	if err != nil {
		return fmt.Errorf("read %s: %w", where, err)
	}
	n := int64(0)
	for _, f := range m.Files {
		where := "S3://" + m.Bucket + "/" + f.Key
		err := v.file(ctx, m, f.Key, f.MD5, func(row any) error {
			if n == v.most {
				return errEnough
			}
			if n++; n <= skip {
				return nil
			}
			return item(row, where, "")
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read s3://%s/%s: %w", m.Bucket, f.Key, err)
		}
	}
	return nil
}

func (v *inventory) get(ctx context.Context, bucket, key string) (io.ReadCloser, error) {
	out, err := v.s.cfg.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

// file reads one file of an inventory, and holds it against its checksum.
func (v *inventory) file(ctx context.Context, m *manifest, key, sum string, row func(any) error) (err error) {
	body, err := v.get(ctx, m.Bucket, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	digest := md5.New()
	raw := io.TeeReader(body, digest)
	if err := readRows(raw, m.columns, row); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, raw); err != nil { // what came after the compressed data
		return err
	}
	if got := hex.EncodeToString(digest.Sum(nil)); sum != "" && got != sum {
		return fmt.Errorf("its MD5 is %s, the manifest says %s", got, sum)
	}
	return nil
}

// readRows reads a file of an inventory, compressed or not.
func readRows(raw io.Reader, columns []string, row func(any) error) error {
	buffered := bufio.NewReaderSize(raw, 64<<10)
	var text io.Reader = buffered
	if magic, _ := buffered.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return err
		}
		text = z
	}
	r := csv.NewReader(text)
	r.FieldsPerRecord, r.ReuseRecord = len(columns), true
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := row(&inventoryRow{columns, fields}); err != nil {
			return err
		}
	}
}

// inventoryRow is one line of an inventory: all its values are strings, keys as
// they are written, which is URL-encoded.
type inventoryRow struct{ columns, fields []string }

func (r *inventoryRow) field(name string) (any, bool) {
	i := slices.Index(r.columns, name)
	if i < 0 {
		return nil, false
	}
	return r.fields[i], true
}

func (r *inventoryRow) names() []string { return r.columns }

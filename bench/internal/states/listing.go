package states

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// listing is the objects below a prefix, in the order of their keys.
type listing struct {
	s              *Server
	bucket, prefix string
	most           int64
}

// listed is an item of a listing:
// docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html.
type listed struct{ key, etag, modified, size, class string }

func (o *listed) field(name string) (any, bool) {
	switch name {
	case "Etag":
		return entities.Replace(o.etag), true
	case "Key":
		return o.key, true
	case "LastModified":
		t, _ := time.Parse(time.RFC3339, o.modified) // checked where it was read
		return t.Unix(), true
	case "Size":
		n, _ := strconv.ParseInt(o.size, 10, 64)
		return n, true
	case "StorageClass":
		return o.class, true
	}
	return nil, false
}

func (o *listed) names() []string {
	return []string{"Etag", "Key", "LastModified", "Size", "StorageClass"}
}

func (l *listing) each(ctx context.Context, after string, skip int64, item func(any, string, string) error) error {
	where := "S3://" + l.bucket
	in := &s3.ListObjectsV2Input{
		Bucket: aws.String(l.bucket), Prefix: aws.String(l.prefix), EncodingType: types.EncodingTypeUrl, // XML cannot say every key
	}
	if after != "" {
		in.StartAfter = aws.String(after)
	}
	n := skip
	var doc bytes.Buffer
	for {
		out, err := l.s.cfg.S3.ListObjectsV2(ctx, in, func(o *s3.Options) {
			o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
				return stack.Deserialize.Insert(takeContents{&doc}, "OperationDeserializer", middleware.After)
			})
		})
		if err != nil {
			return fmt.Errorf("list s3://%s/%s: %w", l.bucket, l.prefix, err)
		}
		err = parseContents(doc.Bytes(), func(o *listed) error {
			if n == l.most {
				return errEnough
			}
			n++
			return item(o, where, o.key)
		})
		if errors.Is(err, errEnough) || err == nil && !aws.ToBool(out.IsTruncated) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list s3://%s/%s: %w", l.bucket, l.prefix, err)
		}
		in.ContinuationToken, in.StartAfter = out.NextContinuationToken, nil
	}
}

// takeContents keeps the document of a page and gives the SDK the rest of it
// without the objects: its XML decoder takes some 10 µs for each.
type takeContents struct{ doc *bytes.Buffer }

func (takeContents) ID() string { return "TakeContents" }

// maxPage bounds a page: 1,000 keys of 1,024 bytes, each written as three
// characters, are 3.3 MB with what is around them.
const maxPage = 8 << 20

func (t takeContents) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	out middleware.DeserializeOutput, metadata middleware.Metadata, err error,
) {
	out, metadata, err = next.HandleDeserialize(ctx, in)
	r, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok || r.StatusCode != 200 {
		return out, metadata, err
	}
	t.doc.Reset()
	n, err := t.doc.ReadFrom(io.LimitReader(r.Body, maxPage+1))
	if err = errors.Join(err, r.Body.Close()); err == nil && n > maxPage {
		err = fmt.Errorf("a page of the listing is larger than %d bytes", maxPage)
	}
	r.Body = io.NopCloser(bytes.NewReader(withoutContents(t.doc.Bytes())))
	return out, metadata, err
}

var contentsOpen, contentsClose = []byte("<Contents>"), []byte("</Contents>")

// withoutContents gives a page without its objects.
func withoutContents(doc []byte) []byte {
	var b []byte
	for {
		i := bytes.Index(doc, contentsOpen)
		j := bytes.Index(doc, contentsClose)
		if i < 0 || j < i {
			return append(b, doc...)
		}
		b = append(b, doc[:i]...)
		doc = doc[j+len(contentsClose):]
	}
}

// parseContents calls object with every object of a page. Its keys are
// URL-encoded.
func parseContents(doc []byte, object func(*listed) error) error {
	for {
		i := bytes.Index(doc, contentsOpen)
		if i < 0 {
			return nil
		}
		doc = doc[i+len(contentsOpen):]
		j := bytes.Index(doc, contentsClose)
		if j < 0 {
			return errors.New("the listing is cut short")
		}
		o, err := parseObject(string(doc[:j]))
		if err != nil {
			return err
		}
		if err := object(o); err != nil {
			return err
		}
		doc = doc[j+len(contentsClose):]
	}
}

// parseObject reads what stands between <Contents> and </Contents>.
func parseObject(text string) (*listed, error) {
	o := &listed{}
	for rest := text; rest != ""; {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			break
		}
		name, after, ok := strings.Cut(after, ">")
		if !ok {
			return nil, fmt.Errorf("malformed XML in the listing: %.80q", rest)
		}
		value, after, ok := strings.Cut(after, "</"+name+">")
		if !ok {
			return nil, fmt.Errorf("malformed XML in the listing: %.80q", rest)
		}
		switch name {
		case "Key":
			o.key = value
		case "ETag":
			o.etag = value // what few ask for is not made for all
		case "LastModified":
			o.modified = value
		case "Size":
			o.size = value
		case "StorageClass":
			o.class = value
		}
		rest = after
	}
	var err error
	if strings.ContainsAny(o.key, "%+") {
		o.key, err = url.QueryUnescape(o.key)
	}
	if err != nil || o.key == "" {
		return nil, fmt.Errorf("an object of the listing has the key %.80q: it must be URL-encoded", o.key)
	}
	if _, err := strconv.ParseUint(o.size, 10, 63); err != nil {
		return nil, fmt.Errorf("an object of the listing has the size %.80q", o.size)
	}
	if _, err := time.Parse(time.RFC3339, o.modified); err != nil {
		return nil, fmt.Errorf("an object of the listing has the time %.80q", o.modified)
	}
	return o, nil
}

// entities are what S3 writes for what XML cannot have as it is.
var entities = strings.NewReplacer("&quot;", `"`, "&#34;", `"`, "&lt;", "<", "&gt;", ">", "&apos;", "'", "&#39;", "'", "&amp;", "&")

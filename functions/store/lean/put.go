package lean

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"

	"fanout/functions/fetch"
)

// Put writes one object, as [fetch.Putter] wants it: in one request, signed with
// the body's SHA-256, so that S3 refuses a body that was changed on the way. It is
// retried as Get is. It does not write to directory buckets: the sessions of this
// client may only read.
func (c *Client) Put(ctx context.Context, bucket, key string, body []byte) error {
	sum := sha256.Sum256(body)
	if body == nil {
		body = []byte{} // nil is a GET's
	}
	bodyHash := hex.EncodeToString(sum[:])
	for r := (retrier{client: c}); ; {
		b, err := c.bucketClient(bucket)
		if err == nil {
			err = b.putObject(ctx, key, body, bodyHash)
		}
		if err == nil {
			c.budget.give()
			return nil
		}
		if err = r.retry(ctx, b, err); err != nil {
			return named(err, "put s3://"+bucket+"/"+key)
		}
	}
}

// putObject makes one attempt.
func (b *bucketClient) putObject(ctx context.Context, key string, body []byte, bodyHash string) error {
	if b.express {
		return &configError{&fetch.Error{
			Type:    fetch.InvalidEvent,
			Message: "put s3://" + b.bucket + "/" + key + ": lean only reads directory buckets; put results into a general purpose bucket",
		}}
	}
	r := request{prefix: b.prefix, key: key, authority: b.authority, body: body, bodyHash: bodyHash}
	c, _, err := b.do(ctx, &r)
	if err != nil {
		return err
	}
	var answer bytes.Buffer // empty, but for a server with more to say than S3
	_, err = c.wholeBody(&answer, maxErrorBytes)
	b.host.put(c)
	return err
}

package fetch

import (
	"context"
	"time"
)

// Object is one entry of a listing.
type Object struct {
	Key  string
	Size int64
}

// Sink takes a body's bytes in order. It keeps none of p after Write returns.
type Sink interface {
	Write(p []byte) (int, error)
	// Reset forgets every byte written so far: a store calls it before it
	// reads the same body again from the start.
	Reset()
}

// RangeSink is a Sink that can take ranges of a body beside the bytes before them.
type RangeSink interface {
	Sink
	// InAnyOrder says whether it can for the body that is being read. If not, all
	// bytes must come to Write, in order.
	InAnyOrder() bool
	// Range gives the writer of a range that begins offset bytes into the body. It may
	// be called, and the ranges be written, at the same time as Write; each range by
	// one goroutine at a time. Write takes what comes before the first range, and
	// together they are the body, without gaps. Reset forgets them.
	Range(offset int64) RangeWriter
}

// RangeWriter takes a range's bytes in order. It keeps none of p after Write returns.
type RangeWriter interface {
	Write(p []byte) (int, error)
	// End says that the range has no more bytes. Those of a range that has not ended
	// do not count.
	End()
}

// EncodedSink is a Sink that wants to know how a body is encoded.
type EncodedSink interface {
	Sink
	// ContentEncoding takes the Content-Encoding header of the body, if it has
	// one, before its first byte, and again after each Reset.
	ContentEncoding(value string)
}

// Read tells how one object was read.
type Read struct {
	Bytes     int64
	FirstByte time.Duration // from the last attempt's start to its first response byte
	Retries   int           // attempts beyond the first
}

// Store reads objects from a bucket. It is safe for concurrent use. Its errors
// are, or wrap, *[Error] where the cause is known by name (NoSuchBucket,
// NoSuchKey, AccessDenied, SlowDown).
type Store interface {
	// List calls page with each page of the listing under prefix, in S3's
	// order, until there are no more or page returns an error, which it passes
	// on. The page slice is the callee's to keep.
	List(ctx context.Context, bucket, prefix string, page func([]Object) error) error

	// Get writes the whole of one body to sink, trying again where that can
	// help, and fails if it came short.
	Get(ctx context.Context, bucket, key string, sink Sink) (Read, error)

	// Connections counts the connections opened so far.
	Connections() int64
}

// Warmer is a Store that can get ready for a bucket ahead of the first
// request.
type Warmer interface {
	// Warm opens that many connections to the bucket's host, and does whatever
	// else the first request would wait for.
	Warm(ctx context.Context, bucket string, connections int) error
}

// Connector is a Store that knows how long its connections took to set up.
type Connector interface {
	// FastestConnect is the shortest set-up of a connection, TCP and TLS, since the
	// last call; 0: none was opened.
	FastestConnect() time.Duration
}

// Putter is a Store that can also write.
type Putter interface {
	// Put writes one object, over one of that name, trying again where that
	// can help. It is for small ones: body goes in one request.
	Put(ctx context.Context, bucket, key string, body []byte) error
}

package fetch

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// gunzip passes the text inside of a gzip stream on, a little at a time: whatever
// the stream holds, memory stays the same.
type gunzip struct {
	feed    feed
	reader  gzip.Reader
	buffer  []byte
	to      searcher
	stopped func() bool

	stored int64 // bytes taken
	text   int64 // bytes passed on
	err    error
}

// gunzipBytes is how much text is passed on at once.
const gunzipBytes = 32 << 10

func newGunzip(to searcher, stopped func() bool) *gunzip {
	return &gunzip{to: to, stopped: stopped, buffer: make([]byte, gunzipBytes)}
}

func (g *gunzip) reset() {
	g.feed.close()
	g.stored, g.text, g.err = 0, 0, nil
}

func (g *gunzip) write(p []byte) {
	if len(p) == 0 {
		return
	}
	if g.stored == 0 {
		g.feed.start(g.stopped, g.run)
	}
	g.stored += int64(len(p))
	if g.feed.running() {
		g.feed.write(p)
	}
}

// end says that the stream has ended. It fails if that is not where gzip ends, or if
// it was not gzip; not if the search was over before. A stream without a byte has
// no text, and is no failure.
func (g *gunzip) end() error {
	if g.feed.running() {
		g.feed.end()
	}
	return g.err
}

// run reads all members of the stream.
func (g *gunzip) run() {
	err := g.reader.Reset(&g.feed)
	for err == nil {
		var n int
		n, err = g.reader.Read(g.buffer)
		g.text += int64(n)
		g.to.write(g.buffer[:n])
		if g.to.done() || g.stopped() {
			return
		}
	}
	if !errors.Is(err, io.EOF) {
		g.err = &Error{Type: InvalidGzip, Message: fmt.Sprintf("not gzip, or cut off, after %d bytes of text", g.text), Err: err}
	}
}

// isGzip says whether a body is gzip by its key or its Content-Encoding.
func isGzip(key, encoding string) bool {
	if strings.HasSuffix(key, ".gz") {
		return true
	}
	for coding := range strings.SplitSeq(encoding, ",") {
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return true
		}
	}
	return false
}

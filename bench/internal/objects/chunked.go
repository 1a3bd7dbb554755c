package objects

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"fanout/bench/internal/sigv4"
)

// bodyRefusal is an error of a body's reader that has an answer of its own.
type bodyRefusal struct{ as *apiError }

func (e *bodyRefusal) Error() string { return e.as.message }

// The words that stand for the hash of a body in X-Amz-Content-Sha256.
const (
	streamingSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// uploadBody is the body of a request without its transfer encoding.
type uploadBody struct {
	io.Reader
	size    int64 // as the headers say
	trailer func() map[string]string
}

// openBody gives the body of r: how long it is, and its bytes, which end in an
// error where they are not what was signed.
func openBody(r *http.Request, s sigv4.Signature) (b uploadBody, refusal *apiError) {
	b = uploadBody{Reader: r.Body, size: r.ContentLength, trailer: func() map[string]string { return nil }}
	streaming := strings.HasPrefix(s.Payload, "STREAMING-")
	if r.ContentLength < 0 && !streaming {
		if len(r.TransferEncoding) > 0 {
			return b, errNotImplement.with("Header", "Transfer-Encoding")
		}
		return b, errLength
	}
	if streaming {
		decoded := r.Header.Get("X-Amz-Decoded-Content-Length")
		var err error
		if b.size, err = strconv.ParseInt(decoded, 10, 64); err != nil || b.size < 0 {
			return b, errLength
		}
		c := &chunkReader{in: bufio.NewReaderSize(r.Body, maxChunkLine), size: b.size}
		switch s.Payload {
		case streamingSigned, streamingSignedTrailer:
			c.signed, c.previous, c.hash = &s, s.Value, sha256.New()
		case streamingUnsignedTrailer:
		default:
			return b, errNotImplement.saying("x-amz-content-sha256 %s is not implemented here", s.Payload)
		}
		c.hasTrailer = s.Payload != streamingSigned
		b.Reader, b.trailer = c, func() map[string]string { return c.trailer }
		return b, nil
	}
	if s.Payload != sigv4.UnsignedPayload {
		sum, err := hex.DecodeString(s.Payload)
		if err != nil || len(sum) != sha256.Size {
			return b, errArgument.saying("x-amz-content-sha256 must be UNSIGNED-PAYLOAD, %s, %s, %s or a valid sha256 value.",
				streamingUnsignedTrailer, streamingSigned, streamingSignedTrailer)
		}
		b.Reader = &hashReader{in: r.Body, hash: sha256.New(), want: sum}
	}
	return b, nil
}

// hashReader ends in an error where the body has not the hash that was signed.
type hashReader struct {
	in   io.Reader
	hash hash.Hash
	want []byte
}

func (h *hashReader) Read(p []byte) (int, error) {
	n, err := h.in.Read(p)
	h.hash.Write(p[:n])
	if err == io.EOF && !bytes.Equal(h.hash.Sum(nil), h.want) {
		err = &bodyRefusal{errPayloadHash}
	}
	return n, err
}

// maxChunkLine bounds a chunk's header and a line of the trailer.
const maxChunkLine = 4096

// chunkReader takes the aws-chunked encoding off a body:
//
//	SIZE;chunk-signature=SIGNATURE CRLF BYTES CRLF ... 0 CRLF NAME:VALUE CRLF CRLF
//
// The signatures are there where signed is, the lines of the trailer where
// hasTrailer is set.
type chunkReader struct {
	in         *bufio.Reader
	size       int64 // of the chunks that are to come
	hasTrailer bool
	signed     *sigv4.Signature // nil: the chunks are not
	previous   string           // signature
	current    string           // of the chunk that is read, as sent
	hash       hash.Hash        // of it
	left       int64            // of it
	began      bool
	trailer    map[string]string
	err        error // io.EOF once all is read
}

func (c *chunkReader) Read(p []byte) (n int, err error) {
	for c.err == nil && c.left == 0 {
		c.err = c.nextChunk()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err = c.in.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if c.signed != nil {
		c.hash.Write(p[:n])
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	c.err = err
	return n, err
}

// nextChunk ends the chunk that was read and begins the next; io.EOF: there is
// none.
func (c *chunkReader) nextChunk() error {
	if c.began {
		if err := c.endChunk(); err != nil {
			return err
		}
		if line, err := c.line(); err != nil || line != "" {
			return incomplete(err)
		}
	}
	c.began = true
	header, err := c.line()
	if err != nil {
		return err
	}
	digits, extension, _ := strings.Cut(header, ";")
	n, err := strconv.ParseUint(digits, 16, 63)
	if err != nil || int64(n) > c.size {
		return &bodyRefusal{errIncomplete}
	}
	c.left, c.size = int64(n), c.size-int64(n)
	if c.signed != nil {
		var ok bool
		if c.current, ok = strings.CutPrefix(extension, "chunk-signature="); !ok {
			return &bodyRefusal{errChunkMismatch}
		}
	}
	if c.left > 0 {
		return nil
	}
	if err := c.endChunk(); err != nil {
		return err
	}
	if c.size != 0 {
		return &bodyRefusal{errIncomplete}
	}
	return c.readTrailer()
}

func incomplete(err error) error {
	if err != nil {
		return err
	}
	return &bodyRefusal{errIncomplete}
}

// endChunk checks the signature of the chunk that was read.
func (c *chunkReader) endChunk() error {
	if c.signed == nil {
		return nil
	}
	sum := hex.EncodeToString(c.hash.Sum(nil))
	c.hash.Reset()
	want := c.signed.Next(c.previous, "AWS4-HMAC-SHA256-PAYLOAD", sigv4.EmptySHA256, sum)
	if c.current != want {
		return &bodyRefusal{errChunkMismatch}
	}
	c.previous = want
	return nil
}

// readTrailer reads the lines after the last chunk. Its error is io.EOF where
// they are well.
func (c *chunkReader) readTrailer() error {
	c.trailer = make(map[string]string)
	var text strings.Builder
	for {
		if _, err := c.in.Peek(1); err == io.EOF && !c.hasTrailer {
			return io.EOF // not everybody ends with an empty line
		}
		line, err := c.line()
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(name)
		if _, twice := c.trailer[name]; !ok || twice || !c.hasTrailer || len(c.trailer) > 8 {
			return &bodyRefusal{errTrailer}
		}
		c.trailer[name] = strings.TrimSpace(value)
		if name != "x-amz-trailer-signature" {
			text.WriteString(name + ":" + c.trailer[name] + "\n")
		}
	}
	if c.signed != nil && c.hasTrailer {
		sum := sha256.Sum256([]byte(text.String()))
		if c.trailer["x-amz-trailer-signature"] != c.signed.Next(c.previous, "AWS4-HMAC-SHA256-TRAILER", hex.EncodeToString(sum[:])) {
			return &bodyRefusal{errChunkMismatch}
		}
	}
	// What follows is nobody's, but has to be read for the connection to be
	// used again.
	if n, err := io.Copy(io.Discard, c.in); err != nil || n > 0 {
		return incomplete(err)
	}
	return io.EOF
}

// line gives the next line without its end.
func (c *chunkReader) line() (string, error) {
	line, err := c.in.ReadSlice('\n')
	switch {
	case err == io.EOF:
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", incomplete(nil)
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return "", &bodyRefusal{errIncomplete}
	}
	return text, nil
}

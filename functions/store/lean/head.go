package lean

import (
	"bytes"
	"errors"
	"fmt"
)

// maxHeadBytes is the longest response head that is read. S3's are under 1 KB;
// user metadata can add 2 KB.
const maxHeadBytes = readBytes

// head is what of a response's head matters here. The slices point into the
// bytes it was parsed from.
type head struct {
	status       int
	length       int64 // Content-Length; -1: not said
	chunked      bool
	close        bool // the connection cannot be used again
	etag         []byte
	contentRange []byte
	location     []byte
	region       []byte // x-amz-bucket-region
	requestID    []byte
	encoding     []byte // Content-Encoding
}

var (
	errHead  = errors.New("malformed response head")
	errChunk = errors.New("malformed chunked body")
	crlf     = []byte("\r\n")
	headEnd  = []byte("\r\n\r\n")
)

// parse reads a whole head, its empty line included.
func (h *head) parse(b []byte) error {
	*h = head{length: -1}
	line, rest, ok := bytes.Cut(b, crlf)
	if !ok || len(line) < 12 || bytes.ContainsAny(line,
		"\r\n") || string(line[:7]) != "HTTP/1." || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return fmt.Errorf("%w: status line %.60q", errHead, line)
	}
	switch line[7] {
	case '0':
		h.close = true
	case '1':
	default:
		return fmt.Errorf("%w: status line %.60q", errHead, line)
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return fmt.Errorf("%w: status line %.60q", errHead, line)
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 {
		return fmt.Errorf("%w: status %d", errHead, h.status)
	}
	for {
		if line, rest, ok = bytes.Cut(rest, crlf); !ok {
			return fmt.Errorf("%w: no empty line", errHead)
		}
		if len(line) == 0 {
			break
		}
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || line[0] == ' ' || line[0] == '\t' || bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, '\n') >= 0 {
			return fmt.Errorf("%w: header %.60q", errHead, line)
		}
		if err := h.field(line[:colon], bytes.Trim(line[colon+1:], " \t")); err != nil {
			return err
		}
	}
	if h.chunked && h.length >= 0 {
		// RFC 9112, 6.3: the length does not count, and whoever sent both
		// is not to be trusted with a second request.
		h.length, h.close = -1, true
	}
	return nil
}

func (h *head) field(name, value []byte) error {
	switch len(name) {
	case len("etag"):
		if is(name, "etag") {
			h.etag = value
		}
	case len("location"):
		if is(name, "location") {
			h.location = value
		}
	case len("connection"):
		if is(name, "connection") {
			h.close = h.close || is(value, "close")
		}
	case len("content-range"):
		if is(name, "content-range") {
			h.contentRange = value
		}
	case len("content-length"):
		if is(name, "content-length") {
			n, ok := parseInt(value)
			if !ok || h.length >= 0 && h.length != n {
				return fmt.Errorf("%w: content-length %.60q", errHead, value)
			}
			h.length = n
		}
	case len("x-amz-request-id"):
		switch { // content-encoding is as long
		case is(name, "x-amz-request-id"):
			h.requestID = value
		case is(name, "content-encoding"):
			h.encoding = value
		}
	case len("transfer-encoding"):
		if is(name, "transfer-encoding") {
			if !is(value, "chunked") || h.chunked {
				return fmt.Errorf("%w: transfer-encoding %.60q", errHead, value)
			}
			h.chunked = true
		}
	case len("x-amz-bucket-region"):
		if is(name, "x-amz-bucket-region") {
			h.region = value
		}
	}
	return nil
}

// is compares without regard to ASCII case; lower is in lower case.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// parseInt reads a whole number of at most 18 digits, without a sign.
func parseInt(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// dechunker takes a chunked body apart. Its zero value is at the body's start.
type dechunker struct {
	state chunkState
	size  int64 // of the chunk being read: its bytes still to come
	line  int   // bytes of the line being read
}

type chunkState byte

const (
	chunkSize      chunkState = iota // hexadecimal digits
	chunkExtension                   // from the first other byte to the line's end
	chunkSizeEnd                     // the line feed after them
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer   // a trailer line, or the empty one
	chunkTrailerLF // the line feed after it
	chunkDone
)

// maxChunkLine bounds a chunk's size line and all trailers together.
const maxChunkLine = 4096

// next takes bytes off p's front: data is the next piece of the body (empty
// where p held none), rest what comes after it. done says that the body has
// ended; rest is then what follows it.
func (d *dechunker) next(p []byte) (data, rest []byte, done bool, err error) {
	for i, c := range p {
		switch d.state {
		case chunkSize:
			digit, ok := unhex(c)
			switch d.line++; {
			case ok && d.line <= 15:
				d.size = d.size<<4 | int64(digit)
			case d.line == 1 || ok:
				return nil, nil, false, fmt.Errorf("%w: size", errChunk)
			case c == '\r':
				d.state = chunkSizeEnd
			case c == ';' || c == ' ' || c == '\t':
				d.state = chunkExtension
			default:
				return nil, nil, false, fmt.Errorf("%w: size", errChunk)
			}
		case chunkExtension:
			if d.line++; d.line > maxChunkLine || c == '\n' {
				return nil, nil, false, fmt.Errorf("%w: extension", errChunk)
			}
			if c == '\r' {
				d.state = chunkSizeEnd
			}
		case chunkSizeEnd:
			if c != '\n' {
				return nil, nil, false, fmt.Errorf("%w: size line", errChunk)
			}
			d.line, d.state = 0, chunkData
			if d.size == 0 {
				d.state = chunkTrailer
			}
		case chunkData:
			n := min(d.size, int64(len(p)-i))
			if d.size -= n; d.size == 0 {
				d.state = chunkDataCR
			}
			return p[i : i+int(n)], p[i+int(n):], false, nil
		case chunkDataCR:
			if c != '\r' {
				return nil, nil, false, fmt.Errorf("%w: data longer than its size", errChunk)
			}
			d.state = chunkDataLF
		case chunkDataLF:
			if c != '\n' {
				return nil, nil, false, fmt.Errorf("%w: data longer than its size", errChunk)
			}
			d.state = chunkSize
		case chunkTrailer:
			if d.line++; d.line > maxChunkLine || c == '\n' {
				return nil, nil, false, fmt.Errorf("%w: trailer", errChunk)
			}
			if c == '\r' {
				// The size counts the line's bytes now: none marks the end.
				d.state = chunkTrailerLF
			} else {
				d.size++
			}
		case chunkTrailerLF:
			if d.line++; c != '\n' {
				return nil, nil, false, fmt.Errorf("%w: trailer", errChunk)
			}
			if d.size == 0 {
				d.state = chunkDone
				return nil, p[i+1:], true, nil
			}
			d.size, d.state = 0, chunkTrailer
		case chunkDone:
			return nil, p[i:], true, nil
		}
	}
	return nil, nil, d.state == chunkDone, nil
}

func unhex(c byte) (digit byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

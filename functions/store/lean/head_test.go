package lean

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
)

func TestHead(t *testing.T) {
	for _, tt := range []struct {
		name, head string
		want       string // "": refused
	}{
		{"as S3 sends it", "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 12\r\nx-amz-request-id: R\r\n\r\n",
			`200 12 chunked=false close=false etag="e" range= location= region= id=R`},
		{"no reason", "HTTP/1.1 200\r\n\r\n", `200 -1 chunked=false close=false etag= range= location= region= id=`},
		{"any case, any space", "HTTP/1.1 206 x\r\ncOnTeNt-LeNgTh:\t 5 \r\nCONTENT-RANGE:bytes 0-4/9\r\n\r\n",
			`206 5 chunked=false close=false etag= range=bytes 0-4/9 location= region= id=`},
		{"a redirect", "HTTP/1.1 301 x\r\nLocation: https://x/\r\nx-amz-bucket-region: r\r\n\r\n",
			`301 -1 chunked=false close=false etag= range= location=https://x/ region=r id=`},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
			`200 -1 chunked=true close=false etag= range= location= region= id=`},
		{"both lengths: chunked, and never again", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
			`200 -1 chunked=true close=true etag= range= location= region= id=`},
		{"to be closed", "HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n",
			`200 -1 chunked=false close=true etag= range= location= region= id=`},
		{"an old server", "HTTP/1.0 200 OK\r\n\r\n", `200 -1 chunked=false close=true etag= range= location= region= id=`},
		{"the same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
			`200 5 chunked=false close=false etag= range= location= region= id=`},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", ""},
		{"a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", ""},
		{"a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", ""},
		{"a length beyond 64 bits", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", ""},
		{"an encoding we do not know", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ""},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", ""},
		{"not HTTP", "SSH-2.0-OpenSSH_9\r\n\r\n", ""},
		{"no status", "HTTP/1.1 \r\n\r\n", ""},
		{"a status of letters", "HTTP/1.1 2x0 OK\r\n\r\n", ""},
		{"a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", ""},
		{"a status under 100", "HTTP/1.1 099 OK\r\n\r\n", ""},
		{"a folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", ""},
		{"a line without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", ""},
		{"a bare line feed", "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 5\r\n\r\n", ""},
		{"no end", "HTTP/1.1 200 OK\r\nA: b\r\n", ""},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h head
			err := h.parse([]byte(tt.head))
			if tt.want == "" {
				if !errors.Is(err, errHead) {
					t.Fatalf("got %+v, %v", h, err)
				}
				return
			}
			got := fmt.Sprintf("%d %d chunked=%t close=%t etag=%s range=%s location=%s region=%s id=%s",
				h.status, h.length, h.chunked, h.close, h.etag, h.contentRange, h.location, h.region, h.requestID)
			if err != nil || got != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

// FuzzResponseHead: no input does harm, and what both we and net/http take
// means the same to both.
func FuzzResponseHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 12\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 301 \r\nLocation: x\r\nX-Amz-Bucket-Region: eu-west-1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h head
		if h.parse(b) != nil {
			return
		}
		if h.status < 100 || h.status > 999 || h.length < -1 || h.chunked && h.length >= 0 {
			t.Fatalf("%+v", h)
		}
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
		if err != nil {
			return // it checks more: names, values, protocol
		}
		_ = r.Body.Close()
		if h.status != r.StatusCode {
			t.Errorf("status %d, net/http says %d", h.status, r.StatusCode)
		}
		if bodyless := r.StatusCode < 200 || r.StatusCode == 204 || r.StatusCode == 304; !bodyless && h.length != r.ContentLength {
			t.Errorf("length %d, net/http says %d", h.length, r.ContentLength)
		}
		if got, want := string(h.etag), r.Header.Get("Etag"); len(r.Header["Etag"]) == 1 && got != want {
			t.Errorf("etag %q, net/http says %q", got, want)
		}
	})
}

// dechunk reads a body that arrives n bytes at a time.
func dechunk(b []byte, n int) (body, rest []byte, done bool, err error) {
	var d dechunker
	for len(b) > 0 {
		piece := b[:min(n, len(b))]
		b = b[len(piece):]
		for len(piece) > 0 {
			var data []byte
			if data, piece, done, err = d.next(piece); err != nil {
				return body, nil, false, err
			}
			body = append(body, data...)
			if done {
				return body, append(piece[:len(piece):len(piece)], b...), true, nil
			}
		}
	}
	return body, nil, false, nil
}

func TestChunked(t *testing.T) {
	for _, tt := range []struct {
		name, in, body, rest string
		done, bad            bool
	}{
		{name: "one chunk", in: "5\r\nhello\r\n0\r\n\r\n", body: "hello", done: true},
		{name: "hexadecimal, both cases", in: "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", body: "01234567890123456789", done: true},
		{name: "an extension and trailers", in: "1;x=\"y\"\r\n!\r\n0;z\r\nA: b\r\nC: d\r\n\r\nnext", body: "!", done: true, rest: "next"},
		{name: "empty", in: "0\r\n\r\n", done: true},
		{name: "cut in the data", in: "5\r\nhel", body: "hel"},
		{name: "cut before the last chunk", in: "5\r\nhello\r\n", body: "hello"},
		{name: "cut in the end", in: "5\r\nhello\r\n0\r\n", body: "hello"},
		{name: "no size", in: "\r\nhello", bad: true},
		{name: "not hexadecimal", in: "g\r\n", bad: true},
		{name: "a negative size", in: "-1\r\n", bad: true},
		{name: "a size that overflows", in: "fffffffffffffffff\r\n", bad: true},
		{name: "more data than said", in: "2\r\nhello\r\n", body: "he", bad: true},
		{name: "a bare line feed", in: "5\nhello\n0\n\n", bad: true},
		{name: "an endless extension", in: "5;" + strings.Repeat("x", maxChunkLine), bad: true},
		{name: "endless trailers", in: "0\r\n" + strings.Repeat("A: b\r\n", maxChunkLine/6+1), bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := 1; n <= len(tt.in); n++ {
				body, rest, done, err := dechunk([]byte(tt.in), n)
				if string(body) != tt.body || string(rest) != tt.rest || done != tt.done || errors.Is(err, errChunk) != tt.bad {
					t.Fatalf("%d bytes at a time: %q, rest %q, %t, %v", n, body, rest, done, err)
				}
			}
		})
	}
}

// FuzzChunked: the pieces do not matter, and what we take to the end net/http
// reads alike.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), 3)
	f.Add([]byte("1;x=y\r\n!\r\n0\r\nA: b\r\n\r\nnext"), 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 1 || len(b) > 1<<16 {
			return
		}
		body, _, done, err := dechunk(bytes.Clone(b), max(len(b), 1))
		body2, _, done2, err2 := dechunk(bytes.Clone(b), n)
		if !bytes.Equal(body, body2) || done != done2 || (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %q %t %v; by %d: %q %t %v", body, done, err, n, body2, done2, err2)
		}
		if !done {
			return
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b)))
		if err == nil && !bytes.Equal(body, want) {
			t.Errorf("got %q, net/http reads %q", body, want)
		}
	})
}

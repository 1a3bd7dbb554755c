package objects

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"fanout/bench/internal/sigv4"
)

// chunkSigner signs chunks as AWS describes it (Signature Calculation:
// Transferring a Payload in Multiple Chunks), without this repository's code.
type chunkSigner struct {
	key            []byte
	date, scope    string
	previous       string
	payload, final string // algorithms
}

func hmacOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func newChunkSigner() (*chunkSigner, sigv4.Signature) {
	key := hmacOf(hmacOf(hmacOf(hmacOf([]byte("AWS4secret"), "20260304"), "us-east-1"), "s3"), "aws4_request")
	seed := strings.Repeat("ab", 32)
	s := &chunkSigner{key, "20260304T050607Z", "20260304/us-east-1/s3/aws4_request", seed, "AWS4-HMAC-SHA256-PAYLOAD",
		"AWS4-HMAC-SHA256-TRAILER"}
	return s, sigv4.Signature{Key: &sigv4.Key{ID: "ID", Secret: "secret"}, Date: s.date, Scope: s.scope, Value: seed}
}

func (s *chunkSigner) next(lines ...string) string {
	s.previous = hex.EncodeToString(hmacOf(s.key, strings.Join(lines, "\n")))
	return s.previous
}

func (s *chunkSigner) chunk(data string) string {
	signature := s.next(s.payload, s.date, s.scope, s.previous, hashOf(""), hashOf(data))
	text := fmt.Sprintf("%x;chunk-signature=%s\r\n%s", len(data), signature, data)
	if data != "" {
		text += "\r\n"
	}
	return text
}

func (s *chunkSigner) trailer(line string) string {
	return line + "\r\nx-amz-trailer-signature:" + s.next(s.final, s.date, s.scope, s.previous, hashOf(line+"\n")) + "\r\n\r\n"
}

func openChunked(t testing.TB, payload string, s sigv4.Signature, size int, wire string) (uploadBody, *apiError) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://127.0.0.1/b/k", strings.NewReader(wire))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(size))
	s.Payload = payload
	return openBody(r, s)
}

func TestSignedChunks(t *testing.T) {
	s, signature := newChunkSigner()
	plain := s.chunk("hello") + s.chunk(strings.Repeat("x", 70_000)) + s.chunk("")
	s, _ = newChunkSigner()
	trailed := s.chunk("hello") + s.chunk("") + s.trailer("x-amz-checksum-crc32:AAAAAA==")
	s, _ = newChunkSigner()
	unordered := s.chunk("a")
	unordered = s.chunk("b") + unordered + s.chunk("")
	for _, row := range []struct {
		name, payload, wire string
		size                int
		code                string // "": all is well
	}{
		{"two chunks", streamingSigned, plain + "\r\n", 70_005, ""},
		{"without the last line", streamingSigned, plain, 70_005, ""},
		{"with a trailer", streamingSignedTrailer, trailed, 5, ""},
		{"a byte changed", streamingSigned, strings.Replace(plain, "hello", "hallo", 1), 70_005, "SignatureDoesNotMatch"},
		{"a late byte changed", streamingSigned, strings.Replace(plain, "xx\r\n", "xy\r\n", 1), 70_005, "SignatureDoesNotMatch"},
		{"the last signature changed", streamingSigned, plain[:len(plain)-4] + "00\r\n", 70_005, "SignatureDoesNotMatch"},
		{"the last chunk left out", streamingSigned, plain[:strings.LastIndex(plain, "0;chunk")], 70_005, "IncompleteBody"},
		{"chunks out of order", streamingSigned, unordered, 2, "SignatureDoesNotMatch"},
		{"a chunk that is not signed", streamingSigned, "5\r\nhello\r\n0\r\n\r\n", 5, "SignatureDoesNotMatch"},
		{"the trailer changed", streamingSignedTrailer, strings.Replace(trailed, "AAAAAA", "BAAAAA", 1), 5, "SignatureDoesNotMatch"},
		{"the trailer not signed", streamingSignedTrailer, trailed[:strings.Index(trailed, "x-amz-trailer")] + "\r\n", 5,
			"SignatureDoesNotMatch"},
		{"a trailer where none is", streamingSigned, trailed, 5, "MalformedTrailerError"},
		{"more behind the end", streamingSigned, plain + "\r\nmore", 70_005, "IncompleteBody"},
		{"a longer line than any", streamingUnsignedTrailer, strings.Repeat("0", 5000), 5, "IncompleteBody"},
		{"a line that ends in LF", streamingUnsignedTrailer, "5\nhello\r\n0\r\n\r\n", 5, "IncompleteBody"},
		{"a name twice in the trailer", streamingUnsignedTrailer, "0\r\na:1\r\nA:2\r\n\r\n", 0, "MalformedTrailerError"},
		{"a trailer without a colon", streamingUnsignedTrailer, "0\r\na\r\n\r\n", 0, "MalformedTrailerError"},
		{"a trailer without its end", streamingUnsignedTrailer, "0\r\na:1\r\n", 0, "IncompleteBody"},
		{"a curve's signature", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", plain, 5, "NotImplemented"},
	} {
		t.Run(row.name, func(t *testing.T) {
			body, refusal := openChunked(t, row.payload, signature, row.size, row.wire)
			if refusal == nil {
				b := bodies{limit: 1 << 30}
				if _, err := b.receive(body, body.size); err != nil {
					refusal = bodyError(err)
				}
				if refusal != nil && b.used.Load() != 0 {
					t.Errorf("%d bytes are kept of what was refused", b.used.Load())
				}
			}
			if code := codeOf(refusal); code != row.code {
				t.Errorf("%q, want %q", code, row.code)
			}
		})
	}
}

func codeOf(e *apiError) string {
	if e == nil {
		return ""
	}
	return e.code
}

// FuzzChunked: what comes out of any body is no more than was promised, all of
// it where there is no error, and the same however it is cut into chunks.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"), uint16(5), uint8(2))
	f.Add([]byte("0\r\n\r\n"), uint16(0), uint8(0))
	f.Add([]byte("5;chunk-signature=00\r\nhello\r\n"), uint16(5), uint8(1))
	f.Add([]byte("ffffffffffffffff\r\n"), uint16(9), uint8(3))
	f.Add([]byte("a\r\nhelloworld\r\n0\r\n\r\n"), uint16(5), uint8(9)) // more than was promised
	f.Fuzz(func(t *testing.T, wire []byte, size uint16, cut uint8) {
		_, signature := newChunkSigner()
		for _, payload := range []string{streamingUnsignedTrailer, streamingSigned, streamingSignedTrailer} {
			body, refusal := openChunked(t, payload, signature, int(size), string(wire))
			if refusal != nil {
				t.Fatal(refusal.message)
			}
			got, err := io.ReadAll(body)
			if len(got) > int(size) || err == nil && len(got) != int(size) {
				t.Errorf("%d bytes of %d, %v", len(got), size, err)
			}
			if err == nil && payload != streamingUnsignedTrailer {
				t.Errorf("%q: took a signature that nobody made", wire)
			}
		}
		var b strings.Builder
		for rest := wire; ; {
			n := min(len(rest), int(cut)+1)
			fmt.Fprintf(&b, "%x\r\n", n)
			if n == 0 {
				break
			}
			b.Write(rest[:n])
			b.WriteString("\r\n")
			rest = rest[n:]
		}
		b.WriteString("x-amz-checksum-crc32:AAAAAA==\r\n\r\n")
		body, refusal := openChunked(t, streamingUnsignedTrailer, signature, len(wire), b.String())
		if refusal != nil {
			t.Fatal(refusal.message)
		}
		got, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(got, wire) || body.trailer()["x-amz-checksum-crc32"] != "AAAAAA==" {
			t.Errorf("%q became %q, %v, %v", wire, got, body.trailer(), err)
		}
	})
}

// A body that fails on its way leaves no bytes, no file and no memory.
func TestReceiveFails(t *testing.T) {
	broken := errors.New("broken")
	for _, limit := range []int64{1 << 20, -1} { // in memory, in a file
		for _, row := range []struct {
			name string
			in   io.Reader
			size int64
			want error
		}{
			{"cut short", strings.NewReader("abc"), 4, &bodyRefusal{}},
			{"too long", strings.NewReader("abcde"), 4, &bodyRefusal{}},
			{"an error on its way", io.MultiReader(strings.NewReader("ab"), failing{broken}), 4, broken},
			{"an error at its end", io.MultiReader(strings.NewReader("abcd"), failing{broken}), 4, broken},
		} {
			b := bodies{dir: t.TempDir(), limit: limit}
			_, err := b.receive(row.in, row.size)
			var refusal *bodyRefusal
			if errors.As(row.want, &refusal) != errors.As(err, &refusal) || errors.Is(row.want, broken) != errors.Is(err, broken) {
				t.Errorf("%s: %v, want %v", row.name, err, row.want)
			}
			if b.used.Load() != 0 {
				t.Errorf("%s: %d bytes of memory are still taken", row.name, b.used.Load())
			}
			if left, err := (fileBody(b.dir + "/1")).open(0, 0); err == nil {
				t.Errorf("%s: its file is left", row.name)
				_ = left.Close()
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

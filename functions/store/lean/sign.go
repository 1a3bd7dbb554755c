package lean

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// emptyHash is the SHA-256 of no bytes: what a GET sends. UNSIGNED-PAYLOAD is
// 48 bytes shorter, under one block of SHA-256, but bucket policies may refuse
// it (s3:x-amz-content-sha256).
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Headers that carry a session token: S3's own, and an S3 Express session's.
const (
	securityToken = "x-amz-security-token"
	sessionToken  = "x-amz-s3session-token"
)

// request is one GET or, with a body, one PUT. All but its key is as it goes over
// the wire, escaped; a query is also sorted by name.
type request struct {
	prefix      string // of the path, before the slash and the key
	key         string
	query       string
	authority   string // the Host header
	ifMatch     string
	from, to    int64  // Range, both inclusive; to 0: the whole
	sessionMode string // x-amz-create-session-mode
	body        []byte // not nil: PUT
	bodyHash    string // its SHA-256 in hexadecimal digits
}

// signingKey is what one set of credentials signs with for one UTC day, in
// one region, for one service: all that does not depend on the request.
type signingKey struct {
	from, until int64 // Unix seconds of use: from is the day's start
	day         string
	scope       string // DAY/REGION/SERVICE/aws4_request
	credential  string // the Authorization header up to the signed headers
	secret      []byte
	tokenHeader string // in lower case; empty: no token
	token       string
}

// newSigningKey derives the key for now's day. It must not be used after
// renew, where that is not zero.
func newSigningKey(c aws.Credentials, now, renew time.Time, region, service, tokenHeader string) *signingKey {
	now = now.UTC()
	day := now.Format("20060102")
	secret := []byte("AWS4" + c.SecretAccessKey)
	for _, part := range []string{day, region, service, "aws4_request"} {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(part))
		secret = mac.Sum(nil)
	}
	midnight := now.Truncate(24 * time.Hour)
	k := &signingKey{
		from: midnight.Unix(), until: midnight.Unix() + secondsADay,
		day: day, scope: day + "/" + region + "/" + service + "/aws4_request", secret: secret,
	}
	k.credential = "AWS4-HMAC-SHA256 Credential=" + c.AccessKeyID + "/" + k.scope + ", SignedHeaders="
	if c.SessionToken != "" {
		k.tokenHeader, k.token = tokenHeader, c.SessionToken
	}
	if !renew.IsZero() {
		k.until = min(k.until, renew.Unix())
	}
	return k
}

const secondsADay = 24 * 60 * 60

// signer builds signed requests. It keeps its buffers and the hashed key from
// one request to the next: one belongs to each connection.
type signer struct {
	key       *signingKey
	mac       hash.Hash // keyed with key.secret; its Reset costs no hashing
	wire      []byte
	canonical []byte
	sum       [sha256.Size]byte
}

// sign gives r's bytes for the wire, good until the next call. unix is the
// request's time in Unix seconds, within k's.
func (s *signer) sign(r *request, k *signingKey, unix int64) []byte {
	if s.key != k {
		s.key, s.mac = k, hmac.New(sha256.New, k.secret)
	}
	s.mac.Reset()
	var date [len("20130524T000000Z")]byte
	stamp(&date, k.day, unix-k.from)

	// Each header is written twice, as sent and as signed, in the alphabetical
	// order of the names that a signature wants.
	w, c := s.wire[:0], s.canonical[:0]
	method, bodyHash := "GET", emptyHash
	if r.body != nil {
		method, bodyHash = "PUT", r.bodyHash
	}
	w = append(append(w, method...), ' ')
	c = append(append(c, method...), '\n')
	path := len(w)
	w = appendPath(append(append(w, r.prefix...), '/'), r.key)
	c = append(append(c, w[path:]...), '\n')
	if r.query != "" {
		w = append(append(w, '?'), r.query...)
		c = append(c, r.query...)
	}
	w = append(append(w, " HTTP/1.1\r\nUser-Agent: fanout\r\nHost: "...), r.authority...)
	c = append(append(c, "\nhost:"...), r.authority...)
	if r.ifMatch != "" {
		w = append(append(w, "\r\nIf-Match: "...), r.ifMatch...)
		c = append(append(c, "\nif-match:"...), r.ifMatch...)
	}
	if r.to > 0 {
		w = appendRange(append(w, "\r\nRange: bytes="...), r.from, r.to)
		c = appendRange(append(c, "\nrange:bytes="...), r.from, r.to)
	}
	if r.body != nil { // not signed: a wrong length breaks the exchange, not the signature
		w = strconv.AppendInt(append(w, "\r\nContent-Length: "...), int64(len(r.body)), 10)
	}
	w = append(append(w, "\r\nx-amz-content-sha256: "...), bodyHash...)
	c = append(append(c, "\nx-amz-content-sha256:"...), bodyHash...)
	if r.sessionMode != "" {
		w = append(append(w, "\r\nx-amz-create-session-mode: "...), r.sessionMode...)
		c = append(append(c, "\nx-amz-create-session-mode:"...), r.sessionMode...)
	}
	w = append(append(w, "\r\nx-amz-date: "...), date[:]...)
	c = append(append(c, "\nx-amz-date:"...), date[:]...)
	if k.tokenHeader != "" {
		w = append(append(append(append(w, "\r\n"...), k.tokenHeader...), ": "...), k.token...)
		c = append(append(append(append(c, '\n'), k.tokenHeader...), ':'), k.token...)
	}
	w = append(append(w, "\r\nAuthorization: "...), k.credential...)
	c = append(c, "\n\n"...)
	names := len(w)
	w = append(w, "host"...)
	if r.ifMatch != "" {
		w = append(w, ";if-match"...)
	}
	if r.to > 0 {
		w = append(w, ";range"...)
	}
	w = append(w, ";x-amz-content-sha256"...)
	if r.sessionMode != "" {
		w = append(w, ";x-amz-create-session-mode"...)
	}
	w = append(w, ";x-amz-date"...)
	if k.tokenHeader != "" {
		w = append(append(w, ';'), k.tokenHeader...)
	}
	c = append(append(append(c, w[names:]...), '\n'), bodyHash...)

	s.sum = sha256.Sum256(c)
	c = append(append(c[:0], "AWS4-HMAC-SHA256\n"...), date[:]...)
	c = append(append(append(c, '\n'), k.scope...), '\n')
	c = hex.AppendEncode(c, s.sum[:])
	s.mac.Write(c)
	w = hex.AppendEncode(append(w, ", Signature="...), s.mac.Sum(s.sum[:0]))
	w = append(w, "\r\n\r\n"...)
	s.wire, s.canonical = w, c
	return w
}

func appendRange(b []byte, from, to int64) []byte {
	return strconv.AppendInt(append(strconv.AppendInt(b, from, 10), '-'), to, 10)
}

// stamp writes DAYThhmmssZ.
func stamp(to *[16]byte, day string, second int64) {
	copy(to[:8], day)
	to[8], to[15] = 'T', 'Z'
	for i, n := range [3]int64{second / 3600, second / 60 % 60, second % 60} {
		to[9+2*i], to[10+2*i] = byte('0'+n/10), byte('0'+n%10)
	}
}

// unreserved bytes go into a URL as they are (RFC 3986, and SigV4's UriEncode).
var unreserved = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~" {
		t[c] = true
	}
	return t
}()

// appendPath escapes a key: every byte but the unreserved ones and the slash.
func appendPath(b []byte, key string) []byte { return appendEscaped(b, key, '/') }

// appendQuery escapes a query's value: every byte but the unreserved ones.
func appendQuery(b []byte, value string) []byte { return appendEscaped(b, value, 'A') }

func appendEscaped(b []byte, s string, also byte) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; unreserved[c] || c == also {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

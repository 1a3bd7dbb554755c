// Package sigv4 verifies AWS Signature Version 4: the servers on this machine,
// S3 and Lambda, tell by it who calls. [Verifier.Verify] takes a request apart,
// signs it again with the secret that the caller should have, and compares.
//
// It only verifies. functions/store/lean signs with code of its own, since it
// writes the bytes of a GET and its canonical request in one pass, on the path
// that is measured. The two share no code, so that a mistake in one of them is
// seen in the other.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Algorithm begins an Authorization header, and every string to sign.
	Algorithm = "AWS4-HMAC-SHA256"
	// DateFormat is that of X-Amz-Date, in UTC.
	DateFormat = "20060102T150405Z"
	// EmptySHA256 is the SHA-256 of no bytes.
	EmptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	// UnsignedPayload stands for the hash of a body that is not signed.
	UnsignedPayload = "UNSIGNED-PAYLOAD"
	// MaxExpires is how long a presigned URL may be good for: a week.
	MaxExpires = 7 * 24 * time.Hour

	terminator = "aws4_request"
	dayFormat  = "20060102"
)

// Reason says why a request is refused, so that each service can answer with
// its own code for it.
type Reason int

// The reasons there are.
const (
	Anonymous          Reason = iota + 1 // not signed at all
	UnsupportedVersion                   // signed with Signature Version 2
	TwoMechanisms                        // signed in the header and in the query
	Malformed                            // the Authorization header cannot be read
	MalformedQuery                       // nor can the query of a presigned URL
	UnknownKey                           // nobody has that access key id
	WrongScope                           // signed for another day, region or service
	NoDate                               // no X-Amz-Date, or one that cannot be read
	Skewed                               // signed too long ago, or too far ahead
	NotYetValid                          // a presigned URL of the future
	Expired                              // a presigned URL of the past
	Unsigned                             // a header that has to be signed is not
	NoPayloadHash                        // no X-Amz-Content-Sha256 where the service wants one
	Mismatch                             // everything can be read, but the signature is not the secret's
)

// Refusal is why a request is not let in.
type Refusal struct {
	Reason Reason
	Text   string // what is wrong, as a sentence; it never has a secret in it
	Region string // with WrongScope: the region that signatures must name, if there is one
}

func (r *Refusal) Error() string { return r.Text }

func refuse(why Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: why, Text: fmt.Sprintf(format, args...)}
}

// Key is an access key. It keeps what it last signed with, which depends on
// the day, region and service only.
type Key struct {
	ID, Secret string
	derived    atomic.Pointer[derivedKey]
}

type derivedKey struct {
	scope string
	key   []byte
}

// derive gives the signing key for a scope: DAY/REGION/SERVICE/aws4_request.
func (k *Key) derive(scope string) []byte {
	if d := k.derived.Load(); d != nil && d.scope == scope {
		return d.key
	}
	key := []byte("AWS4" + k.Secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = sumHMAC(key, part)
	}
	k.derived.Store(&derivedKey{scope, key})
	return key
}

func sumHMAC(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data)) // a hash never fails
	return h.Sum(nil)
}

// Verifier checks the signatures of one service's requests.
type Verifier struct {
	Service string // that signatures must name: s3, lambda
	Region  string // that they must name; "": any
	// MaxSkew is how far the date of a request may be from now.
	MaxSkew time.Duration
	// Presigned lets a signature stand in the query, too.
	Presigned bool
	// EscapePathTwice is what every service but S3 wants of the path.
	EscapePathTwice bool
	// Lookup gives the key with an id, or nil.
	Lookup func(id string) *Key
}

// Signature is a signature that was found good.
type Signature struct {
	Key   *Key
	Date  string // as in X-Amz-Date
	Scope string // DAY/REGION/SERVICE/aws4_request
	Value string // 64 hexadecimal digits
	// Payload is the hash of the body that was signed, or one of the words that
	// S3 knows in its place. Whether the body has that hash is for the caller to
	// see.
	Payload string
}

// Verify tells who signed r, or why r must not be let in. payload is the
// SHA-256 of the body in hexadecimal digits; "": what the header
// X-Amz-Content-Sha256 says it is, as for S3, which wants that header, and
// checks the body while it reads it.
func (v *Verifier) Verify(r *http.Request, payload string, now time.Time) (Signature, *Refusal) {
	header := r.Header.Get("Authorization")
	inQuery := false
	if v.Presigned && r.URL.RawQuery != "" {
		q := r.URL.Query()
		if header == "" && q.Has("AWSAccessKeyId") && q.Has("Signature") {
			return Signature{}, refuseVersion2()
		}
		inQuery = q.Has("X-Amz-Algorithm") || q.Has("X-Amz-Signature")
	}
	switch {
	case header != "" && inQuery:
		return Signature{}, refuse(TwoMechanisms, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "+
			"Signature query string parameter or the Authorization header should be specified")
	case inQuery:
		return v.verifyQuery(r, payload, now)
	case header == "":
		return Signature{}, refuse(Anonymous, "the request is not signed")
	}
	return v.verifyHeader(r, header, payload, now)
}

func refuseVersion2() *Refusal {
	return refuse(UnsupportedVersion, "The authorization mechanism you have provided is not supported. Please use "+Algorithm+".")
}

// verifyHeader checks a signature in the Authorization header.
func (v *Verifier) verifyHeader(r *http.Request, header, payload string, now time.Time) (Signature, *Refusal) {
	a, refusal := parseHeader(header)
	if refusal != nil {
		return Signature{}, refusal
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(DateFormat, date)
	if err != nil {
		return Signature{}, refuse(NoDate, "AWS authentication requires a valid Date or x-amz-date header")
	}
	if refusal := v.checkScope(a, date); refusal != nil {
		return Signature{}, refusal
	}
	key := v.Lookup(a.id)
	if key == nil {
		return Signature{}, refuse(UnknownKey, "The AWS Access Key Id you provided does not exist in our records.")
	}
	if now.Sub(at).Abs() > v.MaxSkew {
		return Signature{}, refuse(Skewed, "The difference between the request time and the current time is too large.")
	}
	if payload == "" {
		if payload = r.Header.Get("X-Amz-Content-Sha256"); payload == "" {
			return Signature{}, refuse(NoPayloadHash, "Missing required header for this request: x-amz-content-sha256")
		}
	}
	return v.compare(r, a, Signature{key, date, a.scope, a.signature, payload}, r.URL.RawQuery)
}

// verifyQuery checks a presigned URL.
func (v *Verifier) verifyQuery(r *http.Request, payload string, now time.Time) (Signature, *Refusal) {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return Signature{}, err
	}
	if err := v.checkScope(q.authorization, q.date); err != nil {
		err.Reason = MalformedQuery
		return Signature{}, err
	}
	key := v.Lookup(q.id)
	if key == nil {
		return Signature{}, refuse(UnknownKey, "The AWS Access Key Id you provided does not exist in our records.")
	}
	switch {
	case q.at.After(now.Add(v.MaxSkew)):
		return Signature{}, refuse(NotYetValid, "Request is not yet valid")
	case now.After(q.at.Add(q.expires)):
		return Signature{}, refuse(Expired, "Request has expired")
	}
	if payload == "" {
		if payload = r.Header.Get("X-Amz-Content-Sha256"); payload == "" {
			payload = UnsignedPayload
		}
	}
	return v.compare(r, q.authorization, Signature{key, q.date, q.scope, q.signature, payload}, q.signedQuery)
}

// checkScope holds what the caller signed for against what is served here.
func (v *Verifier) checkScope(a authorization, date string) *Refusal {
	parts := strings.Split(a.scope, "/") // four: the parsers have seen to that
	wrong := func(format string, args ...any) *Refusal {
		return &Refusal{Reason: WrongScope, Text: "The authorization header is malformed; " + fmt.Sprintf(format, args...), Region: v.Region}
	}
	switch {
	case len(parts[0]) != len(dayFormat) || !strings.HasPrefix(date, parts[0]):
		return wrong("Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", parts[0], date)
	case v.Region != "" && parts[1] != v.Region:
		return wrong("the region '%s' is wrong; expecting '%s'", parts[1], v.Region)
	case parts[2] != v.Service:
		return wrong("incorrect service %q. This endpoint belongs to %q.", parts[2], v.Service)
	case parts[3] != terminator:
		return wrong("incorrect terminal %q. This endpoint uses %q.", parts[3], terminator)
	}
	return nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}

// compare signs r again and compares the signatures.
func (v *Verifier) compare(r *http.Request, a authorization, s Signature, query string) (Signature, *Refusal) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	b, missing := v.appendCanonical((*buf)[:0], r, a.signedHeaders, query)
	*buf = b
	if missing != "" {
		return Signature{}, refuse(Unsigned, "There were headers present in the request which were not signed: %s", missing)
	}
	b = append(b, s.Payload...)
	sum := sha256.Sum256(b)
	b = append(append(append(append(append(b[:0], Algorithm...), '\n'), s.Date...), '\n'), s.Scope...)
	b = hex.AppendEncode(append(b, '\n'), sum[:])
	h := hmac.New(sha256.New, s.Key.derive(s.Scope))
	h.Write(b)
	b = h.Sum(b[:0])
	b = hex.AppendEncode(b, b)
	*buf = b
	if subtle.ConstantTimeCompare(b[sha256.Size:], []byte(s.Value)) != 1 {
		return Signature{}, refuse(Mismatch, "The request signature we calculated does not match the signature you provided. "+
			"Check your key and signing method.")
	}
	return s, nil
}

// Next gives the signature of the next chunk of an aws-chunked body, after that
// of previous. what is the algorithm of the chunk, as S3 names it:
// AWS4-HMAC-SHA256-PAYLOAD with the hash of an empty string and of the chunk,
// AWS4-HMAC-SHA256-TRAILER with that of the trailing headers.
func (s Signature) Next(previous, what string, hashes ...string) string {
	text := strings.Join(append([]string{what, s.Date, s.Scope, previous}, hashes...), "\n")
	return hex.EncodeToString(sumHMAC(s.Key.derive(s.Scope), text))
}

// authorization is a signature taken apart. Its scope has four parts.
type authorization struct {
	id, scope, signedHeaders, signature string
}

// parseHeader takes an Authorization header apart.
func parseHeader(header string) (a authorization, refusal *Refusal) {
	malformed := func(text string) *Refusal {
		return refuse(Malformed, "The authorization header is malformed; %s", text)
	}
	scheme, rest, _ := strings.Cut(header, " ")
	if scheme == "AWS" {
		return authorization{}, refuseVersion2()
	}
	if scheme != Algorithm {
		return authorization{}, malformed("it does not begin with " + Algorithm + ".")
	}
	var credential string
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		var to *string
		switch name {
		case "Credential":
			to = &credential
		case "SignedHeaders":
			to = &a.signedHeaders
		case "Signature":
			to = &a.signature
		}
		if to == nil || *to != "" || value == "" {
			return authorization{}, malformed("it must have Credential, SignedHeaders and Signature, once each.")
		}
		*to = value
	}
	if !a.setCredential(credential) {
		return authorization{}, malformed("the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	if a.signature == "" || !ascending(a.signedHeaders) {
		return authorization{}, malformed("it must have a Signature, and SignedHeaders in lower case and in order, each once.")
	}
	return a, nil
}

// setCredential takes ID/20260101/us-east-1/s3/aws4_request apart: the id ends
// at the first slash.
func (a *authorization) setCredential(credential string) (ok bool) {
	a.id, a.scope, ok = strings.Cut(credential, "/")
	return ok && a.id != "" && strings.Count(a.scope, "/") == 3
}

// ascending says whether names are in lower case and in order, each once, as
// they have to be. subtle: one signed twice would make up for one not signed
// where the signed ones are counted.
func ascending(names string) bool {
	last := ""
	for name := range strings.SplitSeq(names, ";") {
		if name <= last || name != strings.ToLower(name) {
			return false
		}
		last = name
	}
	return true
}

// presigned is the query of a presigned URL, taken apart.
type presigned struct {
	authorization
	date        string
	at          time.Time
	expires     time.Duration
	signedQuery string // the raw query without the signature
}

// presignedParameters are those that a presigned URL has to have.
var presignedParameters = []string{
	"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
}

// parseQuery takes the query of a presigned URL apart.
func parseQuery(raw string) (p presigned, refusal *Refusal) {
	values := make(map[string]string)
	rest := make([]string, 0, 8)
	for part := range strings.SplitSeq(raw, "&") {
		escapedName, escapedValue, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(escapedName)
		if err == nil && strings.HasPrefix(name, "X-Amz-") {
			if _, twice := values[name]; twice {
				return presigned{}, refuse(MalformedQuery, "Query-string authentication version 4 takes %s once.", name)
			}
			if values[name], err = url.QueryUnescape(escapedValue); err != nil {
				return presigned{}, refuse(MalformedQuery, "%s cannot be read.", name)
			}
		}
		if name != "X-Amz-Signature" {
			rest = append(rest, part)
		}
	}
	for _, name := range presignedParameters {
		if values[name] == "" {
			return presigned{}, refuse(MalformedQuery, "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "+
				"X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
	}
	p.signedHeaders, p.signature, p.date = values["X-Amz-SignedHeaders"], values["X-Amz-Signature"], values["X-Amz-Date"]
	p.signedQuery = strings.Join(rest, "&")
	if values["X-Amz-Algorithm"] != Algorithm {
		return presigned{}, refuse(MalformedQuery, "X-Amz-Algorithm only supports %q", Algorithm)
	}
	if !p.setCredential(values["X-Amz-Credential"]) {
		return presigned{}, refuse(MalformedQuery, "Error parsing the X-Amz-Credential parameter; "+
			"the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	var err error
	if p.at, err = time.Parse(DateFormat, p.date); err != nil {
		return presigned{}, refuse(MalformedQuery, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
	}
	seconds := values["X-Amz-Expires"]
	if p.expires, err = time.ParseDuration(seconds + "s"); err != nil || strings.Trim(seconds, "0123456789") != "" {
		return presigned{}, refuse(MalformedQuery, "X-Amz-Expires should be a number")
	}
	if p.expires > MaxExpires {
		return presigned{}, refuse(MalformedQuery, "X-Amz-Expires must be less than a week (in seconds); "+
			"that is, the given X-Amz-Expires must be less than 604800 seconds")
	}
	if !ascending(p.signedHeaders) {
		return presigned{}, refuse(MalformedQuery, "X-Amz-SignedHeaders must be in lower case and in order, each once.")
	}
	return p, nil
}

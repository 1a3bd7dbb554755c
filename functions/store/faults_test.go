package store_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fanout/functions/fetch"
	"fanout/functions/store"
)

// regionOf is the region that a request is signed for.
func regionOf(r *http.Request) string {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if scope := strings.Split(credential, "/"); len(scope) > 2 {
		return scope[2]
	}
	return ""
}

// document answers with S3's error document, or without one where code is empty.
func document(status int, code, more string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		if code != "" {
			_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code>%s</Error>", code, more)
		}
	}
}

// good answers a listing of one object, and its body.
func good(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("list-type") == "2" {
		_, _ = fmt.Fprint(w, `<ListBucketResult><Contents><Key>key</Key><Size>4</Size></Contents></ListBucketResult>`)
		return
	}
	_, _ = fmt.Fprint(w, "body")
}

// elsewhere is a bucket in eu-west-1 that says so to whoever signs for another
// region, with refusal.
func elsewhere(refusal http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if regionOf(r) == "eu-west-1" {
			good(w, r)
			return
		}
		refusal(w, r)
	}
}

// bytesThenClose writes past net/http.
func bytesThenClose(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(c, answer)
		if tcp, ok := c.(*net.TCPConn); ok && strings.HasSuffix(answer, "reset") {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// once breaks the first request to each bucket, and is good from then on.
func once(broken http.HandlerFunc) http.HandlerFunc {
	var seen sync.Map
	return func(w http.ResponseWriter, r *http.Request) {
		if _, again := seen.LoadOrStore(strings.Split(r.URL.Path, "/")[1], true); again {
			good(w, r)
			return
		}
		broken(w, r)
	}
}

// noNames makes every look-up of a name fail as one that does not exist, by a
// name server on loopback.
func noNames(t *testing.T) {
	t.Helper()
	server, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for b := make([]byte, 1500); ; {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			if n > 12 {
				b[2], b[3] = b[2]|0x80, 3 // an answer: NXDOMAIN
				b[11] = 0                 // without what else was asked
				if n = 12 + strings.IndexByte(string(b[12:n]), 0) + 5; n > len(b) {
					continue
				}
				_, _ = server.WriteTo(b[:n], from)
			}
		}
	})
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = server.Close()
		done.Wait()
	})
}

// outcome is what a client makes of a fault: of a request, and of an invocation.
type outcome struct {
	store  string // the error's type: "ok", "untyped" where it has none
	answer string // the invocation's errorType, or "ok"
}

func typeOf(err error) string {
	var typed *fetch.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &typed):
		return typed.Type
	}
	return "untyped"
}

// TestFaults: whatever goes wrong, all clients answer alike.
func TestFaults(t *testing.T) {
	noNames(t)
	const short = "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\nbo"
	const page = "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n<ListBucketResult><Contents>"
	stuck := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // net/http sees that a client has gone only after its body
		<-r.Context().Done()
	}
	ok := outcome{"ok", "ok"}
	refused := func(kind string) [2]outcome { // of reading, and of listing
		return [2]outcome{{kind, fetch.ObjectReadFailed}, {kind, fetch.ListFailed}}
	}
	named := func(kind string) [2]outcome { return [2]outcome{{kind, fetch.ObjectReadFailed}, {kind, kind}} }
	region := []string{"x-amz-bucket-region", "eu-west-1"}
	malformed := "<Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message>" +
		"<Region>eu-west-1</Region>"
	var all []use
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc // nil: nobody listens
		url     string           // instead of the handler's
		secure  bool             // a certificate that nobody trusts
		eager   bool             // as many attempts as each client makes by itself, in 15 s
		want    [2]outcome       // reading, listing
	}{
		{name: "nothing", handler: good, want: [2]outcome{ok, ok}},
		// A bucket in another region.
		{name: "301 with a region", handler: elsewhere(document(301, "PermanentRedirect", "", region...)), want: [2]outcome{ok, ok}},
		{name: "301 without a document", handler: elsewhere(document(301, "", "", region...)), want: [2]outcome{ok, ok}},
		{name: "307 with a region", handler: elsewhere(document(307, "TemporaryRedirect", "", region...)), want: [2]outcome{ok, ok}},
		{name: "400 with a region", handler: elsewhere(document(400, "AuthorizationHeaderMalformed", malformed)), want: [2]outcome{ok, ok}},
		{name: "400 with a region in the header", handler: elsewhere(document(400, "AuthorizationHeaderMalformed", "", region...)),
			want: [2]outcome{ok, ok}},
		{name: "400 of another kind with a region", handler: elsewhere(document(400, "InvalidRequest", "", region...)),
			want: refused("InvalidRequest")},
		{name: "301 to nowhere", handler: document(301, "PermanentRedirect", ""), want: refused("PermanentRedirect")},
		{name: "301 to the same region", handler: document(301, "PermanentRedirect", "", "x-amz-bucket-region", "us-east-1"),
			want: refused("PermanentRedirect")},
		{name: "301 to another partition", handler: document(301, "PermanentRedirect", "", "x-amz-bucket-region", "cn-north-1"),
			want: refused("PermanentRedirect")},
		{name: "301 to what is no region", handler: document(301, "PermanentRedirect", "", "x-amz-bucket-region", "evil.example/"),
			want: refused("PermanentRedirect")},
		{name: "307 to another host", handler: document(307, "TemporaryRedirect", "", "Location", recorderURL+"/photos/key"),
			want: refused("TemporaryRedirect")},
		// Refusals.
		{name: "400", handler: document(400, "InvalidRequest", ""), want: refused("InvalidRequest")},
		{name: "400 without a document", handler: document(400, "", ""), want: refused("BadRequest")},
		{name: "400 expired", handler: document(400, "ExpiredToken", ""), want: named(fetch.AccessDenied)},
		{name: "403", handler: document(403, "AccessDenied", ""), want: named(fetch.AccessDenied)},
		{name: "403 without a document", handler: document(403, "", ""), want: named(fetch.AccessDenied)},
		{name: "403 for the signature", handler: document(403, "SignatureDoesNotMatch", ""), want: named(fetch.AccessDenied)},
		{name: "403 for the key", handler: document(403, "InvalidAccessKeyId", ""), want: named(fetch.AccessDenied)},
		{name: "403 for the state", handler: document(403, "InvalidObjectState", ""), want: refused("InvalidObjectState")},
		{name: "404 for the key", handler: document(404, "NoSuchKey", ""), want: refused(fetch.NoSuchKey)},
		{name: "404 for the bucket", handler: document(404, "NoSuchBucket", ""),
			want: [2]outcome{{fetch.NoSuchBucket, fetch.NoSuchBucket}, {fetch.NoSuchBucket, fetch.NoSuchBucket}}},
		{name: "404 without a document", handler: document(404, "", ""), want: refused("NotFound")},
		{name: "405", handler: document(405, "MethodNotAllowed", ""), want: refused("MethodNotAllowed")},
		{name: "501", handler: document(501, "NotImplemented", ""), want: refused("NotImplemented")},
		// What another attempt may help.
		{name: "500 once", handler: once(document(500, "InternalError", "")), want: [2]outcome{ok, ok}},
		{name: "500", handler: document(500, "InternalError", ""), want: refused("InternalError")},
		{name: "502 from a proxy", handler: document(502, "", ""), want: refused("BadGateway")},
		{name: "503", handler: document(503, "SlowDown", ""), want: refused(fetch.SlowDown)},
		{name: "503 without a document", handler: document(503, "", ""), want: refused("ServiceUnavailable")},
		{name: "504", handler: document(504, "", ""), want: refused("GatewayTimeout")},
		{name: "429", handler: document(429, "", ""), want: refused("TooManyRequests")},
		// Connections.
		{name: "refused", want: refused("untyped")},
		{name: "closed without a response once", handler: once(bytesThenClose("")), want: [2]outcome{ok, ok}},
		{name: "closed without a response", handler: bytesThenClose(""), want: refused("untyped")},
		{name: "no such name", url: "http://nowhere.invalid", want: refused("untyped")},
		{name: "not to be trusted", handler: good, secure: true, want: refused("untyped")},
		{name: "refused, with all attempts", eager: true, want: refused("untyped")},
		{name: "no such name, with all attempts", url: "http://nowhere.invalid", eager: true, want: refused("untyped")},
		{name: "not to be trusted, with all attempts", handler: good, secure: true, eager: true, want: refused("untyped")},
		{name: "no TLS", url: strings.Replace(recorderURL, "http:", "https:", 1), want: refused("untyped")},
		{name: "short once", handler: once(bytesThenClose(short)), want: [2]outcome{ok, ok}},
		{name: "short", handler: bytesThenClose(short), want: refused(fetch.ShortBody)},
		// A reset may overtake the head, which then was never there.
		{name: "reset in the body", handler: bytesThenClose(short + "reset"), want: refused("*")},
		{name: "short listing", handler: bytesThenClose(page), want: refused(fetch.ShortBody)},
		{name: "silent", handler: stuck, want: [2]outcome{{"untyped", fetch.DeadlineNear}, {"untyped", fetch.DeadlineNear}}},
		{name: "silent in the body", handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "4000")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, want: [2]outcome{{"*", fetch.DeadlineNear}, {"*", fetch.DeadlineNear}}},
	} {
		limit := time.Minute // far longer than any answer takes that comes
		if strings.HasPrefix(tt.name, "silent") {
			limit = 500 * time.Millisecond // none comes
		}
		attempts := "3"
		if tt.eager {
			attempts, limit = "", 15*time.Second
		}
		url := tt.url
		if url == "" {
			server := httptest.NewUnstartedServer(tt.handler)
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // what a fault looks like from there
			if tt.secure {
				server.StartTLS()
			} else {
				server.Start()
			}
			url = server.URL
			if tt.handler == nil {
				server.Close()
			} else {
				t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
			}
		}
		bodies := strings.Contains(tt.name, "short") || strings.Contains(tt.name, "in the body") // nobody reads that of a PUT's answer
		for _, client := range store.Names {
			for kind := range 3 {
				want := outcome{tt.want[0].store, "-"}
				if kind < writing {
					want = tt.want[kind]
				} else if bodies {
					continue
				}
				awsEnvironment(t, map[string]string{
					"AWS_ENDPOINT_URL_S3": url, "AWS_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": attempts,
					"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "secret",
				}, "")
				c, err := store.Open(t.Context(), client)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, use{c, client, kind, limit, tt.name, want})
			}
		}
	}
	var wg sync.WaitGroup // many together: most of it is backoff
	slots := make(chan struct{}, 96)
	for _, u := range all {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			got := outcome{u.request(t), u.invoke(t)}
			if u.want.store == "*" {
				u.want.store = got.store
			}
			if got != u.want {
				t.Errorf("%s, %s, %s: %+v, want %+v", u.fault, u.client, [3]string{"reading", "listing", "writing"}[u.kind], got, u.want)
			}
		})
	}
	wg.Wait()
}

// large is an object of several ranges. Each request is first given to fault; true: it
// has answered.
type large struct {
	mu    sync.Mutex
	body  []byte
	etag  string
	fault largeFault
	met   bool // the fault that is met once
}

type largeFault = func(l *large, w http.ResponseWriter, r *http.Request) bool

func (l *large) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	if l.fault != nil && l.fault(l, w, r) {
		l.mu.Unlock()
		return
	}
	body, etag := l.body, l.etag
	l.mu.Unlock()
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// onRange makes answer the fault of the first request for a range.
func onRange(answer largeFault) largeFault {
	return func(l *large, w http.ResponseWriter, r *http.Request) bool {
		if l.met || r.Header.Get("Range") == "" {
			return false
		}
		l.met = true
		return answer(l, w, r)
	}
}

// TestLargeFaults: whatever happens to a range, lean finds in a large object what is
// there, and its digest is that of the whole, be it read in order or in any.
func TestLargeFaults(t *testing.T) {
	const part, needle = 8 << 20, "a needle over a seam"
	body := make([]byte, 5*part+12345)
	for i, x := 0, uint32(1); i < len(body); i++ {
		x = x*1664525 + 1013904223
		body[i] = byte(x>>24) | 0x80 // no ASCII
	}
	changed := bytes.Clone(body)
	copy(body[3*part-7:], needle)
	for _, tt := range []struct {
		name      string
		size      int // of the body's end; 0: all
		etag      string
		fault     largeFault
		errorType string
	}{
		{name: "nothing", etag: `"v1"`},
		{name: "of one part", size: part, etag: `"v1"`},
		{name: "of a byte more", size: part + 1, etag: `"v1"`},
		{name: "of whole parts", size: 4 * part, etag: `"v1"`},
		{name: "without an ETag"},
		{name: "without a length", etag: `"v1"`, fault: func(l *large, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("ETag", l.etag)
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(l.body)
			return true
		}},
		{name: "a range breaks off", etag: `"v1"`, fault: onRange(func(l *large, w http.ResponseWriter, r *http.Request) bool {
			var from, to int
			_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
			bytesThenClose(fmt.Sprintf("HTTP/1.1 206 Partial Content\r\nETag: %s\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n%s",
				l.etag, from, to, len(l.body), to-from+1, l.body[from:(from+to)/2]))(w, r)
			return true
		})},
		{name: "a range is refused once", etag: `"v1"`, fault: onRange(func(_ *large, w http.ResponseWriter, r *http.Request) bool {
			document(503, "SlowDown", "")(w, r)
			return true
		})},
		{name: "it is overwritten", etag: `"v1"`, fault: onRange(func(l *large, _ http.ResponseWriter, _ *http.Request) bool {
			l.body, l.etag = changed, `"v2"`
			return false // 412
		})},
		{name: "ranges are denied", etag: `"v1"`, errorType: fetch.ObjectReadFailed,
			fault: func(_ *large, w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Range") == "" {
					return false
				}
				document(403, "AccessDenied", "")(w, r)
				return true
			}},
		{name: "ranges are ignored", etag: `"v1"`, errorType: fetch.ObjectReadFailed,
			fault: func(_ *large, _ http.ResponseWriter, r *http.Request) bool {
				r.Header.Del("Range")
				return false
			}},
	} {
		for _, more := range []string{``, `,"find":"` + needle + `"`, `,"find":"` + needle + `","matches":"all","locate":true`} {
			l := &large{body: body, etag: tt.etag, fault: tt.fault}
			if tt.size > 0 {
				l.body = body[:tt.size]
			}
			server := httptest.NewServer(l)
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			awsEnvironment(t, map[string]string{"AWS_ENDPOINT_URL_S3": server.URL, "AWS_REGION": "us-east-1",
				"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}, "")
			h := fetch.New(fetch.Config{Client: store.Lean}, store.Open)
			got, err := h.Handle(t.Context(), []byte(`{"s3_bucket_name":"photos","keys":["key"]`+more+`}`))
			server.CloseClientConnections()
			server.Close()
			if kind := typeOf(err); kind != cmp.Or(tt.errorType, "ok") {
				t.Errorf("%s%s: %v", tt.name, more, err)
			}
			if err != nil {
				continue
			}
			var want fetch.Digest
			want.Add("key", fetch.BodyCRC(0, l.body))
			result := "1"
			if more != "" {
				result = fetch.NotFound
				if bytes.Contains(l.body, []byte(needle)) {
					result = "key"
				}
			}
			if got.Result != result || got.Stats.Digest != want.String() || got.Stats.Bytes != int64(len(l.body)) {
				t.Errorf("%s%s: result %s, want %s; digest %s, want %s; %d bytes of %d",
					tt.name, more, got.Result, result, got.Stats.Digest, want, got.Stats.Bytes, len(l.body))
			}
		}
	}
}

// TestNoSecondChance: no client knocks again at a door whose certificate it does
// not trust.
func TestNoSecondChance(t *testing.T) {
	for _, client := range store.Names {
		var connections atomic.Int32
		server := httptest.NewUnstartedServer(http.HandlerFunc(good))
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}
		server.StartTLS()
		awsEnvironment(t, map[string]string{"AWS_ENDPOINT_URL_S3": server.URL, "AWS_REGION": "us-east-1",
			"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}, "")
		c, err := store.Open(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Get(t.Context(), "photos", "key", &checksum{}); err == nil || connections.Load() != 1 {
			t.Errorf("%s: %d connections, %v", client, connections.Load(), err)
		}
		server.Close()
	}
}

// Kinds of use.
const (
	reading = iota
	listing
	writing
)

// use is one use of a client under a fault.
type use struct {
	fetch.Store
	client string
	kind   int
	limit  time.Duration
	fault  string
	want   outcome
}

func (u use) bucket() string { return fmt.Sprint(u.client, u.kind) }

func (u use) request(t *testing.T) string {
	ctx, cancel := context.WithTimeout(t.Context(), u.limit)
	defer cancel()
	var err error
	switch u.kind {
	case listing:
		err = u.List(ctx, u.bucket(), "", func([]fetch.Object) error { return nil })
	case writing:
		err = u.Store.(fetch.Putter).Put(ctx, u.bucket(), "key", []byte("body"))
	default:
		_, err = u.Get(ctx, u.bucket(), "key", &checksum{})
	}
	return typeOf(err)
}

func (u use) invoke(t *testing.T) string {
	if u.kind == writing {
		return "-" // no event of its own does
	}
	ctx, cancel := context.WithTimeout(t.Context(), u.limit)
	defer cancel()
	event := `{"s3_bucket_name":"` + u.bucket() + `","keys":["key"]}`
	if u.kind == listing {
		event = `{"s3_bucket_name":"` + u.bucket() + `"}`
	}
	h := fetch.New(fetch.Config{Client: u.client}, func(context.Context, string) (fetch.Store, error) { return u.Store, nil })
	_, err := h.Handle(ctx, []byte(event))
	return typeOf(err)
}

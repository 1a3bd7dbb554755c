package lean

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// tunnels is a proxy that knows CONNECT. It leads every tunnel to one server.
type tunnels struct {
	server string // HOST:PORT
	mu     sync.Mutex
	asked  []string // for what, and with which credentials
	answer func(n int, w http.ResponseWriter) (done bool)
}

func (p *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+r.Header.Get("Proxy-Authorization")))
	n := len(p.asked)
	p.mu.Unlock()
	if p.answer != nil && p.answer(n, w) {
		return
	}
	far, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", p.server)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\nProxy-Agent: test\r\n\r\n")
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(far, near); _ = far.Close() })
	wg.Go(func() { _, _ = io.Copy(near, far); _ = near.Close() })
	wg.Wait()
}

// TestProxy: requests reach S3 through a proxy's tunnel, and TLS is with S3, not
// with the proxy.
func TestProxy(t *testing.T) {
	status := func(codes ...int) func(int, http.ResponseWriter) bool {
		return func(n int, w http.ResponseWriter) bool {
			code := codes[min(n, len(codes))-1]
			if code != 200 {
				w.WriteHeader(code)
			}
			return code != 200
		}
	}
	says := func(head string) func(int, http.ResponseWriter) bool {
		return func(_ int, w http.ResponseWriter) bool { raw(head)(w, nil); return true }
	}
	for _, tt := range []struct {
		name   string
		secure bool // TLS to the proxy, too
		user   *url.Userinfo
		answer func(n int, w http.ResponseWriter) bool
		asked  int
		auth   string
		err    string // part of it
	}{
		{name: "http", asked: 1},
		{name: "https", secure: true, asked: 1},
		{name: "a password", user: url.UserPassword("me", "pa:ss"), asked: 1, auth: " Basic bWU6cGE6c3M="},
		{name: "a user alone", user: url.User("me"), asked: 1, auth: " Basic bWU6"},
		{name: "busy, then not", answer: status(503, 200), asked: 2},
		{name: "it wants a password", answer: status(407), asked: 1, err: "answered 407"},
		{name: "it forbids", user: url.UserPassword("me", "hush"), answer: status(403), asked: 1, err: "answered 403",
			auth: " Basic bWU6aHVzaA=="},
		{name: "no HTTP", answer: says("nonsense\r\n\r\n"), asked: 2, err: "malformed response head"},
		{name: "no end of the head", answer: says("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 2*maxHeadBytes)), asked: 2,
			err: "over 16384 bytes"},
		{name: "cut off", answer: says("HTTP/1.1 200 OK\r\n"), asked: 2, err: "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s3 := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprint(w, r.Host, r.URL.Path)
			}))
			defer s3.Close()
			p := &tunnels{server: s3.Listener.Addr().String(), answer: tt.answer}
			proxy := httptest.NewUnstartedServer(p)
			roots := x509.NewCertPool()
			if tt.secure {
				proxy.StartTLS()
			} else {
				proxy.Start()
			}
			defer proxy.Close()
			roots.AddCert(s3.Certificate()) // httptest's servers share one
			at, err := url.Parse(proxy.URL)
			if err != nil {
				t.Fatal(err)
			}
			at.User = tt.user
			c, err := New(Config{
				Region: "us-east-1", Endpoint: "https://example.com", Credentials: key, Roots: roots, MaxAttempts: 2,
				Proxy: func(u *url.URL) (*url.URL, error) {
					if u.String() != "https://example.com" {
						t.Errorf("asked for the proxy of %s", u)
					}
					return at, nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var sink memory
			_, err = c.Get(t.Context(), "My_bucket", "key", &sink)
			if tt.err == "" && (err != nil || sink.String() != "example.com/My_bucket/key") {
				t.Errorf("%q, %v", sink.String(), err)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), "proxy "+at.Host) ||
				strings.Contains(err.Error(), "hush")) {
				t.Errorf("error %v, want one of proxy %s with %q", err, at.Host, tt.err)
			}
			for _, got := range p.asked {
				if got != "CONNECT example.com:443"+tt.auth {
					t.Errorf("the proxy was asked %q", got)
				}
			}
			if len(p.asked) != tt.asked {
				t.Errorf("asked %d times, want %d", len(p.asked), tt.asked)
			}
		})
	}
}

// TestProxyRefused: what lean cannot do with a proxy it says before it sends
// anything, and never goes past the proxy.
func TestProxyRefused(t *testing.T) {
	for _, tt := range []struct {
		name, endpoint string
		proxy          string
		err            string
	}{
		{"SOCKS", "https://example.com", "socks5://127.0.0.1:1", "socks5://127.0.0.1:1"},
		{"no host", "https://example.com", "http:///x", "http://HOST"},
		{"plain HTTP", "http://example.com", "http://127.0.0.1:1", "over HTTPS only"},
		{"a password in what it is not", "https://example.com", "ftp://me:hush@127.0.0.1", "ftp://me:xxxxx@"},
		{"no URL", "https://example.com", "http://me:hush@h:x", "proxy for "},
	} {
		c, err := New(Config{Region: "us-east-1", Endpoint: tt.endpoint, Credentials: key,
			Proxy: func(*url.URL) (*url.URL, error) { return url.Parse(tt.proxy) }})
		if err != nil {
			t.Fatal(err)
		}
		c.pool.connect = func(context.Context, *host, int) (net.Conn, error) {
			t.Errorf("%s: a connection was opened", tt.name)
			return nil, errors.New("refused")
		}
		_, err = c.Get(t.Context(), "bucket", "key", &memory{})
		if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
}

// TestProxyCanceled: a proxy that does not answer is left when the context ends.
func TestProxyCanceled(t *testing.T) {
	for _, first := range []string{"", "HTTP/1.1 200 OK\r\n"} {
		var asked atomic.Int32
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			var request bytes.Buffer
			for b := make([]byte, 1); !bytes.HasSuffix(request.Bytes(), headEnd); {
				if _, err := c.Read(b); err != nil {
					break
				}
				request.Write(b)
			}
			_, _ = io.WriteString(c, first)
			cancel()
			_, _ = io.Copy(io.Discard, c) // until the client closes
			_ = c.Close()
		}()
		c, err := New(Config{Region: "us-east-1", Endpoint: "https://example.com", Credentials: key,
			Proxy: func(*url.URL) (*url.URL, error) { return url.Parse("http://" + l.Addr().String()) }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(ctx, "bucket", "key", &memory{}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		<-done
		_ = l.Close()
	}
}

// TestProxyAddress guards the ports that a URL leaves out.
func TestProxyAddress(t *testing.T) {
	for proxy, want := range map[string]string{
		"http://proxy": "proxy:80", "https://proxy": "proxy:443", "http://proxy:3128": "proxy:3128", "http://[::1]": "[::1]:80",
	} {
		u, err := url.Parse(proxy)
		if err != nil || proxyAddress(u) != want {
			t.Errorf("%s: %s, %v, want %s", proxy, proxyAddress(u), err, want)
		}
	}
}

package lean

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// signalled is a cache that says when the first session is kept.
type signalled struct {
	tls.ClientSessionCache
	once sync.Once
	kept chan struct{}
}

func (s *signalled) Put(key string, state *tls.ClientSessionState) {
	s.ClientSessionCache.Put(key, state)
	s.once.Do(func() { close(s.kept) })
}

// Of the connections that Warm opens, those that it begins with at once and one
// more set a TLS session up; the others resume it, if the server gives out
// tickets. Each of them can then be used.
func TestWarmResumes(t *testing.T) {
	const many, full = 3 * maxDials, maxDials + 1
	for _, row := range []struct {
		name    string
		version uint16
		tickets bool
	}{
		{"TLS 1.3", tls.VersionTLS13, true},
		{"TLS 1.2", tls.VersionTLS12, true},
		{"TLS 1.3 without tickets", tls.VersionTLS13, false},
		{"TLS 1.2 without tickets", tls.VersionTLS12, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var begun, resumed, handshakes atomic.Int32
			cache := &signalled{ClientSessionCache: tls.NewLRUClientSessionCache(0), kept: make(chan struct{})}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "body") }))
			server.TLS = &tls.Config{
				MaxVersion: row.version, SessionTicketsDisabled: !row.tickets,
				GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
					if begun.Add(1) > 1 && row.tickets {
						<-cache.kept // so that it depends on no time how many there are until then
					}
					return nil, nil //nolint:nilnil // the server's own
				},
				VerifyConnection: func(s tls.ConnectionState) error {
					if handshakes.Add(1); s.DidResume {
						resumed.Add(1)
					}
					return nil
				},
			}
			server.StartTLS()
			defer server.Close()
			c := clientOf(t, server)
			c.sessions.ClientSessionCache = cache
			if err := c.Warm(t.Context(), "bucket", many); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range many {
				wg.Go(func() {
					var sink memory
					if _, err := c.Get(t.Context(), "bucket", "key", &sink); err != nil || sink.String() != "body" {
						t.Errorf("%q, %v", sink.String(), err)
					}
				})
			}
			wg.Wait()
			least := int32(0)
			if row.tickets {
				least = many - full
			}
			if n := resumed.Load(); c.Connections() != many || handshakes.Load() != many || n < least || !row.tickets && n > 0 {
				t.Errorf("%d connections, %d handshakes, %d of them resumed; want %d, and at least %d", c.Connections(), handshakes.Load(), n,
					many, least)
			}
		})
	}
}

// clientOf gives a client of a server with TLS, which is closed with the test.
func clientOf(t *testing.T, server *httptest.Server) *Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c, err := New(Config{Region: "us-east-1", Endpoint: server.URL, Credentials: key, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A connection that has carried a request before it waits for a ticket, as for a session
// of S3 Express, sets a deadline for the next one all the same.
func TestTicketDeadline(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "body") }))
	defer server.Close()
	c := clientOf(t, server)
	b, err := c.bucketClient("bucket")
	if err != nil {
		t.Fatal(err)
	}
	one, err := b.host.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.host.put(one)
	if err := one.arm(time.Now()); err != nil {
		t.Fatal(err)
	}
	var ticket ticketWait
	c.sessions.awaited.Store(&ticket)
	defer c.sessions.awaited.Store(nil)
	if one.awaitTicket(&ticket); one.failed || !one.deadline.IsZero() {
		t.Errorf("failed %t; the deadline is taken to be %v, and there is none", one.failed, one.deadline)
	}
}

// Package objects is an S3 on loopback, behind TLS, that behaves like the one
// a Lambda function reads from: [Start] one for a [network.Model], give each caller
// a key of its own with [Server.AddKey], and point it at [Server.URL] with the
// certificate in [Server.CAFile]. Signatures are verified, the first byte comes
// late, bandwidth and request rates have S3's limits, and things go wrong in
// the shares that [Faults] asks for.
//
// It answers what readers, seeders and everyday clients (the AWS CLI, boto3)
// ask for, and refuses the rest by name; TestConformance says what.
package objects

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/time/rate"

	"fanout/bench/internal/network"
	"fanout/bench/internal/sigv4"
)

// DefaultMemoryBytes is how much of the bodies stays in memory where a Config
// does not say: 512 MB.
const DefaultMemoryBytes = 512 << 20

// DefaultRegion is the region that [Server.Client] signs for where a Config
// does not say.
const DefaultRegion = "us-east-1"

// Config says what a [Server] is to be like.
type Config struct {
	Network network.Model // the zero Model: network.None
	Seed    uint64        // of the latencies and faults
	// Dir is where the server makes a folder of its own, for the certificate
	// and for bodies beyond MemoryBytes; "": the system's temporary folder.
	Dir         string
	MemoryBytes int64 // bodies kept in memory, in all; 0: DefaultMemoryBytes, negative: none
	Faults      Faults
	// PublicRead lets everybody read without a signature, as a public bucket
	// does; all of them share one caller's bandwidth. It is for baselines that
	// do not sign.
	PublicRead bool
	Region     string       // that signatures must name; "": any
	Log        *slog.Logger // nil: none
}

// Server is a running S3.
type Server struct {
	model     network.Model
	region    string
	url       string
	dir       string // all that the server writes
	log       *slog.Logger
	callers   *callers
	public    *caller // who reads unsigned; nil: nobody may
	store     *store
	latencies *latencySampler
	faults    *faultSampler
	limits    sync.Map // "/bucket/prefix/" to *rate.Limiter
	server    *http.Server
	clients   *http.Transport
	served    chan error
	counts    counters
	requests  atomic.Uint64

	running  sync.RWMutex // read-held by each request
	closed   bool
	closing  sync.Once
	closeErr error
}

// Start listens on a free port of 127.0.0.1 and serves until [Server.Close].
func Start(cfg Config) (_ *Server, err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(cfg.Dir, "fanout-objects-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the embedded S3: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	s := newServer(cfg, dir)
	authority, certificate, err := certificates(time.Now())
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.CAFile(), authority, 0o644); err != nil {
		return nil, fmt.Errorf("write the embedded S3's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	s.clients = &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 256,
	}
	return s, s.listen(certificate)
}

// complete checks c and sets what it leaves to the defaults.
func (c *Config) complete() error {
	if c.MemoryBytes == 0 {
		c.MemoryBytes = DefaultMemoryBytes
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c.Faults.Validate()
}

// newServer gives a server that does not listen yet.
func newServer(cfg Config, dir string) *Server {
	s := &Server{
		model:     cfg.Network,
		region:    cmp.Or(cfg.Region, DefaultRegion),
		dir:       dir,
		log:       cfg.Log,
		callers:   newCallers(cfg.Region),
		store:     newStore(dir, cfg.MemoryBytes),
		latencies: newLatencySampler(cfg.Seed, cfg.Network),
		faults:    newFaultSampler(cfg.Seed, cfg.Faults),
		served:    make(chan error, 1),
	}
	if cfg.PublicRead {
		s.public = s.newCaller("", "", 0)
	}
	return s
}

// listen serves on a free port, in the background.
func (s *Server) listen(certificate tls.Certificate) error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the embedded S3: %w", err)
	}
	s.url = "https://" + listener.Addr().String()
	s.server = &http.Server{
		Handler: s,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate},
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"http/1.1"}, // S3 has no HTTP/2
			// Records of 16 KB from the start, as S3 sends them: small ones
			// would cost the measured side a system call each.
			DynamicRecordSizingDisabled: true,
		},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // non-nil: HTTP/1.1 only
		// It bounds the handshake too, for which a function of 128 MB with
		// many connections needs its time.
		ReadHeaderTimeout: time.Minute,
		IdleTimeout:       5 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.counts.connections.Add(1)
			}
		},
	}
	if s.model.Connect > 0 {
		listener = lateListener{listener, s.model.Connect}
	}
	go func() { s.served <- s.server.ServeTLS(listener, "", "") }()
	return nil
}

// URL is where the server answers: https://127.0.0.1:PORT.
func (s *Server) URL() string { return s.url }

// CAFile is the path of the certificate, as PEM, that SSL_CERT_FILE and
// AWS_CA_BUNDLE have to name. It is there until Close.
func (s *Server) CAFile() string { return filepath.Join(s.dir, "ca.pem") }

// AddKey lets a caller in. Each has the network's whole bandwidth to itself.
// An id that is there already gets the new secret.
func (s *Server) AddKey(id, secret string) {
	s.callers.set(id, s.newCaller(id, secret, 0))
}

// AddFunction lets a function of a memory size in, which its bandwidth may
// depend on. Otherwise it is [Server.AddKey].
func (s *Server) AddFunction(id, secret string, memoryMB int) {
	s.callers.set(id, s.newCaller(id, secret, memoryMB))
}

func (s *Server) newCaller(id, secret string, memoryMB int) *caller {
	c := &caller{key: sigv4.Key{ID: id, Secret: secret}}
	if bandwidth := s.model.BandwidthOf(memoryMB); bandwidth > 0 {
		c.bandwidth = rate.NewLimiter(rate.Limit(bandwidth), burstBytes)
	}
	return c
}

// RemoveKey locks a caller out; one that is not there is no error.
func (s *Server) RemoveKey(id string) {
	s.callers.set(id, nil)
}

// CreateBucket makes an empty bucket without versioning.
func (s *Server) CreateBucket(name string) error {
	if !validBucketName(name) {
		return fmt.Errorf("create bucket %q: a name has 3 to 63 lower-case letters, digits, hyphens and single dots", name)
	}
	if refusal := s.store.createBucket(name); refusal != nil {
		return fmt.Errorf("create bucket %q: it exists", name)
	}
	return nil
}

// SetFaults sets the shares for the requests from now on.
func (s *Server) SetFaults(f Faults) error {
	if err := f.Validate(); err != nil {
		return err
	}
	s.faults.set(f)
	return nil
}

// Client gives a client of this server that signs with the key given, for
// seeding and tests. All of them share their connections.
func (s *Server) Client(id, secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.url),
		Region:       s.region,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(id, secret, ""),
		HTTPClient:   &http.Client{Transport: s.clients},
		// as a client has them that LoadDefaultConfig configured
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	})
}

// Close ends every connection, waits for the requests under way to notice, and
// removes what the server wrote. A second call does nothing.
func (s *Server) Close() error {
	s.closing.Do(func() {
		err := s.server.Close()
		if serr := <-s.served; !errors.Is(serr, http.ErrServerClosed) {
			err = errors.Join(err, serr)
		}
		s.clients.CloseIdleConnections()
		s.running.Lock()
		defer s.running.Unlock()
		s.closed = true
		for _, b := range s.store.buckets {
			err = errors.Join(err, b.kept.close())
		}
		if err = errors.Join(err, os.RemoveAll(s.dir)); err != nil {
			s.closeErr = fmt.Errorf("close the embedded S3: %w", err)
		}
	})
	return s.closeErr
}

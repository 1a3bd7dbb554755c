// Package states is AWS Step Functions on one machine, as far as a scan of a
// bucket needs it: it serves the Step Functions API on loopback and runs the
// Amazon States Language in JSONPath, above all the Distributed Map. [Start] it,
// point a Step Functions client at [Server.URL] with the credentials of the
// [Config], and [Server.Close] it. A state machine calls Lambda functions and
// reads and writes S3 through the clients of the Config.
//
// It is strict: a definition that has anything in it which would not run here
// as the service runs it is refused when the state machine is created, with the
// path of the field. docs/states.md lists what runs.
//
// Executions are kept in a folder: their history, the batches of their Map Runs
// and how each ended. A Map Run's items are never all in memory. A server that
// is started on the folder of one that was killed knows its executions, tells
// of those that ran as failed, and RedriveExecution goes on with them.
package states

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sys/unix"
)

// Kinds of workflows.
const (
	Express  = "EXPRESS"  // at most five minutes
	Standard = "STANDARD" // at most a year
)

const (
	// expressLimit is how long an Express child may run
	// (docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html).
	expressLimit = 300 // seconds
	// mostChildren is how many children a Map Run has at once where nothing
	// says less (docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html).
	mostChildren = 10_000
	// mostIterations is the same of an inline Map
	// (docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html).
	mostIterations = 40
)

// Config is what [Start] needs.
type Config struct {
	// Credentials are the caller's: every API request must be signed with
	// them, for Region.
	Credentials aws.Credentials
	Region      string
	AccountID   string // twelve digits, for the ARNs

	S3     *s3.Client        // that Map Runs read from and write to
	Lambda *awslambda.Client // that Tasks call; it must not try again by itself

	// Dir keeps the executions, for this server and the next one. No other
	// server may use it at the same time. Empty: a temporary folder, which
	// Close removes.
	Dir string
	// Children bounds the children of a Map Run that run at once, however many
	// its definition asks for; 0: 10,000, as the service.
	Children int
	Log      *slog.Logger // nil: none
}

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// Validate says what is wrong with c.
func (c Config) Validate() error {
	switch {
	case c.Credentials.AccessKeyID == "" || c.Credentials.SecretAccessKey == "":
		return errors.New("credentials: an access key and a secret are needed to verify requests")
	case c.Region == "" || strings.ContainsAny(c.Region, ":/ "):
		return fmt.Errorf("region %q: not a region's name", c.Region)
	case !accountID.MatchString(c.AccountID):
		return fmt.Errorf("account %q: must be twelve digits", c.AccountID)
	case c.S3 == nil || c.Lambda == nil:
		return errors.New("clients of S3 and Lambda are needed")
	case c.Children < 0:
		return fmt.Errorf("children %d: must be at least 1, or 0 for as many as the service allows", c.Children)
	}
	return nil
}

// ErrInUse says that another server has the folder of the executions.
var ErrInUse = errors.New("in use by another process")

// Server is a running Step Functions service.
type Server struct {
	cfg    Config
	log    *slog.Logger
	dir    string
	lock   *os.File
	url    string
	server *http.Server
	second time.Duration // what a second of a definition takes: less in tests

	ctx    context.Context // ends at Close
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // executions

	mu         sync.Mutex
	machines   map[string]*stateMachine // by ARN
	executions map[string]*execution
	mapRuns    map[string]*mapRun

	closeOnce sync.Once
	closeErr  error
}

// Start serves the API on a free port of loopback, and reads what executions
// cfg.Dir keeps.
func Start(cfg Config) (*Server, error) { return start(cfg, time.Second) }

func start(cfg Config, second time.Duration) (_ *Server, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("step functions: %w", err)
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, second: second,
		machines: map[string]*stateMachine{}, executions: map[string]*execution{}, mapRuns: map[string]*mapRun{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.cfg.Children == 0 {
		s.cfg.Children = mostChildren
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.openDir(); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(s.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("step functions: listen for the API: %w", err)
	}
	s.url = "http://" + listener.Addr().String()
	s.server = &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("step functions: the API stopped", "error", err)
		}
	}()
	return s, nil
}

// openDir makes the folder and locks it.
func (s *Server) openDir() (err error) {
	if s.dir = s.cfg.Dir; s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "fanout-states-"); err != nil {
			return fmt.Errorf("step functions: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Join(s.dir, executionsDir), 0o700); err != nil {
		return fmt.Errorf("step functions: make the folder of the executions: %w", err)
	}
	if s.lock, err = os.Open(s.dir); err != nil {
		return fmt.Errorf("step functions: %w", err)
	}
	err = unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("step functions: the executions in %s are %w", s.dir, ErrInUse)
	}
	return nil // a file system without locks is no reason to stop
}

// URL is where the API is, for AWS_ENDPOINT_URL_SFN.
func (s *Server) URL() string { return s.url }

// Close ends what runs, and leaves its executions in the folder as they are: a
// later server can redrive them. It may be called more than once.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		var errs []error
		if s.server != nil {
			errs = append(errs, s.server.Close())
		}
		s.mu.Lock() // nothing begins after this
		s.cancel(errClosed)
		s.mu.Unlock()
		s.wg.Wait()
		for _, x := range s.executions {
			errs = append(errs, x.close())
		}
		if s.lock != nil {
			errs = append(errs, s.lock.Close())
		}
		if s.cfg.Dir == "" && s.dir != "" {
			errs = append(errs, os.RemoveAll(s.dir))
		}
		if err := errors.Join(errs...); err != nil {
			s.closeErr = fmt.Errorf("close step functions: %w", err)
		}
	})
	return s.closeErr
}

// arn gives the name of a resource here.
func (s *Server) arn(kind, name string) string {
	return "arn:aws:states:" + s.cfg.Region + ":" + s.cfg.AccountID + ":" + kind + ":" + name
}

// role is the one that all state machines have here: nothing is held to it.
func (s *Server) role() string { return "arn:aws:iam::" + s.cfg.AccountID + ":role/fanout-states" }

// newID gives a random UUID, version 4.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// stamp is a time as the context object and the result files have it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

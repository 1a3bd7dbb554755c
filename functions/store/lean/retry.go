package lean

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"fanout/functions/fetch"
)

const (
	// defaultTries bounds the attempts at one request. With one in eleven
	// attempts failing, ten leave less than one object in a billion unread.
	defaultTries = 10

	// backoffBase and backoffMost: before retry n a request waits a random
	// time up to backoffBase·2ⁿ, and at most backoffMost.
	backoffBase = 25 * time.Millisecond
	backoffMost = 2 * time.Second

	// maxConnects bounds the attempts of one request that got no connection, a
	// refused one for instance: of those each has tried up to three addresses.
	maxConnects = 4

	// maxRedirects is enough for a wrong region and a bucket on the move.
	maxRedirects = 3
)

// retryBudget bounds the retries of a whole client, so that an S3 that is down is
// not asked ten times for each object: a retry takes from it, an object read
// gives back. Costs and refund are those of the AWS SDKs' standard mode; the
// size is ten times theirs, as for up to 1,024 requests at once. Failures of
// up to one attempt in six can go on for ever.
type retryBudget struct{ left atomic.Int64 }

const (
	budgetSize  = 5000
	retryCost   = 5
	timeoutCost = 10
	refund      = 1
)

func (b *retryBudget) take(n int64) bool {
	for {
		left := b.left.Load()
		if left < n {
			return false
		}
		if b.left.CompareAndSwap(left, left-n) {
			return true
		}
	}
}

func (b *retryBudget) give() {
	// Near the top it may overshoot by as much as there are workers.
	if b.left.Load() < budgetSize {
		b.left.Add(refund)
	}
}

// responseError is a response that S3 refused with.
type responseError struct {
	status    int
	code      string // S3's, or one made from the status
	message   string
	region    string // where the bucket is, where S3 said so
	location  string // of a redirect
	requestID string
	cut       bool // its document broke off: what S3 calls it is not known
}

func (e *responseError) Error() string {
	s := fmt.Sprintf("S3 answered %d %s", e.status, e.code)
	if e.message != "" {
		s += ": " + e.message
	}
	if e.requestID != "" {
		s += " (request " + e.requestID + ")"
	}
	return s
}

// StatusCode names a status that came without an error document.
func StatusCode(status int) string {
	switch status {
	case 301:
		return "PermanentRedirect"
	case 307:
		return "TemporaryRedirect"
	case 403:
		return "Forbidden"
	case 404:
		return "NotFound"
	case 412:
		return "PreconditionFailed"
	case 500:
		return "InternalError"
	case 503:
		return "ServiceUnavailable"
	}
	if text := http.StatusText(status); text != "" {
		return strings.NewReplacer(" ", "", "-", "").Replace(text)
	}
	return fmt.Sprintf("Status%d", status)
}

// bodyError is a body that broke off.
type bodyError struct {
	got, want int64 // want -1: not known
	err       error
}

func (e *bodyError) Error() string {
	if e.want < 0 {
		return fmt.Sprintf("body broke off after %d bytes: %v", e.got, e.err)
	}
	return fmt.Sprintf("body broke off after %d of %d bytes: %v", e.got, e.want, e.err)
}

func (e *bodyError) Unwrap() error { return e.err }

// connectError is a failure to get a connection: the name, the address, the proxy
// or TLS.
type connectError struct{ error }

func (e *connectError) Unwrap() error { return e.error }

// staleError is a failure of a connection that had been used before, without
// a byte of a response: most likely the other end had closed it.
type staleError struct{ error }

func (e *staleError) Unwrap() error { return e.error }

// errChanged says that an object was overwritten while it was read in ranges.
var errChanged = errors.New("the object changed while it was read")

// retrier decides on one request's further attempts.
type retrier struct {
	client    *Client
	tries     int // failed so far
	connects  int // of them without a connection
	redirects int
	renewed   bool
	stale     bool
}

// retry waits until the next attempt at what b failed with err at, or says
// that there is none, giving the error to end with.
func (r *retrier) retry(ctx context.Context, b *bucketClient, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.tries++
	var refused *responseError
	var stale *staleError
	var unconnected *connectError
	if errors.As(err, &unconnected) && !TooManyFiles(err) {
		r.connects++
	}
	switch {
	case r.tries >= r.client.maxTries || r.connects >= maxConnects || permanent(err):
		return err
	case errors.As(err, &stale) && !r.stale:
		r.stale = true
		return nil // nothing was lost but the write
	case errors.As(err, &refused):
		switch {
		case r.redirects < maxRedirects && r.client.redirect(b, refused):
			r.redirects++
			return nil
		case !r.renewed && (refused.code == "ExpiredToken" || refused.code == "TokenRefreshRequired"):
			r.renewed = true
			b.renew()
			return nil
		case !transient(refused):
			return err
		}
	}
	cost := int64(retryCost)
	if isTimeout(err) {
		cost = timeoutCost
	}
	if !r.client.budget.take(cost) {
		return fmt.Errorf("%w (no retry: too many requests failed lately)", err)
	}
	timer := time.NewTimer(Backoff(r.tries))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Backoff draws the wait before retry n, which begins at 1.
func Backoff(n int) time.Duration { return rand.N(min(backoffBase<<min(n, 10), backoffMost)) }

// transient says whether S3 may answer the same request better later.
func transient(e *responseError) bool {
	switch e.code {
	case "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "Throttling":
		return true
	}
	return e.cut || e.status == 429 || e.status >= 500 && e.status != 501
}

// permanent says whether an error that is no response will be the same again.
func permanent(err error) bool {
	var (
		sink     *sinkError
		typed    *fetch.Error
		settings *configError
		final    *finalError
		proxy    *proxyError
	)
	return errors.As(err, &sink) || errors.As(err, &typed) || errors.As(err, &settings) || errors.As(err, &final) ||
		errors.As(err, &proxy) && proxy.status < 500 || Unreachable(err)
}

// Unreachable says whether err is a host's name that does not exist, or a
// certificate that is not trusted or not the host's: another attempt will meet the
// same.
func Unreachable(err error) bool {
	var (
		dns     *net.DNSError
		verify  *tls.CertificateVerificationError
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
	)
	return errors.As(err, &dns) && dns.IsNotFound ||
		errors.As(err, &verify) || errors.As(err, &host) || errors.As(err, &unknown)
}

// configError is a failure before any request: no endpoint, no credentials.
type configError struct{ error }

func (e *configError) Unwrap() error { return e.error }

// finalError is a failure that has been tried again often enough.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// ResponseError is the error of a request that S3 refused with code, and of what
// was tried.
func ResponseError(code, tried string, err error) *fetch.Error {
	switch code {
	case "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "Forbidden":
		tried += " (" + code + ")"
		code = fetch.AccessDenied
	}
	return &fetch.Error{Type: code, Message: tried, Err: err}
}

// named gives an error the name it has in fetch, and what was tried.
func named(err error, tried string) error {
	var (
		refused *responseError
		broken  *bodyError
		sink    *sinkError
		typed   *fetch.Error
	)
	switch {
	case errors.As(err, &typed):
		return err
	case errors.As(err, &sink):
		return sink.error // the caller's own
	case errors.As(err, &refused):
		return ResponseError(refused.code, tried, err)
	case errors.As(err, &broken):
		return &fetch.Error{Type: fetch.ShortBody, Message: tried, Err: err}
	}
	return fmt.Errorf("%s: %w", tried, err)
}

package objects

import (
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"fanout/bench/internal/sigv4"
)

// maxSkew is how far a request's date may be from now, as S3 documents for
// RequestTimeTooSkewed.
const maxSkew = 15 * time.Minute

// caller is one access key: a function process, or a seeder.
type caller struct {
	key       sigv4.Key
	bandwidth *rate.Limiter // nil: unlimited
}

// callers are those that may read and write, by the id of their key.
type callers struct {
	verifier sigv4.Verifier
	mu       sync.RWMutex
	byID     map[string]*caller
}

// newCallers lets in nobody yet. region is that which signatures must name;
// "": any.
func newCallers(region string) *callers {
	c := &callers{byID: make(map[string]*caller)}
	c.verifier = sigv4.Verifier{Service: "s3", Region: region, MaxSkew: maxSkew, Presigned: true, Lookup: func(id string) *sigv4.Key {
		if found := c.get(id); found != nil {
			return &found.key
		}
		return nil
	}}
	return c
}

func (c *callers) get(id string) *caller {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byID[id]
}

func (c *callers) set(id string, to *caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to == nil {
		delete(c.byID, id)
		return
	}
	c.byID[id] = to
}

// verify tells who signed r, and how, or why S3 would not have it. Without a
// signature the error is errAnonymous.
func (c *callers) verify(r *http.Request, now time.Time) (*caller, sigv4.Signature, *apiError) {
	s, refusal := c.verifier.Verify(r, "", now)
	if refusal != nil {
		return nil, s, signatureError(refusal)
	}
	if found := c.get(s.Key.ID); found != nil {
		return found, s, nil
	}
	return nil, s, signatureError(&sigv4.Refusal{Reason: sigv4.UnknownKey}) // taken away just now
}

// signatureError is S3's answer to a request whose signature is refused.
func signatureError(refusal *sigv4.Refusal) *apiError {
	forbidden := func(code string) *apiError { return newError(http.StatusForbidden, code, refusal.Text) }
	bad := func(code string) *apiError { return newError(http.StatusBadRequest, code, refusal.Text) }
	switch refusal.Reason {
	case sigv4.Anonymous:
		return errAnonymous
	case sigv4.UnsupportedVersion, sigv4.NoPayloadHash:
		return bad("InvalidRequest")
	case sigv4.TwoMechanisms:
		return bad("InvalidArgument")
	case sigv4.Malformed:
		return bad("AuthorizationHeaderMalformed")
	case sigv4.WrongScope:
		if refusal.Region == "" {
			return bad("AuthorizationHeaderMalformed")
		}
		return bad("AuthorizationHeaderMalformed").with("Region", refusal.Region)
	case sigv4.MalformedQuery:
		return bad("AuthorizationQueryParametersError")
	case sigv4.UnknownKey:
		return forbidden("InvalidAccessKeyId")
	case sigv4.Skewed:
		return forbidden("RequestTimeTooSkewed")
	case sigv4.Mismatch:
		return forbidden("SignatureDoesNotMatch")
	}
	return forbidden("AccessDenied") // NoDate, NotYetValid, Expired, Unsigned
}

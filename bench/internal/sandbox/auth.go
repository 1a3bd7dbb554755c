package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"fanout/bench/internal/sigv4"
)

// clockSkew is how far a request's date may be from now, as on AWS.
const clockSkew = 5 * time.Minute

// authenticate says, as an API error, why r with this body was not signed by
// the holder of creds; nil means that it was.
func authenticate(r *http.Request, body []byte, creds aws.Credentials, region string, now time.Time) *apiError {
	v := sigv4.Verifier{
		Service: "lambda", Region: region, MaxSkew: clockSkew, EscapePathTwice: true,
		Lookup: func(id string) *sigv4.Key {
			if id != creds.AccessKeyID {
				return nil
			}
			return &sigv4.Key{ID: id, Secret: creds.SecretAccessKey}
		},
	}
	sum := sha256.Sum256(body)
	_, refusal := v.Verify(r, hex.EncodeToString(sum[:]), now)
	switch {
	case refusal == nil && r.Header.Get("X-Amz-Security-Token") != creds.SessionToken, refusal != nil && refusal.Reason == sigv4.UnknownKey:
		return &apiError{http.StatusForbidden, "UnrecognizedClientException", "The security token included in the request is invalid."}
	case refusal == nil:
		return nil
	case refusal.Reason == sigv4.Anonymous:
		return &apiError{http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	case refusal.Reason == sigv4.Malformed, refusal.Reason == sigv4.UnsupportedVersion:
		return &apiError{http.StatusForbidden, "IncompleteSignatureException", refusal.Text}
	}
	return &apiError{http.StatusForbidden, "InvalidSignatureException", refusal.Text}
}

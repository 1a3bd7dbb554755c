package sdk

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"fanout/functions/store/lean"
)

// maxConnects bounds the attempts at a request that get no connection.
const maxConnects = 4

// tunedBudget is the size of tuned's retry quota, ten times the SDK's: it is for
// up to 1,024 requests at once, as lean's.
const tunedBudget = 5000

// noSecondChance are the errors that the SDK would try again although the next
// attempt meets the same: names that do not exist and certificates that are not
// trusted.
var noSecondChance = retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
	if lean.Unreachable(err) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
})

// retryer is the SDK's of that mode, with options on top.
func retryer(mode aws.RetryMode, options ...func(*retry.StandardOptions)) func() aws.Retryer {
	options = append(options, func(o *retry.StandardOptions) {
		o.Retryables = append([]retry.IsErrorRetryable{noSecondChance}, o.Retryables...)
	})
	return func() aws.Retryer {
		if mode == aws.RetryModeAdaptive {
			return boundedConnects{retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
				o.StandardOptions = append(o.StandardOptions, options...)
			})}
		}
		return boundedConnects{retry.NewStandard(options...)}
	}
}

// tunedRetries waits as lean does: the SDK's delays of up to 20 s would outlast
// most functions' time limits.
func tunedRetries(o *retry.StandardOptions) {
	o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
		return lean.Backoff(attempt), nil
	})
	o.RateLimiter = ratelimit.NewTokenRateLimit(tunedBudget)
}

// boundedConnects ends a request's attempts early where none got a connection.
type boundedConnects struct{ aws.RetryerV2 }

func (r boundedConnects) RetryDelay(attempt int, err error) (time.Duration, error) {
	var send *smithyhttp.RequestSendError
	if attempt >= maxConnects && errors.As(err, &send) && isConnectError(err) {
		return 0, err
	}
	return r.RetryerV2.RetryDelay(attempt, err)
}

// isConnectError says whether err came before there was a connection.
func isConnectError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || lean.Unreachable(err)
}

// redirects are the answers with which S3 says that a bucket is elsewhere.
func redirects(status int, code string) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	case http.StatusBadRequest:
		return code == "AuthorizationHeaderMalformed" || code == "IllegalLocationConstraintException"
	}
	return false
}

// regionOf gives the region that an answer names: in its header, or, as the SDK
// keeps no more of the document, in its message.
func regionOf(header http.Header, message string) string {
	if region := header.Get("X-Amz-Bucket-Region"); region != "" {
		return region
	}
	_, rest, _ := strings.Cut(message, "expecting '")
	region, _, _ := strings.Cut(rest, "'")
	return region
}

var _ aws.RetryerV2 = boundedConnects{}

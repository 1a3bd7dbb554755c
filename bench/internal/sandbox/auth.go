package sandbox

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// clockSkew is how far a request's date may be from now, as on AWS.
const clockSkew = 5 * time.Minute

const amzDate = "20060102T150405Z"

// authorization is a SigV4 Authorization header.
type authorization struct {
	accessKey, date, region, service string
	signedHeaders                    []string
	signature                        string
}

func parseAuthorization(header string) (a authorization, ok bool) {
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256")
	if !ok {
		return a, false
	}
	for _, part := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			scope := strings.Split(value, "/")
			if len(scope) != 5 || scope[4] != "aws4_request" {
				return a, false
			}
			a.accessKey, a.date, a.region, a.service = scope[0], scope[1], scope[2], scope[3]
		case "SignedHeaders":
			a.signedHeaders = strings.Split(value, ";")
		case "Signature":
			a.signature = value
		}
	}
	return a, a.accessKey != "" && a.signature != "" && len(a.signedHeaders) > 0
}

// authenticate says, as an API error, why r with this body was not signed by
// the holder of creds; nil means that it was. It signs the request again, with
// the headers that the caller says it signed, and compares.
func authenticate(ctx context.Context, r *http.Request, body []byte, creds aws.Credentials, region string, now time.Time) *apiError {
	header := r.Header.Get("Authorization")
	if header == "" {
		return &apiError{403, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	}
	a, ok := parseAuthorization(header)
	if !ok {
		return &apiError{403, "IncompleteSignatureException", "The Authorization header is not a SigV4 one."}
	}
	if a.accessKey != creds.AccessKeyID || r.Header.Get("X-Amz-Security-Token") != creds.SessionToken {
		return &apiError{403, "UnrecognizedClientException", "The security token included in the request is invalid."}
	}
	invalid := func(format string, args ...any) *apiError {
		return &apiError{403, "InvalidSignatureException", fmt.Sprintf(format, args...)}
	}
	date, err := time.Parse(amzDate, r.Header.Get("X-Amz-Date"))
	switch {
	case err != nil:
		return invalid("Date must be in ISO-8601 'basic format'.")
	case now.Sub(date).Abs() > clockSkew:
		return invalid("Signature expired or not yet current: %s is more than 5 minutes from %s.", date.Format(amzDate), now.UTC().Format(amzDate))
	case a.date != date.Format("20060102") || a.service != "lambda" || a.region != region:
		return invalid("Credential should be scoped to %s/%s/lambda.", date.Format("20060102"), region)
	case !slices.Contains(a.signedHeaders, "host") || !slices.Contains(a.signedHeaders, "x-amz-date"):
		return invalid("host and x-amz-date must be signed.")
	}

	again := &http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: http.Header{}}
	urlCopy := *r.URL
	again.URL = &urlCopy
	for _, name := range a.signedHeaders {
		switch name {
		case "host": // the signer takes it from the request
		case "content-length":
			again.ContentLength = r.ContentLength
		default:
			key := http.CanonicalHeaderKey(name)
			if values, ok := r.Header[key]; ok {
				again.Header[key] = slices.Clone(values)
			}
		}
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, creds, again, hex.EncodeToString(sum[:]), a.service, a.region, date); err != nil {
		return invalid("The request could not be signed again: %v", err)
	}
	want, ok := parseAuthorization(again.Header.Get("Authorization"))
	if !ok || subtle.ConstantTimeCompare([]byte(want.signature), []byte(a.signature)) != 1 {
		return invalid("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	}
	return nil
}

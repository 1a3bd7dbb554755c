package hint

import (
	"errors"
	"strings"

	"github.com/aws/smithy-go"
)

// Hints for calls of AWS that cannot succeed for anybody with this configuration.
const (
	noCredentials = "no credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY," +
		" or log in (aws configure, aws sso login)"
	expired = "your credentials have expired: log in again (aws sso login), or set new ones"
	refused = "AWS does not accept these credentials: see AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY;" +
		" aws sts get-caller-identity tells"
	noRegion  = "no region is set: set AWS_REGION, such as us-east-1, or a region in your AWS profile"
	forbidden = "your credentials are valid, and may not do this: see the IAM policies of whom aws sts get-caller-identity names"
)

// byCode are the hints by the API's word for the error, in the services that are
// called here.
var byCode = map[string]string{
	"ExpiredToken": expired, "ExpiredTokenException": expired, "RequestExpired": expired, "TokenRefreshRequired": expired,
	"InvalidClientTokenId": refused, "UnrecognizedClientException": refused, "InvalidAccessKeyId": refused, "InvalidToken": refused,
	"SignatureDoesNotMatch": refused, "InvalidSignatureException": refused, "IncompleteSignature": refused,
	"MissingAuthenticationToken": noCredentials, "MissingAuthenticationTokenException": noCredentials,
	"AccessDenied": forbidden, "AccessDeniedException": forbidden,
}

// AWS gives the hint for a call of AWS that failed: for want of credentials or of
// a region, or of a right; otherwise general.
func AWS(err error, general string) string {
	if err == nil {
		return general
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		if next, ok := byCode[api.ErrorCode()]; ok {
			return next
		}
	}
	switch text := err.Error(); { // the SDK has no types for these
	case strings.Contains(text, "Missing Region"):
		return noRegion
	case strings.Contains(text, "get identity: ") && strings.Contains(text, "expired"):
		return expired
	case strings.Contains(text, "get identity: "):
		return noCredentials
	}
	return general
}

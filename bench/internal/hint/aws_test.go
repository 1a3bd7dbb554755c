package hint

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"
)

// Credentials and a region that are missing are told by the SDK's own errors,
// those that AWS refuses by its codes.
func TestAWS(t *testing.T) {
	describe := func(region string, provide func() (aws.Credentials, error)) error {
		url := "http://127.0.0.1:1"
		o := cloudformation.Options{
			Region: region, RetryMaxAttempts: 1,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return provide() }),
		}
		if region != "" {
			o.BaseEndpoint = &url
		}
		_, err := cloudformation.New(o).DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{})
		return err
	}
	valid := func() (aws.Credentials, error) { return aws.Credentials{AccessKeyID: "A", SecretAccessKey: "B"}, nil }
	code := func(code string) error {
		return fmt.Errorf("describe: %w", &smithy.GenericAPIError{Code: code, Message: "m"})
	}
	const general = "general"
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"no error", nil, general},
		{"nobody listens", describe("us-east-1", valid), general},
		{"no credentials", describe("us-east-1", func() (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no EC2 IMDS role found")
		}), noCredentials},
		{"a login that has expired", describe("us-east-1", func() (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("the SSO session has expired or is invalid")
		}), expired},
		{"no region", describe("", valid), noRegion},
		{"a session that has expired", code("ExpiredToken"), expired},
		{"as Lambda says it", code("ExpiredTokenException"), expired},
		{"a key that was deleted", code("InvalidClientTokenId"), refused},
		{"a wrong secret", code("SignatureDoesNotMatch"), refused},
		{"no right", code("AccessDenied"), forbidden},
		{"another error", code("ValidationError"), general},
	} {
		if got := AWS(tc.err, general); got != tc.want {
			t.Errorf("%s: %q, want %q; %v", tc.name, got, tc.want, tc.err)
		}
	}
}

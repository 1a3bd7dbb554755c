package sdk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"fanout/functions/fetch"
	"fanout/functions/store/lean"
)

// load reads the process's AWS configuration.
func load(ctx context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the AWS configuration: %w", err)
	}
	return cfg, nil
}

// common is what all clients have, whatever else they are: an access point is
// read in its own region unless the configuration forbids it, a bucket's name does
// not go in front of localhost, which does not resolve everywhere, and redirects
// are this package's to follow. Connections are no more than this process may have
// files.
func common(cfg aws.Config) func(*s3.Options) {
	return func(o *s3.Options) {
		if !saysARNRegion(cfg) {
			o.UseARNRegion = true
		}
		if u, err := url.Parse(aws.ToString(o.BaseEndpoint)); err == nil && u.Hostname() == "localhost" {
			o.UsePathStyle = true
		}
		if client, ok := o.HTTPClient.(*awshttp.BuildableClient); ok {
			transport := client.GetTransport()
			transport.MaxConnsPerHost = cmp.Or(transport.MaxConnsPerHost, fetch.MaxConnections())
			transport.DialContext = patient(transport.DialContext)
			o.HTTPClient = &http.Client{Transport: transport, Timeout: client.GetTimeout(), CheckRedirect: noRedirect}
		}
	}
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

const patience = 30 * time.Second

// patient dials again where the process has no file left for a connection, for up
// to patience. Whoever asked for it takes one that comes free meanwhile: the transport
// sees to that.
func patient(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		started := time.Now()
		for try := 1; ; try++ {
			c, err := dial(ctx, network, address)
			if time.Since(started) > patience || !lean.TooManyFiles(err) {
				return c, err
			}
			timer := time.NewTimer(lean.Backoff(min(try, 3)))
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return nil, err
			}
		}
	}
}

// noRedirect gives a redirect to the caller: one of S3's names a region to sign
// for, and another host would be told the session token.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// saysARNRegion says whether environment or shared files have s3_use_arn_region.
func saysARNRegion(cfg aws.Config) bool {
	for _, source := range cfg.ConfigSources {
		switch s := source.(type) {
		case config.EnvConfig:
			if s.S3UseARNRegion != nil {
				return true
			}
		case config.SharedConfig:
			if s.S3UseARNRegion != nil {
				return true
			}
		}
	}
	return false
}

// leanConfig gives lean the settings that the SDK has read and would use itself
// for S3. It fails, naming it, for one that lean does not have.
func leanConfig(ctx context.Context) (lean.Config, error) {
	own, err := lean.OwnConfigFromEnv(os.Getenv)
	if err != nil {
		return lean.Config{}, err
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return lean.Config{}, err
	}
	o := s3.NewFromConfig(cfg, common(cfg)).Options()
	own.Region = o.Region
	own.Endpoint = aws.ToString(o.BaseEndpoint)
	own.DualStack = o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled
	own.FIPS = o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled
	own.RefuseARNRegion = !o.UseARNRegion
	own.DisableExpressSession = aws.ToBool(o.DisableS3ExpressSessionAuth)
	own.MaxAttempts = cfg.RetryMaxAttempts
	own.Credentials = o.Credentials
	if os.Getenv("AWS_ACCESS_KEY_ID") != "" && os.Getenv("AWS_SECRET_ACCESS_KEY") != "" {
		own.Credentials = lean.EnvCredentials(os.Getenv)
	}
	own.Proxy = lean.ProxyFromEnvironment
	if client, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		transport := client.GetTransport()
		if transport.TLSClientConfig != nil {
			own.Roots = transport.TLSClientConfig.RootCAs
		}
		if proxy := transport.Proxy; proxy != nil {
			own.Proxy = func(u *url.URL) (*url.URL, error) { return proxy(&http.Request{URL: u}) }
		}
	}
	switch {
	case o.RetryMode == aws.RetryModeAdaptive:
		return lean.Config{}, errors.New("retry_mode adaptive: lean has standard only")
	case saysChecksums(cfg):
		return lean.Config{}, errors.New("response_checksum_validation when_supported: lean does not check what S3 may send")
	case len(o.AuthSchemePreference) > 0 && !strings.EqualFold(strings.TrimPrefix(o.AuthSchemePreference[0], "aws.auth#"), "sigv4"):
		return lean.Config{}, fmt.Errorf("auth_scheme_preference %s: lean has sigv4 only", strings.Join(o.AuthSchemePreference, ","))
	}
	return own, nil
}

// saysChecksums says whether environment or shared files ask for response
// checksums wherever there are some, which is also the SDK's default.
func saysChecksums(cfg aws.Config) bool {
	said := aws.ResponseChecksumValidationUnset
	for _, source := range cfg.ConfigSources { // the environment comes first
		if said != aws.ResponseChecksumValidationUnset {
			break
		}
		switch s := source.(type) {
		case config.EnvConfig:
			said = s.ResponseChecksumValidation
		case config.SharedConfig:
			said = s.ResponseChecksumValidation
		}
	}
	return said == aws.ResponseChecksumValidationWhenSupported
}

package lean

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"fanout/functions/fetch"
)

// Config is where and as whom to read. [ConfigFromEnv] gives the process's.
type Config struct {
	Region    string
	Endpoint  string // URL of another S3 than AWS's; empty: AWS's for Region
	DualStack bool   // AWS's endpoints with IPv6 addresses
	FIPS      bool   // AWS's endpoints with FIPS 140 modules
	// RefuseARNRegion fails for an access point in another region than Region,
	// which is otherwise read there.
	RefuseARNRegion bool
	// DisableExpressSession signs for directory buckets with Credentials, not
	// with a session's.
	DisableExpressSession bool
	Credentials           aws.CredentialsProvider
	Roots                 *x509.CertPool // to trust; nil: the system's (SSL_CERT_FILE, where set)
	// PostQuantum also offers X25519MLKEM768 to agree on keys, as Go does by
	// itself. Without it a handshake costs a third less CPU (390 instead of
	// 590 µs, measured on one x86_64 machine), but whoever records the
	// traffic and one day has a quantum computer can read it.
	PostQuantum bool
	MemoryMB    int // the function's size, which sets how far large objects are read ahead; 0: not known
}

// ConfigFromEnv reads AWS_REGION (else AWS_DEFAULT_REGION),
// AWS_ENDPOINT_URL_S3 (else AWS_ENDPOINT_URL; neither with
// AWS_IGNORE_CONFIGURED_ENDPOINT_URLS), AWS_USE_DUALSTACK_ENDPOINT,
// AWS_USE_FIPS_ENDPOINT, LEAN_POST_QUANTUM, AWS_CA_BUNDLE (a PEM file, trusted beside the
// system's), AWS_LAMBDA_FUNCTION_MEMORY_SIZE and, at each signing key's
// making, the credentials of [EnvCredentials], through getenv. It fails where
// a value cannot be used.
func ConfigFromEnv(getenv func(string) string) (Config, error) {
	either := func(names ...string) string {
		for _, name := range names {
			if v := getenv(name); v != "" {
				return v
			}
		}
		return ""
	}
	cfg := Config{
		Region:      either("AWS_REGION", "AWS_DEFAULT_REGION"),
		Credentials: EnvCredentials(getenv),
	}
	ignore := false
	for name, to := range map[string]*bool{
		"AWS_USE_DUALSTACK_ENDPOINT":          &cfg.DualStack,
		"AWS_USE_FIPS_ENDPOINT":               &cfg.FIPS,
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": &ignore,
		"LEAN_POST_QUANTUM":                   &cfg.PostQuantum,
	} {
		switch v := getenv(name); {
		case v == "" || strings.EqualFold(v, "false"):
		case strings.EqualFold(v, "true"):
			*to = true
		default:
			return Config{}, fmt.Errorf("%s=%q: must be true or false", name, v)
		}
	}
	if !ignore {
		cfg.Endpoint = either("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
	}
	if file := getenv("AWS_CA_BUNDLE"); file != "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return Config{}, fmt.Errorf("read the system's certificates: %w", err)
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return Config{}, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return Config{}, fmt.Errorf("AWS_CA_BUNDLE: %s holds no certificate", file)
		}
		cfg.Roots = roots
	}
	var err error
	if cfg.MemoryMB, err = fetch.MemoryFromEnv(getenv); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// curves are the key exchanges to offer; nil: Go's own choice.
func (c Config) curves() []tls.CurveID {
	if c.PostQuantum {
		return nil
	}
	return []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}
}

// Validate says what is wrong with c, naming the setting.
func (c Config) Validate() error {
	switch {
	case c.Region == "":
		return errors.New("no region: set AWS_REGION")
	case !isLabel(c.Region):
		return fmt.Errorf("region %q: letters, digits and hyphens only", c.Region)
	case c.Credentials == nil:
		return errors.New("no credentials provider")
	}
	_, err := c.customEndpoint()
	return err
}

// customEndpoint gives the custom endpoint, nil where there is none.
func (c Config) customEndpoint() (*url.URL, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil:
		if parse := (*url.Error)(nil); errors.As(err, &parse) {
			err = parse.Err // without the URL, which could hold a password
		}
		return nil, fmt.Errorf("endpoint: not a URL: %w", err)
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, fmt.Errorf("endpoint %q: must be http(s)://HOST[:PORT][/PATH]", u.Redacted())
	case c.FIPS || c.DualStack:
		return nil, fmt.Errorf("endpoint %q: cannot be combined with FIPS or dual-stack endpoints, which are AWS's", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("endpoint %q: no user, query or fragment", u.Redacted())
	}
	return u, nil
}

// EnvCredentials gives AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
// AWS_SESSION_TOKEN as they stand at each Retrieve, as in a Lambda function's
// environment. Retrieve fails if one of the first two is missing.
func EnvCredentials(getenv func(string) string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		c := aws.Credentials{
			AccessKeyID:     getenv("AWS_ACCESS_KEY_ID"),
			SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"),
			SessionToken:    getenv("AWS_SESSION_TOKEN"),
			Source:          "environment",
		}
		if c.AccessKeyID == "" || c.SecretAccessKey == "" {
			return aws.Credentials{}, errors.New("no credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
		}
		return c, nil
	})
}

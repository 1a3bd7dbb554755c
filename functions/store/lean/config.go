package lean

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
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
	// Proxy gives the http or https proxy for a URL, nil for none; a nil func is
	// none for all. It is asked for HTTPS only: over plain HTTP lean fails if
	// there is one.
	Proxy func(*url.URL) (*url.URL, error)
	// MaxAttempts bounds the attempts at one request; 0: 10.
	MaxAttempts int
	// PostQuantum also offers X25519MLKEM768 to agree on keys, as Go does by
	// itself. Without it a handshake costs a third less CPU (390 instead of
	// 590 µs, measured on one x86_64 machine), but whoever records the
	// traffic and one day has a quantum computer can read it.
	PostQuantum bool
	// MemoryMB is the function's size, which bounds the buffers for large objects; 0:
	// not known.
	MemoryMB int
	// Quota says that the function's bandwidth grows with MemoryMB, as lambda.Bandwidth
	// has it: large objects are read on more connections then.
	Quota bool
}

// OwnConfigFromEnv reads the settings that are lean's alone through getenv:
// LEAN_POST_QUANTUM and, which the handler reads too, AWS_LAMBDA_FUNCTION_MEMORY_SIZE
// and BANDWIDTH.
func OwnConfigFromEnv(getenv func(string) string) (Config, error) {
	var cfg Config
	var err error
	if cfg.PostQuantum, err = boolFromEnv(getenv, "LEAN_POST_QUANTUM"); err != nil {
		return Config{}, err
	}
	if cfg.MemoryMB, err = fetch.MemoryFromEnv(getenv); err != nil {
		return Config{}, err
	}
	if cfg.Quota, err = fetch.QuotaFromEnv(getenv); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// ConfigFromEnv reads the process's configuration without the SDK, through getenv:
// what [OwnConfigFromEnv] does, and AWS_REGION (else AWS_DEFAULT_REGION),
// AWS_ENDPOINT_URL_S3 (else AWS_ENDPOINT_URL; neither with
// AWS_IGNORE_CONFIGURED_ENDPOINT_URLS), AWS_USE_DUALSTACK_ENDPOINT,
// AWS_USE_FIPS_ENDPOINT, AWS_S3_USE_ARN_REGION, AWS_S3_DISABLE_EXPRESS_SESSION_AUTH,
// AWS_MAX_ATTEMPTS, AWS_RETRY_MODE, AWS_RESPONSE_CHECKSUM_VALIDATION,
// AWS_AUTH_SCHEME_PREFERENCE, AWS_CA_BUNDLE (a PEM file, trusted instead of the
// system's), HTTPS_PROXY and NO_PROXY and, at each signing key's making, the
// credentials of [EnvCredentials]. It fails where a value cannot be used, and for
// settings that it would have to ignore: see refusedWithoutSDK.
func ConfigFromEnv(getenv func(string) string) (Config, error) {
	either := func(names ...string) string {
		for _, name := range names {
			if v := getenv(name); v != "" {
				return v
			}
		}
		return ""
	}
	for name, why := range refusedWithoutSDK {
		if v := getenv(name); v != "" && v != os.DevNull {
			return Config{}, fmt.Errorf("%s is set: %s", name, why)
		}
	}
	cfg, err := OwnConfigFromEnv(getenv)
	if err != nil {
		return Config{}, err
	}
	cfg.Region = either("AWS_REGION", "AWS_DEFAULT_REGION")
	cfg.Credentials = EnvCredentials(getenv)
	cfg.Proxy = ProxyFromEnvironment
	var ignore, arnRegion bool
	for name, to := range map[string]*bool{
		"AWS_USE_DUALSTACK_ENDPOINT":          &cfg.DualStack,
		"AWS_USE_FIPS_ENDPOINT":               &cfg.FIPS,
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": &ignore,
		"AWS_S3_USE_ARN_REGION":               &arnRegion,
		"AWS_S3_DISABLE_EXPRESS_SESSION_AUTH": &cfg.DisableExpressSession,
	} {
		if *to, err = boolFromEnv(getenv, name); err != nil {
			return Config{}, err
		}
	}
	cfg.RefuseARNRegion = getenv("AWS_S3_USE_ARN_REGION") != "" && !arnRegion
	if !ignore {
		cfg.Endpoint = either("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
	}
	if v := getenv("AWS_MAX_ATTEMPTS"); v != "" {
		if cfg.MaxAttempts, err = strconv.Atoi(v); err != nil || cfg.MaxAttempts < 0 {
			return Config{}, fmt.Errorf("AWS_MAX_ATTEMPTS=%q: must be a number", v)
		}
	}
	if v := getenv("AWS_RESPONSE_CHECKSUM_VALIDATION"); strings.EqualFold(v, "when_supported") {
		return Config{}, fmt.Errorf("AWS_RESPONSE_CHECKSUM_VALIDATION=%q: lean does not check what S3 may send", v)
	}
	if v := getenv("AWS_AUTH_SCHEME_PREFERENCE"); v != "" {
		first, _, _ := strings.Cut(v, ",")
		if !strings.EqualFold(strings.TrimPrefix(strings.TrimSpace(first), "aws.auth#"), "sigv4") {
			return Config{}, fmt.Errorf("AWS_AUTH_SCHEME_PREFERENCE=%q: lean has sigv4 only", v)
		}
	}
	if v := getenv("AWS_RETRY_MODE"); v != "" && !strings.EqualFold(v, string(aws.RetryModeStandard)) {
		return Config{}, fmt.Errorf("AWS_RETRY_MODE=%q: lean has standard only", v)
	}
	if file := getenv("AWS_CA_BUNDLE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return Config{}, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
		}
		cfg.Roots = x509.NewCertPool()
		if !cfg.Roots.AppendCertsFromPEM(pem) {
			return Config{}, fmt.Errorf("AWS_CA_BUNDLE: %s contains no certificate", file)
		}
	}
	return cfg, nil
}

// refusedWithoutSDK are the settings that only the SDK's configuration
// understands, and that would lead elsewhere or to other credentials. A file of
// /dev/null is none.
var refusedWithoutSDK = map[string]string{
	"AWS_PROFILE":                            noFiles,
	"AWS_DEFAULT_PROFILE":                    noFiles,
	"AWS_CONFIG_FILE":                        noFiles,
	"AWS_SHARED_CREDENTIALS_FILE":            noFiles,
	"AWS_WEB_IDENTITY_TOKEN_FILE":            noRoles,
	"AWS_CONTAINER_CREDENTIALS_FULL_URI":     noRoles,
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": noRoles,
}

const (
	noFiles = "this build reads no shared configuration; use the one with the SDK"
	noRoles = "this build takes credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only; use the one with the SDK"
)

// ProxyFromEnvironment gives the proxy for a URL that HTTPS_PROXY and NO_PROXY
// name, as net/http does; it reads them once a process.
func ProxyFromEnvironment(u *url.URL) (*url.URL, error) {
	return http.ProxyFromEnvironment(&http.Request{URL: u})
}

func boolFromEnv(getenv func(string) string, name string) (bool, error) {
	switch v := getenv(name); {
	case v == "" || strings.EqualFold(v, "false"):
		return false, nil
	case strings.EqualFold(v, "true"):
		return true, nil
	default:
		return false, fmt.Errorf("%s=%q: must be true or false", name, v)
	}
}

// normalize takes the FIPS spelling of a region, such as fips-us-east-1, apart.
func (c Config) normalize() Config {
	for _, fips := range []struct{ mark, instead string }{{"-fips-", "-"}, {"fips-", ""}, {"-fips", ""}} {
		if strings.Contains(c.Region, fips.mark) {
			c.Region, c.FIPS = strings.ReplaceAll(c.Region, fips.mark, fips.instead), true
		}
	}
	return c
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
	if c.MaxAttempts < 0 {
		return fmt.Errorf("%d attempts: must not be negative", c.MaxAttempts)
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
		return nil, fmt.Errorf("endpoint: not a URL: %w", withoutURL(err))
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, fmt.Errorf("endpoint %q: must be http(s)://HOST[:PORT][/PATH]", u.Redacted())
	case c.FIPS || c.DualStack:
		return nil, fmt.Errorf("endpoint %q: cannot be combined with FIPS or dual-stack endpoints, which are AWS's", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("endpoint %q: no user, query or fragment", u.Redacted())
	}
	return u, nil
}

// withoutURL is a URL's parsing error without the URL, which could hold a password.
func withoutURL(err error) error {
	if parse := (*url.Error)(nil); errors.As(err, &parse) {
		return parse.Err
	}
	return err
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

package lean

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"fanout/functions/fetch"
)

// Config is where and as whom to read. [ConfigFromEnv] gives the process's.
type Config struct {
	Region      string
	Endpoint    string // URL of another S3 than AWS's; empty: AWS's for Region
	DualStack   bool   // AWS's endpoints with IPv6 addresses
	FIPS        bool   // AWS's endpoints with FIPS 140 modules
	Credentials aws.CredentialsProvider
	Roots       *x509.CertPool // to trust; nil: the system's (SSL_CERT_FILE, where set)
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

// isLabel says whether s can be one label of a host name.
func isLabel(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && s[0] != '-' && s[len(s)-1] != '-'
}

// endpoint is where a bucket's requests go.
type endpoint struct {
	scheme    string
	address   string // to dial, HOST:PORT
	authority string // Host header; the port is left out where it is the scheme's own
	prefix    string // of the path, escaped: /BUCKET in path style
	region    string // to sign for
	service   string
	express   bool // needs a session
}

// resolve gives the endpoint of a bucket's name or access point's ARN in a
// region.
func (c Config) resolve(bucket, region string) (endpoint, error) {
	e := endpoint{scheme: "https", region: region, service: "s3"}
	stack, fips, domain := "", "", ".amazonaws.com"
	if c.DualStack {
		stack = ".dualstack"
	}
	if c.FIPS {
		fips = "-fips"
	}
	label, service := bucket, "s3"+fips // https://LABEL.SERVICE.REGION…
	virtual := isLabel(bucket) && len(bucket) >= 3 && len(bucket) <= 63
	if strings.HasPrefix(bucket, "arn:") {
		name, account, arnRegion, err := accessPoint(bucket)
		if err != nil {
			return endpoint{}, err
		}
		e.region = arnRegion
		label, service, virtual = name+"-"+account, "s3-accesspoint"+fips, true
	}
	if zone, ok := expressZone(bucket); ok {
		e.service, e.express, service = "s3express", true, "s3express"+fips+"-"+zone
	}
	if strings.HasPrefix(e.region, "cn-") {
		domain += ".cn"
	}
	host, port := service+stack+"."+e.region+domain, ""
	custom, err := c.customEndpoint()
	if err != nil {
		return endpoint{}, err
	}
	if custom != nil {
		e.scheme, host, port = custom.Scheme, custom.Hostname(), custom.Port()
		e.prefix = strings.TrimRight(custom.EscapedPath(), "/")
		// A name in front of an address is no name, and one in front of
		// localhost does not resolve everywhere.
		virtual = virtual && net.ParseIP(host) == nil && host != "localhost"
	}
	if virtual {
		host = label + "." + host
	} else {
		e.prefix = string(appendPath([]byte(e.prefix+"/"), bucket))
	}
	e.authority = host
	if strings.Contains(host, ":") {
		e.authority = "[" + host + "]"
	}
	standard := map[string]string{"https": "443", "http": "80"}[e.scheme]
	if port == "" {
		port = standard
	}
	e.address = net.JoinHostPort(host, port)
	if port != standard {
		e.authority = e.address
	}
	return e, nil
}

// expressZone gives the Availability Zone's id of a directory bucket
// (NAME--ZONE--x-s3).
func expressZone(bucket string) (zone string, ok bool) {
	rest, ok := strings.CutSuffix(bucket, "--x-s3")
	i := strings.LastIndex(rest, "--")
	if !ok || i < 1 || !isLabel(rest[i+2:]) {
		return "", false
	}
	return rest[i+2:], true
}

// accessPoint takes arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME apart.
func accessPoint(arn string) (name, account, region string, err error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) == 6 && parts[2] == "s3" {
		name, ok := strings.CutPrefix(parts[5], "accesspoint")
		if ok && (strings.HasPrefix(name, "/") || strings.HasPrefix(name, ":")) &&
			isLabel(name[1:]) && isLabel(parts[3]) && isLabel(parts[4]) {
			return name[1:], parts[4], parts[3], nil
		}
	}
	return "", "", "", fmt.Errorf("bucket %q: of ARNs, lean reads arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME; "+
		"the other clients read more kinds", arn)
}

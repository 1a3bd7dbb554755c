package lean

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestResolve(t *testing.T) {
	for _, tt := range []struct {
		name   string // what it guards
		cfg    Config
		bucket string
		want   string // SCHEME ADDRESS HOST PREFIX REGION SERVICE; "": refused
	}{
		{"virtual-hosted", Config{}, "photos",
			"https photos.s3.eu-west-1.amazonaws.com:443 photos.s3.eu-west-1.amazonaws.com  eu-west-1 s3"},
		{"a dot does not fit the certificate", Config{}, "my.photos",
			"https s3.eu-west-1.amazonaws.com:443 s3.eu-west-1.amazonaws.com /my.photos eu-west-1 s3"},
		{"an old name in capitals", Config{}, "Photos_1",
			"https s3.eu-west-1.amazonaws.com:443 s3.eu-west-1.amazonaws.com /Photos_1 eu-west-1 s3"},
		{"a name that is none is escaped", Config{}, "a?b/../c",
			"https s3.eu-west-1.amazonaws.com:443 s3.eu-west-1.amazonaws.com /a%3Fb%2F..%2Fc eu-west-1 s3"},
		{"dual-stack", Config{DualStack: true}, "photos",
			"https photos.s3.dualstack.eu-west-1.amazonaws.com:443 photos.s3.dualstack.eu-west-1.amazonaws.com  eu-west-1 s3"},
		{"FIPS", Config{FIPS: true, Region: "us-west-2"}, "photos",
			"https photos.s3-fips.us-west-2.amazonaws.com:443 photos.s3-fips.us-west-2.amazonaws.com  us-west-2 s3"},
		{"China", Config{Region: "cn-north-1"}, "photos",
			"https photos.s3.cn-north-1.amazonaws.com.cn:443 photos.s3.cn-north-1.amazonaws.com.cn  cn-north-1 s3"},
		{"an address: path style", Config{Endpoint: "https://127.0.0.1:9000"}, "photos",
			"https 127.0.0.1:9000 127.0.0.1:9000 /photos eu-west-1 s3"},
		{"an IPv6 address", Config{Endpoint: "https://[::1]"}, "photos", "https [::1]:443 [::1] /photos eu-west-1 s3"},
		{"its port", Config{Endpoint: "http://[::1]:8000/"}, "photos", "http [::1]:8000 [::1]:8000 /photos eu-west-1 s3"},
		{"localhost: path style", Config{Endpoint: "http://localhost:9000"}, "photos",
			"http localhost:9000 localhost:9000 /photos eu-west-1 s3"},
		{"a name: virtual-hosted", Config{Endpoint: "https://s3.example.com"}, "photos",
			"https photos.s3.example.com:443 photos.s3.example.com  eu-west-1 s3"},
		{"a default port is not said", Config{Endpoint: "http://s3.example.com:80/base/"}, "photos",
			"http photos.s3.example.com:80 photos.s3.example.com /base eu-west-1 s3"},
		{"a path before the bucket", Config{Endpoint: "http://10.0.0.1/base"}, "photos",
			"http 10.0.0.1:80 10.0.0.1 /base/photos eu-west-1 s3"},
		{"a directory bucket", Config{}, "photos--euw1-az3--x-s3",
			"https photos--euw1-az3--x-s3.s3express-euw1-az3.eu-west-1.amazonaws.com:443 photos--euw1-az3--x-s3.s3express-euw1-az3" +
				".eu-west-1.amazonaws.com  eu-west-1 s3express express"},
		{"at an address", Config{Endpoint: "https://127.0.0.1:9000"}, "photos--euw1-az3--x-s3",
			"https 127.0.0.1:9000 127.0.0.1:9000 /photos--euw1-az3--x-s3 eu-west-1 s3express express"},
		{"only nearly one", Config{}, "photos--x-s3", ""},
		{"an access point of one", Config{}, "mine--euw1-az3--xa-s3",
			"https mine--euw1-az3--xa-s3.s3express-euw1-az3.eu-west-1.amazonaws.com:443 " +
				"mine--euw1-az3--xa-s3.s3express-euw1-az3.eu-west-1.amazonaws.com  eu-west-1 s3express express"},
		{"a path before it", Config{Endpoint: "http://10.0.0.1/base"}, "photos--euw1-az3--x-s3",
			"http 10.0.0.1:80 10.0.0.1 /base/photos--euw1-az3--x-s3 eu-west-1 s3express express"},
		{"S3 on Outposts", Config{}, "photos--op-s3", ""},
		{"the European Sovereign Cloud", Config{Region: "eusc-de-east-1"}, "photos",
			"https photos.s3.eusc-de-east-1.amazonaws.eu:443 photos.s3.eusc-de-east-1.amazonaws.eu  eusc-de-east-1 s3"},
		{"an access point at an address", Config{Endpoint: "https://127.0.0.1"}, "arn:aws:s3:eu-west-1:1:accesspoint/a", ""},
		{"an access point in front of localhost", Config{Endpoint: "http://localhost"}, "arn:aws:s3:eu-west-1:1:accesspoint/a", ""},
		{"an access point, in its own region", Config{}, "arn:aws:s3:us-west-2:123456789012:accesspoint/mine",
			"https mine-123456789012.s3-accesspoint.us-west-2.amazonaws.com:443 mine-123456789012.s3-accesspoint.us-west-2.amazona" +
				"ws.com  us-west-2 s3"},
		{"its other spelling", Config{DualStack: true}, "arn:aws:s3:us-west-2:123456789012:accesspoint:mine",
			"https mine-123456789012.s3-accesspoint.dualstack.us-west-2.amazonaws.com:443 mine-123456789012.s3-accesspoint.dualsta" +
				"ck.us-west-2.amazonaws.com  us-west-2 s3"},
		{"another service's", Config{}, "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/mine", ""},
		{"no name", Config{}, "arn:aws:s3:us-west-2:123456789012:accesspoint/", ""},
		{"a host in the name", Config{}, "arn:aws:s3:us-west-2:123456789012:accesspoint/evil.example/", ""},
		{"a host in the region", Config{}, "arn:aws:s3:evil.example/:123456789012:accesspoint/a", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cfg.Region == "" {
				tt.cfg.Region = "eu-west-1"
			}
			e, err := tt.cfg.resolve(tt.bucket, tt.cfg.Region)
			got := strings.Join([]string{e.scheme, e.address, e.authority, e.prefix, e.region, e.service}, " ")
			if e.express {
				got += " express"
			}
			if tt.want == "" {
				if err == nil {
					t.Errorf("got %s", got)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

func TestConfigFromEnv(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		env  map[string]string
		want Config // but for credentials and roots
		err  string // part of the error
	}{
		{"nothing", nil, Config{}, ""},
		{"a function's", map[string]string{"AWS_REGION": "r", "AWS_DEFAULT_REGION": "other",
			"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"}, Config{Region: "r", MemoryMB: 1769}, ""},
		{"a function's whose bandwidth grows", map[string]string{"AWS_REGION": "r", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "10240",
			"BANDWIDTH": "quota"}, Config{Region: "r", MemoryMB: 10240, Quota: true}, ""},
		{"a flat bandwidth", map[string]string{"BANDWIDTH": "flat"}, Config{}, ""},
		{"a bandwidth that is none", map[string]string{"BANDWIDTH": "wide"}, Config{}, `bandwidth "wide"`},
		{"the default region", map[string]string{"AWS_DEFAULT_REGION": "r"}, Config{Region: "r"}, ""},
		{"S3's endpoint before the general one", map[string]string{"AWS_ENDPOINT_URL_S3": "https://a",
			"AWS_ENDPOINT_URL": "https://b"}, Config{Endpoint: "https://a"}, ""},
		{"the general endpoint", map[string]string{"AWS_ENDPOINT_URL": "https://b"}, Config{Endpoint: "https://b"}, ""},
		{"endpoints not wanted", map[string]string{"AWS_ENDPOINT_URL": "https://b", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
			Config{}, ""},
		{"switches", map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "TRUE", "AWS_USE_FIPS_ENDPOINT": "true",
			"LEAN_POST_QUANTUM": "true"}, Config{DualStack: true, FIPS: true, PostQuantum: true}, ""},
		{"switched off", map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "false"}, Config{}, ""},
		{"a switch that is none", map[string]string{"AWS_USE_FIPS_ENDPOINT": "yes"}, Config{}, `AWS_USE_FIPS_ENDPOINT="yes"`},
		{"an access point's region refused", map[string]string{"AWS_S3_USE_ARN_REGION": "false"}, Config{RefuseARNRegion: true}, ""},
		{"an access point's region allowed", map[string]string{"AWS_S3_USE_ARN_REGION": "true"}, Config{}, ""},
		{"no sessions", map[string]string{"AWS_S3_DISABLE_EXPRESS_SESSION_AUTH": "true"}, Config{DisableExpressSession: true}, ""},
		{"retries", map[string]string{"AWS_MAX_ATTEMPTS": "7", "AWS_RETRY_MODE": "standard"}, Config{MaxAttempts: 7}, ""},
		{"attempts that are none", map[string]string{"AWS_MAX_ATTEMPTS": "many"}, Config{}, "AWS_MAX_ATTEMPTS"},
		{"negative attempts", map[string]string{"AWS_MAX_ATTEMPTS": "-1"}, Config{}, "AWS_MAX_ATTEMPTS"},
		{"a retry mode that lean has not", map[string]string{"AWS_RETRY_MODE": "adaptive"}, Config{}, "AWS_RETRY_MODE"},
		{"checksums wherever there are some", map[string]string{"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_supported"}, Config{},
			"AWS_RESPONSE_CHECKSUM_VALIDATION"},
		{"checksums where they must be", map[string]string{"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}, Config{}, ""},
		{"another signature", map[string]string{"AWS_AUTH_SCHEME_PREFERENCE": "sigv4a, sigv4"}, Config{}, "AWS_AUTH_SCHEME_PREFERENCE"},
		{"the signature that lean has", map[string]string{"AWS_AUTH_SCHEME_PREFERENCE": "aws.auth#sigv4,sigv4a"}, Config{}, ""},
		{"no shared files", map[string]string{"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}, Config{}, ""},
		{"a profile", map[string]string{"AWS_PROFILE": "minio"}, Config{}, "AWS_PROFILE is set"},
		{"a shared file", map[string]string{"AWS_CONFIG_FILE": "/etc/aws"}, Config{}, "AWS_CONFIG_FILE is set"},
		{"a web identity", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, Config{}, "AWS_WEB_IDENTITY_TOKEN_FILE is set"},
		{"a container's role", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://x"}, Config{},
			"AWS_CONTAINER_CREDENTIALS_FULL_URI is set"},
		{"a bundle that is not there", map[string]string{"AWS_CA_BUNDLE": filepath.Join(dir, "none")}, Config{}, "AWS_CA_BUNDLE"},
		{"a bundle without certificates", map[string]string{"AWS_CA_BUNDLE": empty}, Config{}, "contains no certificate"},
		{"a memory size that is none", map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "much"}, Config{},
			"AWS_LAMBDA_FUNCTION_MEMORY_SIZE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ConfigFromEnv(func(name string) string { return tt.env[name] })
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || got.Credentials == nil || got.Proxy == nil {
				t.Fatalf("%+v, %v", got, err)
			}
			if got.Credentials, got.Proxy = nil, nil; !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	good := Config{Region: "eu-west-1", Credentials: EnvCredentials(os.Getenv)}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		err    string // part of the error; "": none
	}{
		{"good", func(*Config) {}, ""},
		{"a custom endpoint", func(c *Config) { c.Endpoint = "http://localhost:9000/base" }, ""},
		{"no region", func(c *Config) { c.Region = "" }, "AWS_REGION"},
		{"a region that leaves its label of the host", func(c *Config) { c.Region = "a.evil.example/" }, "region"},
		{"no credentials", func(c *Config) { c.Credentials = nil }, "credentials"},
		{"an endpoint without a scheme", func(c *Config) { c.Endpoint = "localhost:9000" }, "endpoint"},
		{"another scheme", func(c *Config) { c.Endpoint = "ftp://localhost" }, "endpoint"},
		{"no host", func(c *Config) { c.Endpoint = "https:///x" }, "endpoint"},
		{"a password, which is not shown", func(c *Config) { c.Endpoint = "https://u:hush@h" }, "endpoint"},
		{"a query", func(c *Config) { c.Endpoint = "https://h?x" }, "endpoint"},
		{"FIPS at an endpoint that is not AWS's", func(c *Config) { c.Endpoint, c.FIPS = "https://h", true }, "endpoint"},
		{"dual-stack at one", func(c *Config) { c.Endpoint, c.DualStack = "https://h", true }, "endpoint"},
		{"FIPS by the region's name at one", func(c *Config) { c.Endpoint, c.Region = "https://h", "fips-us-east-1" }, "endpoint"},
		{"negative attempts", func(c *Config) { c.MaxAttempts = -1 }, "attempts"},
		{"no URL", func(c *Config) { c.Endpoint = "https://u:hush@h:x" }, "endpoint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			client, err := New(cfg)
			switch {
			case tt.err == "" && (err != nil || client == nil):
				t.Errorf("error %v", err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "hush")):
				t.Errorf("error %v, want one about %s", err, tt.err)
			}
		})
	}
}

// TestEnvCredentials: they are read at each Retrieve, for they can change.
func TestEnvCredentials(t *testing.T) {
	env := map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
	p := EnvCredentials(func(name string) string { return env[name] })
	for _, token := range []string{"", "token"} {
		env["AWS_SESSION_TOKEN"] = token
		got, err := p.Retrieve(t.Context())
		want := aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret", SessionToken: token, Source: "environment"}
		if err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
	delete(env, "AWS_SECRET_ACCESS_KEY")
	if got, err := p.Retrieve(t.Context()); err == nil {
		t.Errorf("%+v", got)
	}
}

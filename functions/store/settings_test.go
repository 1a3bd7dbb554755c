package store_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"

	"fanout/functions/store"
)

// recorder is what every request of these tests reaches instead of the host that
// it is for: as HTTPS_PROXY it is asked for that host by name, and it stands
// behind endpoints of one's own.
type recorder struct {
	mu   sync.Mutex
	seen string // host, and over plain HTTP path and key id
	stop context.CancelFunc
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == "" {
		if r.seen = strings.TrimSuffix(req.Host, ":443"); req.Method != http.MethodConnect {
			_, id, _ := strings.Cut(req.Header.Get("Authorization"), "Credential=")
			scope := strings.Split(id, "/")
			r.seen += req.URL.Path + " " + strings.Join(scope[:min(len(scope), 4)], "/")
		}
	}
	r.stop() // one request is enough
	w.WriteHeader(http.StatusBadGateway)
}

var hosts recorder

// listen makes the recorder this process's proxy. net/http reads the variable
// once, so that it is set before anything is sent; loopback addresses are never
// behind a proxy.
func (r *recorder) listen() (url string, stop func()) {
	server := httptest.NewServer(r)
	for name, value := range map[string]string{"HTTPS_PROXY": server.URL, "NO_PROXY": "", "https_proxy": "", "no_proxy": ""} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	return server.URL, server.Close
}

// recorderURL is where the recorder listens.
var recorderURL string

// sdkEnvironment are the variables that the SDK or a client reads.
var sdkEnvironment = []string{
	"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY", "AWS_SECRET_KEY",
	"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_CA_BUNDLE",
	"AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_S3_USE_ARN_REGION", "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH",
	"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "AWS_RESPONSE_CHECKSUM_VALIDATION", "AWS_AUTH_SCHEME_PREFERENCE", "AWS_DEFAULTS_MODE",
	"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"LEAN_POST_QUANTUM", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS",
}

// awsEnvironment makes env the process's whole AWS configuration, with profile in
// its shared file.
func awsEnvironment(t *testing.T, env map[string]string, profile string) {
	t.Helper()
	for _, name := range sdkEnvironment {
		t.Setenv(name, "")
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} { // to the SDK, empty is not unset
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	for name, value := range env {
		t.Setenv(name, value)
	}
}

// TestSettings: with any setting of the environment or a profile, all clients
// call the same host as the same user, or none starts. Where lean does not have a
// setting, it says so by its name.
func TestSettings(t *testing.T) {
	keys := "aws_access_key_id = PROFILE\naws_secret_access_key = s\n"
	inProfile := func(lines ...string) string {
		return "[default]\nregion = eu-west-1\n" + keys + strings.Join(lines, "\n") + "\n"
	}
	own := recorderURL
	ownHost := strings.TrimPrefix(own, "http://")
	const arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/mine"
	for _, tt := range []struct {
		name    string
		env     map[string]string
		profile string
		bucket  string // photos where empty
		want    string // what is called; "": no client starts, or reads
		lean    string // what lean alone refuses, by its name
	}{
		{"a profile's region", nil, inProfile(), "", "photos.s3.eu-west-1.amazonaws.com", ""},
		{"the environment's region before it", map[string]string{"AWS_REGION": "us-west-2"}, inProfile(), "",
			"photos.s3.us-west-2.amazonaws.com", ""},
		{"a profile by its name", map[string]string{"AWS_PROFILE": "other"},
			inProfile() + "[profile other]\nregion = eu-north-1\n" + keys, "", "photos.s3.eu-north-1.amazonaws.com", ""},
		{"a region in Europe's partition", map[string]string{"AWS_REGION": "eusc-de-east-1"}, inProfile(), "",
			"photos.s3.eusc-de-east-1.amazonaws.eu", ""},
		{"a directory bucket", nil, inProfile(), "photos--euw1-az1--x-s3",
			"photos--euw1-az1--x-s3.s3express-euw1-az1.eu-west-1.amazonaws.com", ""},
		{"a directory bucket without sessions", map[string]string{"AWS_S3_DISABLE_EXPRESS_SESSION_AUTH": "true"}, inProfile(),
			"photos--euw1-az1--x-s3", "photos--euw1-az1--x-s3.s3express-euw1-az1.eu-west-1.amazonaws.com", ""},
		{"a bucket with a dot", nil, inProfile(), "my.photos", "s3.eu-west-1.amazonaws.com", ""},
		{"endpoint_url in the profile", nil, inProfile("endpoint_url = " + own), "", ownHost + "/photos/key PROFILE", ""},
		{"endpoint_url of its services", nil,
			inProfile("endpoint_url = https://other.example", "services = mine") + "[services mine]\ns3 =\n  endpoint_url = " + own + "\n",
			"", ownHost + "/photos/key PROFILE", ""},
		{"endpoint_url of another service", nil,
			inProfile("endpoint_url = "+own, "services = mine") + "[services mine]\ndynamodb =\n  endpoint_url = https://other.example\n",
			"", ownHost + "/photos/key PROFILE", ""},
		{"the environment's endpoint before the profile's", map[string]string{"AWS_ENDPOINT_URL_S3": own},
			inProfile("endpoint_url = https://other.example"), "", ownHost + "/photos/key PROFILE", ""},
		{"the general one, too", map[string]string{"AWS_ENDPOINT_URL": own}, inProfile("endpoint_url = https://other.example"), "",
			ownHost + "/photos/key PROFILE", ""},
		{"endpoints ignored", map[string]string{"AWS_ENDPOINT_URL": own, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
			inProfile("endpoint_url = " + own), "", "photos.s3.eu-west-1.amazonaws.com", ""},
		{"endpoints ignored by the profile", nil, inProfile("endpoint_url = "+own, "ignore_configured_endpoint_urls = true"), "",
			"photos.s3.eu-west-1.amazonaws.com", ""},
		{"the environment's keys before the profile's", map[string]string{"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"},
			inProfile("endpoint_url = " + own), "", ownHost + "/photos/key ENV", ""},
		{"keys by their old names", map[string]string{"AWS_ACCESS_KEY": "OLD", "AWS_SECRET_KEY": "s"},
			inProfile("endpoint_url = " + own), "", ownHost + "/photos/key OLD", ""},
		{"half a key", map[string]string{"AWS_ACCESS_KEY_ID": "ENV"}, inProfile("endpoint_url = " + own), "",
			ownHost + "/photos/key PROFILE", ""},
		{"localhost", map[string]string{"AWS_ENDPOINT_URL_S3": strings.Replace(own, "127.0.0.1", "localhost", 1)}, inProfile(), "",
			strings.Replace(ownHost, "127.0.0.1", "localhost", 1) + "/photos/key PROFILE", ""},
		{"an endpoint with a name", nil, inProfile("endpoint_url = https://s3.example"), "", "photos.s3.example", ""},
		{"FIPS", map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, inProfile(), "", "photos.s3-fips.eu-west-1.amazonaws.com", ""},
		{"FIPS in the profile", nil, inProfile("use_fips_endpoint = true"), "", "photos.s3-fips.eu-west-1.amazonaws.com", ""},
		{"FIPS by the region's name", map[string]string{"AWS_REGION": "fips-us-east-1"}, inProfile(), "",
			"photos.s3-fips.us-east-1.amazonaws.com", ""},
		{"FIPS with an endpoint of one's own", nil, inProfile("use_fips_endpoint = true", "endpoint_url = "+own), "", "", ""},
		{"dual-stack", map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, inProfile(), "",
			"photos.s3.dualstack.eu-west-1.amazonaws.com", ""},
		{"dual-stack in the profile", nil, inProfile("use_dualstack_endpoint = true"), "",
			"photos.s3.dualstack.eu-west-1.amazonaws.com", ""},
		{"dual-stack with an endpoint of one's own", nil, inProfile("use_dualstack_endpoint = true", "endpoint_url = "+own), "", "", ""},
		{"an access point elsewhere", nil, inProfile(), arn, "mine-123456789012.s3-accesspoint.us-west-2.amazonaws.com", ""},
		{"allowed by the profile", nil, inProfile("s3_use_arn_region = true"), arn,
			"mine-123456789012.s3-accesspoint.us-west-2.amazonaws.com", ""},
		{"forbidden by the profile", nil, inProfile("s3_use_arn_region = false"), arn, "", ""},
		{"forbidden by the environment", map[string]string{"AWS_S3_USE_ARN_REGION": "false"}, inProfile(), arn, "", ""},
		{"no region", nil, "[default]\n" + keys, "", "", ""},
		{"a region that leaves its label", map[string]string{"AWS_REGION": "evil.example/"}, inProfile(), "", "", ""},
		{"no credentials", nil, "[default]\nregion = eu-west-1\n", "", "", ""},
		{"a profile that is not there", map[string]string{"AWS_PROFILE": "none"}, inProfile(), "", "", ""},
		{"a bundle that is not there", nil, inProfile("ca_bundle = /nonexistent/ca.pem"), "", "", ""},
		{"a switch that is none", map[string]string{"AWS_USE_FIPS_ENDPOINT": "yes"}, inProfile(), "", "", ""},
		{"the standard retries", nil, inProfile("retry_mode = standard"), "", "photos.s3.eu-west-1.amazonaws.com", ""},
		{"adaptive retries", nil, inProfile("retry_mode = adaptive"), "", "photos.s3.eu-west-1.amazonaws.com", "retry_mode adaptive"},
		{"checksums asked for", map[string]string{"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_supported"}, inProfile(), "",
			"photos.s3.eu-west-1.amazonaws.com", "response_checksum_validation"},
		{"checksums not asked for", nil, inProfile("response_checksum_validation = when_required"), "",
			"photos.s3.eu-west-1.amazonaws.com", ""},
		{"another signature", nil, inProfile("auth_scheme_preference = sigv4a"), "", "photos.s3.eu-west-1.amazonaws.com",
			"auth_scheme_preference"},
		{"the usual signature", nil, inProfile("auth_scheme_preference = sigv4, sigv4a"), "", "photos.s3.eu-west-1.amazonaws.com", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			awsEnvironment(t, tt.env, tt.profile)
			for _, client := range store.Names {
				got, err := called(t.Context(), client, tt.bucket)
				if client == store.Lean && tt.lean != "" {
					if got != "" || err == nil || !strings.Contains(err.Error(), tt.lean) {
						t.Errorf("lean: called %q, %v", got, err)
					}
					continue
				}
				if scope, _, ok := strings.Cut(got, "/2"); ok { // without the signature's day
					got = scope
				}
				if got != tt.want || err == nil && tt.want == "" {
					t.Errorf("%s: called %q, want %q; %v", client, got, tt.want, err)
				}
			}
		})
	}
}

// called says which host a client calls for an object.
func called(parent context.Context, client, bucket string) (string, error) {
	if bucket == "" {
		bucket = "photos"
	}
	ctx, stop := context.WithCancel(parent)
	defer stop()
	hosts.mu.Lock()
	hosts.seen, hosts.stop = "", stop
	hosts.mu.Unlock()
	c, err := store.Open(ctx, client)
	if err == nil {
		_, err = c.Get(ctx, bucket, "key", &checksum{})
	}
	hosts.mu.Lock()
	defer hosts.mu.Unlock()
	return hosts.seen, err
}

// TestSettingsAreKnown holds the SDK's settings against those that leanConfig
// takes or refuses, or that do not concern reading: a new one of the SDK's must be
// put into one of the lists.
func TestSettingsAreKnown(t *testing.T) {
	known := map[string]bool{}
	for _, name := range strings.Fields(`
		Region UseDualStackEndpoint UseFIPSEndpoint S3UseARNRegion S3DisableExpressAuth RetryMaxAttempts CustomCABundle
		IgnoreConfiguredEndpoints BaseEndpoint ServicesSectionName Services
		Credentials ContainerCredentialsEndpoint ContainerCredentialsRelativePath ContainerAuthorizationToken SharedConfigProfile
		SharedCredentialsFile SharedConfigFile WebIdentityTokenFilePath RoleARN RoleSessionName EC2IMDSClientEnableState
		EC2IMDSv1Disabled EC2IMDSEndpointMode EC2IMDSEndpoint Profile CredentialSource CredentialProcess WebIdentityTokenFile
		SSOSessionName SSOSession SSORegion SSOStartURL SSOAccountID SSORoleName ExternalID MFASerial RoleDurationSeconds
		SourceProfileName Source LoginSession RestrictFilePermissions`) {
		known[name] = true // taken, by way of the SDK: endpoints, trust, credentials
	}
	for _, name := range strings.Fields(`RetryMode ResponseChecksumValidation AuthSchemePreference S3DisableMultiRegionAccessPoints`) {
		known[name] = true // refused where lean does not have what they ask for; it reads no multi-region access points
	}
	for _, name := range strings.Fields(`
		EnableEndpointDiscovery DefaultsMode AppID DisableRequestCompression RequestMinCompressSizeBytes DisableClockSkewCorrection
		AccountIDEndpointMode RequestChecksumCalculation`) {
		known[name] = true // other services, uploads, the SDK's own time-outs, and how it names itself
	}
	for _, source := range []reflect.Type{reflect.TypeFor[config.EnvConfig](), reflect.TypeFor[config.SharedConfig]()} {
		for i := range source.NumField() {
			if name := source.Field(i).Name; !known[name] {
				t.Errorf("%s.%s: does lean take it, or refuse it?", source, name)
			}
		}
	}
}

// TestMaxAttempts: all clients try as often as the configuration says.
func TestMaxAttempts(t *testing.T) {
	for _, attempts := range []int{1, 2} {
		for _, client := range store.Names {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			awsEnvironment(t, map[string]string{"AWS_ENDPOINT_URL_S3": server.URL, "AWS_REGION": "us-east-1",
				"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}, fmt.Sprintf("[default]\nmax_attempts = %d\n", attempts))
			c, err := store.Open(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.Get(t.Context(), "photos", "key", &checksum{})
			server.Close()
			if err == nil || asked != attempts || r.Retries != attempts-1 && client == store.Lean {
				t.Errorf("%s: asked %d times, %d retries, want %d attempts; %v", client, asked, r.Retries, attempts, err)
			}
		}
	}
}

// TestTrust: all clients trust what the configuration's bundle holds, and that
// alone.
func TestTrust(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "body") }))
	defer server.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(bundle, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	_, another, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(other, another, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, env, profile string
		trusted            bool
	}{
		{"the environment's", bundle, "", true},
		{"the profile's", "", "ca_bundle = " + bundle, true},
		{"the environment's before the profile's", bundle, "ca_bundle = " + other, true},
		{"another", other, "", false},
		{"none", "", "", false},
	} {
		for _, client := range store.Names {
			awsEnvironment(t, map[string]string{"AWS_CA_BUNDLE": tt.env, "AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1",
				"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_MAX_ATTEMPTS": "1"}, "[default]\n"+tt.profile+"\n")
			c, err := store.Open(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = c.Get(t.Context(), "photos", "key", &checksum{}); (err == nil) != tt.trusted {
				t.Errorf("%s, %s: %v", tt.name, client, err)
			}
		}
	}
}

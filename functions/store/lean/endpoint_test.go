package lean

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyauth "github.com/aws/smithy-go/auth"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// resolved is an endpoint as both lean and the SDK can say it.
type resolved struct {
	url     string // scheme, host and path
	region  string // to sign for
	service string
	express bool // with a session
}

func ours(e endpoint) resolved {
	return resolved{e.scheme + "://" + e.authority + e.prefix, e.region, e.service, e.express}
}

// sdkEndpoint asks the SDK's own rules.
func sdkEndpoint(t *testing.T, c Config, bucket string) (resolved, error) {
	t.Helper()
	useARNRegion := !c.RefuseARNRegion
	params := s3.EndpointParameters{
		Bucket: &bucket, Region: &c.Region, UseFIPS: &c.FIPS, UseDualStack: &c.DualStack, UseArnRegion: &useARNRegion,
		DisableS3ExpressSessionAuth: &c.DisableExpressSession,
	}
	if c.Endpoint != "" {
		params.Endpoint = &c.Endpoint
	}
	e, err := s3.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), params.WithDefaults())
	if err != nil {
		return resolved{}, err
	}
	options, ok := smithyauth.GetAuthOptions(&e.Properties)
	if !ok || len(options) == 0 {
		t.Fatalf("the SDK says no authentication for %q", bucket)
	}
	r := resolved{express: strings.Contains(options[0].SchemeID, "express")}
	r.service, _ = smithyhttp.GetSigV4SigningName(&options[0].SignerProperties)
	r.region, _ = smithyhttp.GetSigV4SigningRegion(&options[0].SignerProperties)
	u := e.URI
	r.url = u.Scheme + "://" + withoutStandardPort(u) + strings.TrimRight(u.EscapedPath(), "/")
	return r, nil
}

func withoutStandardPort(u url.URL) string {
	switch {
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.Host
}

// TestResolveAsSDK holds lean's endpoints against the SDK's over all regions that
// it knows, and some that it does not.
func TestResolveAsSDK(t *testing.T) {
	regions := []string{"us-new-9", "eusc-de-west-7", "eusc-fr-west-1", "cn-south-2", "us-gov-north-4", "us-isof-ab-12",
		"mars-1", "us-9", "cn-a-b-1"}
	for _, p := range partitions {
		regions = append(regions, p.regions...)
	}
	compared := 0
	for _, region := range regions {
		for _, bucket := range []string{
			"photos", "my.photos", "Photos_1", "ab", strings.Repeat("a", 64), "a%b c", "127.0.0.1",
			"photos--use1-az4--x-s3", "my--photos--usw2-lax1-az1--x-s3", "photos--x-s3", "my.photos--use1-az4--x-s3",
			"point--use1-az4--xa-s3", "point--xa-s3", "alias-s3alias", "lambda--ol-s3",
			"arn:aws:s3:" + region + ":123456789012:accesspoint/mine",
			"arn:aws:s3:" + region + ":123456789012:accesspoint:mine",
			"arn:aws:s3:us-west-2:123456789012:accesspoint/mine",
			"arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/mine",
			"arn:aws-eusc:s3:eusc-de-east-1:123456789012:accesspoint/mine",
			"arn:aws:s3:" + region + "::accesspoint/mine", "arn:aws:s3:" + region + ":1:accesspoint/", "arn:aws:s3:::photos",
		} {
			for flags := range 16 {
				c := Config{Region: region, FIPS: flags&1 != 0, DualStack: flags&2 != 0,
					RefuseARNRegion: flags&4 != 0, DisableExpressSession: flags&8 != 0}
				want, wantErr := sdkEndpoint(t, c, bucket)
				e, err := c.resolve(bucket, region)
				if (err == nil) != (wantErr == nil) {
					t.Errorf("%s in %s, %+v: error %v, the SDK's %v", bucket, region, c, err, wantErr)
				} else if err == nil && ours(e) != want {
					t.Errorf("%s in %s, %+v:\n got  %+v\n want %+v", bucket, region, c, ours(e), want)
				}
				compared++
			}
			if t.Failed() {
				return // the others are like these
			}
		}
	}
	if compared < 10_000 {
		t.Errorf("only %d compared", compared)
	}
}

// TestResolveCustomAsSDK does the same for endpoints of one's own.
func TestResolveCustomAsSDK(t *testing.T) {
	for _, custom := range []string{
		"https://127.0.0.1:9000", "http://[::1]", "http://[::1]:8000/", "https://s3.example.com", "http://s3.example.com:80",
		"https://s3.example.com:8443/base", "https://bucket.vpce-1a2b-3c.s3.us-east-1.vpce.amazonaws.com",
	} {
		for _, bucket := range []string{
			"photos", "my.photos", "Photos_1", "photos--use1-az4--x-s3", "point--use1-az4--xa-s3", "photos--x-s3", "a%b c",
			"arn:aws:s3:eu-west-1:123456789012:accesspoint/mine",
		} {
			if strings.HasPrefix(bucket, "arn:") && (strings.Contains(custom, "[::1]") || strings.Contains(custom, "127.0.0.1")) {
				continue // the SDK puts a name in front of an address; lean refuses
			}
			for flags := range 4 {
				c := Config{Region: "eu-west-1", Endpoint: custom, FIPS: flags&1 != 0, DualStack: flags&2 != 0}
				want, wantErr := sdkEndpoint(t, c, bucket)
				e, err := c.resolve(bucket, c.Region)
				if (err == nil) != (wantErr == nil) {
					t.Errorf("%s at %s, %+v: error %v, the SDK's %v", bucket, custom, c, err, wantErr)
				} else if err == nil && ours(e) != want {
					t.Errorf("%s at %s:\n got  %+v\n want %+v", bucket, custom, ours(e), want)
				}
			}
		}
	}
}

// plainURL are the endpoints that both read alike: no escapes, no empty port, no
// double slash.
var plainURL = regexp.MustCompile(`^(https?://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[1-9][0-9]*)?(/[a-zA-Z0-9._~-]+)*/?)?$`)

// FuzzResolve: whatever a bucket is called, its host is none but the one that the
// SDK would call, and the request's head is not torn. What the SDK reads and lean
// does not is refused.
func FuzzResolve(f *testing.F) {
	f.Add("photos", "eu-west-1", "")
	f.Add("my.photos", "cn-north-1", "http://s3.example.com/base")
	f.Add("photos--use1-az4--x-s3", "us-east-1", "")
	f.Add("arn:aws:s3:us-west-2:123456789012:accesspoint/mine", "us-gov-west-1", "https://[::1]:9000")
	f.Add("arn::s3:us-west-2:123456789012:accesspoint/mine", "us-west-2", "")
	f.Add("arn:aws:s3-outposts:us-west-2:1:outpost/op-1/accesspoint/a", "us-west-2", "")
	f.Add("a\r\nHost: evil.example\r\n", "aws-global", "")
	f.Add("test-accessp-o0b1d075431d83bebde8xz5w8ijx1qzlbp3i3kuse10--op-s3", "us-east-1", "")
	f.Fuzz(func(t *testing.T, bucket, region, custom string) {
		c := Config{Region: region, Endpoint: custom, Credentials: key}
		if bucket == "" || c.Validate() != nil || !plainURL.MatchString(custom) {
			return
		}
		e, err := c.resolve(bucket, region)
		if err != nil {
			return
		}
		if head := e.authority + e.prefix + e.region; strings.ContainsAny(head, " \r\n\t?#@") {
			t.Fatalf("%+v", e)
		}
		want, err := sdkEndpoint(t, c, bucket)
		if err != nil {
			if strings.Contains(err.Error(), "Unrecognized S3Express bucket name") || strings.Contains(err.Error(), "Failed to parse uri") {
				return // it knows the lengths that zones have today, and escapes bytes below 16 as one digit
			}
			t.Fatalf("%+v, where the SDK says %v", e, err)
		}
		u, err := url.Parse(want.url)
		if err != nil {
			return
		}
		// The SDK puts a bucket's name in front of localhost, too.
		if u.Host != e.authority && !strings.HasSuffix(u.Hostname(), ".localhost") {
			t.Errorf("%q in %s at %q: host %s, the SDK's %s", bucket, region, custom, e.authority, u.Host)
		}
		if e.region != want.region || e.service != want.service || e.express != want.express {
			t.Errorf("%q in %s: %+v, the SDK's %+v", bucket, region, ours(e), want)
		}
	})
}

// TestFollow guards where a redirect's Location may lead: to another host of the
// same bucket in the same partition, nowhere else.
func TestFollow(t *testing.T) {
	virtual := func(region string) endpoint {
		e, err := Config{Region: region}.resolve("photos", region)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	path, err := Config{Region: "eu-west-1"}.resolve("my.photos", "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		from     endpoint
		location string
		host     string // "": not followed
	}{
		{"another region", virtual("eu-west-1"), "https://photos.s3.us-west-2.amazonaws.com/key", "photos.s3.us-west-2.amazonaws.com"},
		{"its old spelling", virtual("eu-west-1"), "https://photos.s3-us-west-2.amazonaws.com/key", "photos.s3-us-west-2.amazonaws.com"},
		{"China", virtual("cn-north-1"), "https://photos.s3.cn-northwest-1.amazonaws.com.cn/key",
			"photos.s3.cn-northwest-1.amazonaws.com.cn"},
		{"the European Sovereign Cloud", virtual("eusc-de-east-1"), "https://photos.s3.eusc-de-west-1.amazonaws.eu/key",
			"photos.s3.eusc-de-west-1.amazonaws.eu"},
		{"an isolated one", virtual("us-iso-east-1"), "https://photos.s3.us-iso-west-1.c2s.ic.gov/key",
			"photos.s3.us-iso-west-1.c2s.ic.gov"},
		{"path style", path, "https://s3.us-west-2.amazonaws.com/my.photos/key", "s3.us-west-2.amazonaws.com"},
		{"from China to AWS's own", virtual("cn-north-1"), "https://photos.s3.us-west-2.amazonaws.com/key", ""},
		{"from AWS's own to China", virtual("eu-west-1"), "https://photos.s3.cn-north-1.amazonaws.com.cn/key", ""},
		{"from AWS's own to Europe's", virtual("eu-west-1"), "https://photos.s3.eusc-de-east-1.amazonaws.eu/key", ""},
		{"a domain that only ends so", virtual("eu-west-1"), "https://photos.evilamazonaws.com/key", ""},
		{"another scheme", virtual("eu-west-1"), "http://photos.s3.us-west-2.amazonaws.com/key", ""},
		{"a user", virtual("eu-west-1"), "https://u@photos.s3.us-west-2.amazonaws.com/key", ""},
		{"a port", virtual("eu-west-1"), "https://photos.s3.us-west-2.amazonaws.com:8443/key", ""},
		{"another bucket", virtual("eu-west-1"), "https://other.s3.us-west-2.amazonaws.com/key", ""},
		{"the same host", virtual("eu-west-1"), "https://photos.s3.eu-west-1.amazonaws.com/other", ""},
		{"no host", virtual("eu-west-1"), "/key", ""},
		{"no URL", virtual("eu-west-1"), "https://[", ""},
		{"nothing", virtual("eu-west-1"), "", ""},
	} {
		to, ok := follow(tt.from, tt.location)
		if ok != (tt.host != "") || to.authority != tt.host {
			t.Errorf("%s: %+v, %t", tt.name, to, ok)
		}
		if ok && (to.address != tt.host+":443" || to.prefix != tt.from.prefix || to.scheme != "https") {
			t.Errorf("%s: %+v", tt.name, to)
		}
	}
}

// FuzzFollow: no Location leads out of the partition's domain, or tears the
// request's head.
func FuzzFollow(f *testing.F) {
	f.Add("eu-west-1", "https://photos.s3.us-west-2.amazonaws.com/key")
	f.Add("cn-north-1", "https://photos.s3.us-west-2.amazonaws.com.cn:443/key")
	f.Add("us-east-1", "https://photos.evil.example\r\n.amazonaws.com/")
	f.Fuzz(func(t *testing.T, region, location string) {
		if !isLabel(region) {
			return
		}
		from, err := Config{Region: region}.resolve("photos", region)
		if err != nil {
			t.Fatal(err)
		}
		to, ok := follow(from, location)
		if !ok {
			return
		}
		if !strings.HasPrefix(to.authority, "photos.") || !strings.HasSuffix(to.authority, "."+partitionOf(region).suffix) ||
			strings.ContainsAny(to.authority, " \t\r\n/?#@:") {
			t.Errorf("from %s to %+v", region, to)
		}
	})
}

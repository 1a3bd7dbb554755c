package main

import (
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// --aws and --endpoint mean what they say, whatever endpoints the environment has,
// and of an endpoint nobody asks for a host that is named like the bucket.
func TestSeedEndpoint(t *testing.T) {
	const url, other = "http://localhost:9000", "https://other.example"
	for _, row := range []struct {
		name  string
		env   map[string]string
		flags seedFlags
		want  string // "": AWS's own
	}{
		{"the environment's", map[string]string{"AWS_ENDPOINT_URL_S3": url}, seedFlags{}, url},
		{"the general one", map[string]string{"AWS_ENDPOINT_URL": url}, seedFlags{}, url},
		{"--endpoint before the environment's", map[string]string{"AWS_ENDPOINT_URL_S3": other}, seedFlags{endpoint: url}, url},
		{"--endpoint where endpoints are ignored", map[string]string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
			seedFlags{endpoint: url}, url},
		{"--aws", nil, seedFlags{aws: true}, ""},
		{"--aws with an endpoint in the environment", map[string]string{"AWS_ENDPOINT_URL_S3": url}, seedFlags{aws: true}, ""},
		{"--aws with the general one", map[string]string{"AWS_ENDPOINT_URL": url}, seedFlags{aws: true}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"} {
				t.Setenv(name, "") // which puts it back in the end; to the SDK, empty is not unset
				if err := os.Unsetenv(name); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("AWS_CONFIG_FILE", os.DevNull)
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
			t.Setenv("AWS_REGION", "us-east-1")
			for name, value := range row.env {
				t.Setenv(name, value)
			}
			cfg, err := config.LoadDefaultConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			o := s3.NewFromConfig(cfg, row.flags.setEndpoint).Options()
			if got := aws.ToString(o.BaseEndpoint); got != row.want || o.UsePathStyle != (row.want != "") {
				t.Errorf("endpoint %q, path style %t, want %q", got, o.UsePathStyle, row.want)
			}
		})
	}
}

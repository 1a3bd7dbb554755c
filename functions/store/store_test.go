package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"fanout/functions/fetch"
	"fanout/functions/store"
)

// TestOpen guards which names open, and from where lean takes its settings.
func TestOpen(t *testing.T) {
	shared := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(shared, []byte("[default]\nregion = eu-west-1\naws_access_key_id = a\naws_secret_access_key = s\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	function := map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}
	for _, tt := range []struct {
		name, client string
		env          map[string]string
		errType      string // "": it opens; "untyped": an error without a name
	}{
		{"lean in a function", store.Lean, function, ""},
		{"tuned in a function", store.Tuned, function, ""},
		{"stock in a function", store.Stock, function, ""},
		{"lean with shared files", store.Lean, map[string]string{"AWS_CONFIG_FILE": shared}, ""},
		{"lean without a region", store.Lean, map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}, "untyped"},
		{"lean with a bad endpoint", store.Lean, map[string]string{"AWS_REGION": "r", "AWS_ACCESS_KEY_ID": "a",
			"AWS_ENDPOINT_URL_S3": "nowhere"}, "untyped"},
		{"a name nobody knows", "rusty", function, fetch.InvalidEvent},
		{"no name", "", function, fetch.InvalidEvent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range []string{
				"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
				"AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE",
			} {
				t.Setenv(name, "")
			}
			t.Setenv("AWS_CONFIG_FILE", os.DevNull)
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			got, err := store.Open(context.Background(), tt.client)
			typed := (*fetch.Error)(nil)
			switch errors.As(err, &typed); {
			case tt.errType == "" && (err != nil || got == nil),
				tt.errType == "untyped" && (err == nil || typed != nil),
				tt.errType != "" && tt.errType != "untyped" && (typed == nil || typed.Type != tt.errType):
				t.Errorf("%v, %v", got, err)
			}
			if store.Known(tt.client) != (tt.errType != fetch.InvalidEvent) {
				t.Errorf("known: %t", store.Known(tt.client))
			}
		})
	}
}

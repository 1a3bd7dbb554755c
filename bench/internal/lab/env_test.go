package lab

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What a shell reads comes out as it was, whatever its environment had before.
func TestShell(t *testing.T) {
	for _, sh := range []string{"sh", "bash"} {
		if _, err := exec.LookPath(sh); err != nil {
			t.Fatalf("%s not found: apt-get install %s", sh, sh)
		}
		for _, dir := range []string{
			"/t/plain", "/t/with space", "/t/it's", `/t/a "quote"`, "/t/$HOME;exit", "/t/`id`", `/t/back\slash`, "/t/new\nline", "/t/*",
		} {
			env := map[string]string{
				"AWS_ACCESS_KEY_ID": "ID", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_CA_BUNDLE": dir + "/ca.pem",
				"AWS_ENDPOINT_URL_S3": "https://127.0.0.1:1",
			}
			cmd := exec.CommandContext(t.Context(), sh, "-euc", shell(env)+"exec env -0")
			cmd.Env = append(os.Environ(),
				"AWS_SESSION_TOKEN=stale", "AWS_PROFILE=work", "AWS_DEFAULT_PROFILE=work", "AWS_ENDPOINT_URL=http://elsewhere",
				"AWS_CA_BUNDLE=/etc/old",
				"AWS_ENDPOINT_URL_S3=http://elsewhere", "AWS_USE_FIPS_ENDPOINT=true", "AWS_WEB_IDENTITY_TOKEN_FILE=/x", "AWS_ROLE_ARN=r",
				"AWS_ACCESS_KEY_ID=OLD", "HTTPS_PROXY=http://proxy:3128", "NO_PROXY=internal",
			)
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%s, %s: %v", sh, dir, err)
				continue
			}
			got := map[string]string{}
			for entry := range strings.SplitSeq(string(out), "\x00") {
				name, value, _ := strings.Cut(entry, "=")
				got[name] = value
			}
			for name, want := range env {
				if got[name] != want {
					t.Errorf("%s, %s: %s=%q, want %q", sh, dir, name, got[name], want)
				}
			}
			for _, name := range unset {
				if value, there := got[name]; there {
					t.Errorf("%s, %s: %s=%s is in the way", sh, dir, name, value)
				}
			}
			if got["NO_PROXY"] != "127.0.0.1,internal" || got["no_proxy"] != "127.0.0.1" {
				t.Errorf("%s: NO_PROXY=%s, no_proxy=%s", sh, got["NO_PROXY"], got["no_proxy"])
			}
		}
	}
	for text, want := range map[string]bool{
		shell(map[string]string{"AWS_ACCESS_KEY_ID": "a"}):                  true,
		shell(map[string]string{"AWS_ACCESS_KEY_ID": "a"}) + "alias l=ls\n": false,
		"unset AWS_SESSION_TOKEN_OF_MINE\n":                                 false,
		"export AWS_ACCESS_KEY_ID=a\n":                                      false,
		"":                                                                  false,
		"MINE=1\n" + shell(map[string]string{"AWS_ACCESS_KEY_ID": "a"}): false,
	} {
		if IsShell(text) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
	text := shell(map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "Z": "z"})
	if !strings.HasSuffix(text, "export AWS_SECRET_ACCESS_KEY='b'\n") {
		t.Errorf("the keys do not come last:\n%s", text)
	}
	if slices.Contains(unset, "AWS_CA_BUNDLE") {
		t.Error("what is exported is unset")
	}
}

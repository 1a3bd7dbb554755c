package lab

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"fanout/bench/internal/term"
)

// unset are the variables that would lead a client elsewhere, or give it other
// credentials, whatever is exported: a session token beside other keys, a
// profile, endpoints of services that the lab does not have, FIPS hosts.
var unset = []string{
	"AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CREDENTIAL_EXPIRATION",
	"AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
	"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	"AWS_S3_USE_ARN_REGION", "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", "AWS_ACCOUNT_ID", "AWS_ACCOUNT_ID_ENDPOINT_MODE",
	"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
}

// Exports is the environment that a client on this machine needs to use the
// lab, beside what it must not have: see [Lab.Shell].
func (l *Lab) Exports() map[string]string {
	env := l.s3Env()
	env["AWS_ENDPOINT_URL_LAMBDA"] = l.Lambda.URL()
	if l.States != nil {
		env["AWS_ENDPOINT_URL_SFN"] = l.States.URL()
	}
	env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"] = l.key.AccessKeyID, l.key.SecretAccessKey
	env["AWS_REGION"], env["AWS_DEFAULT_REGION"] = Region, Region
	env["AWS_CONFIG_FILE"], env["AWS_SHARED_CREDENTIALS_FILE"] = os.DevNull, os.DevNull // a default profile may have anything
	return env
}

// Shell is the same for a POSIX shell to read: it unsets what is in the way,
// quotes what it exports, and keeps proxies from loopback. The keys come last.
func (l *Lab) Shell() string {
	return shell(l.Exports())
}

func shell(env map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "unset %s\n", strings.Join(unset, " "))
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		fmt.Fprintf(&b, "export %s=\"127.0.0.1${%s:+,$%s}\"\n", name, name, name)
	}
	keys := []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(env)), func(name string) bool { return slices.Contains(keys, name) })
	for _, name := range append(names, keys...) {
		fmt.Fprintf(&b, "export %s=%s\n", name, term.ShellQuoted(env[name]))
	}
	return b.String()
}

// IsShell says whether a text is what [Lab.Shell] gives, of this lab or another.
func IsShell(text string) bool {
	first, rest, _ := strings.Cut(text, "\n")
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "export ") {
			return false
		}
	}
	return strings.HasPrefix(first, "unset "+unset[0]+" ")
}

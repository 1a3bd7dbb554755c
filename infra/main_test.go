package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain is the app itself when a test runs this binary again with APP set.
func TestMain(m *testing.M) {
	if os.Getenv("APP") != "" {
		main()
		return
	}
	if _, err := exec.LookPath("node"); err != nil {
		fmt.Fprintln(os.Stderr, "node not found: the CDK app's tests need Node 22 or newer: https://nodejs.org")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestApp runs the app as `cdk` does: in the folder of cdk.json, with the
// context and the folder to write to in its environment.
func TestApp(t *testing.T) {
	tests := []struct {
		name    string
		context string
		build   bool   // there are bootstraps
		region  string // that the credentials are for
		path    string // where to look for node; "": as here
		stderr  string // all of it, after "error: "; "": the template is written
	}{
		// the way it should go
		{name: "a template", context: `{"memories":"128","architectures":"arm64","aws:cdk:version-reporting":true}`, build: true},
		{ // the range is named, and nothing is written
			name: "refused", context: `{"memories":"128,99999"}`, build: true,
			stderr: "context memories=128,99999: 99999 is out of range\n" +
				"hint: allowed: up to 64 different whole numbers of MB from 128 to 10240, as in 128,1769\n",
		},
		{ // says what makes them
			name: "not built", context: `{"architectures":"arm64"}`,
			stderr: "look for a function's build: stat build/fetch/arm64/bootstrap: no such file or directory\n" +
				"hint: run `go run ./functions/cmd/package -o build fetch seed` in the repository's root\n",
		},
		{ // the CDK's runtime would panic
			name: "no node", context: `{}`, build: true, path: "/nowhere",
			stderr: "node not found: the CDK app needs Node 22 or newer\nhint: https://nodejs.org\n",
		},
		{ // before anything is built or deployed
			name: "not there", context: `{}`, build: true, region: "us-iso-east-1",
			stderr: "context architectures=null: Lambda has no arm64 in us-iso-east-1\nhint: allowed: -c architectures=x86_64 there\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, temp := t.TempDir(), t.TempDir()
			if test.build {
				for _, name := range []string{"fetch/arm64", "fetch/x86_64", "seed/arm64"} {
					folder := filepath.Join(dir, buildDir, name)
					if err := os.MkdirAll(folder, 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(folder, "bootstrap"), []byte(name), 0o755); err != nil {
						t.Fatal(err)
					}
				}
			}
			app := exec.CommandContext(t.Context(), os.Args[0])
			app.Dir = dir
			app.Env = append(os.Environ(), "APP=1", "CDK_CONTEXT_JSON="+test.context, "CDK_OUTDIR="+filepath.Join(dir, "cdk.out"), "TMPDIR="+temp,
				"CDK_DEFAULT_REGION="+test.region, "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20")
			if test.path != "" {
				app.Env = append(app.Env, "PATH="+test.path)
			}
			var stderr bytes.Buffer
			app.Stderr = &stderr
			err := app.Run()

			_, missing := os.Stat(filepath.Join(dir, "cdk.out", "Fanout.template.json"))
			var exit *exec.ExitError
			switch {
			case test.stderr == "" && (err != nil || missing != nil):
				t.Errorf("%v, template: %v, stderr %s", err, missing, &stderr)
			case test.stderr != "" && (!errors.As(err, &exit) || exit.ExitCode() != 1 || missing == nil):
				t.Errorf("%v, template: %v; want exit code 1 and none", err, missing)
			case test.stderr != "" && !strings.HasSuffix(stderr.String(), "error: "+test.stderr):
				t.Errorf("stderr %q, want %q", &stderr, test.stderr)
			}
			// The CDK's runtime must not pile up in the temporary folder.
			if left, err := filepath.Glob(filepath.Join(temp, "*infra*")); err != nil || left != nil {
				t.Errorf("left behind: %v, %v", left, err)
			}
			if left, err := filepath.Glob(filepath.Join(temp, "jsii-runtime*")); err != nil || left != nil {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

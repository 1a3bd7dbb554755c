package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
	"github.com/rogpeppe/go-internal/testscript"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/trial"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// bins is a folder laid out as make build leaves the repository, so that the
// command finds its bootstrap: bin/fanout, build/fetch/ARCH/bootstrap, and
// contenders beside it. It is empty until a test builds what it needs.
var bins string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "fanout-bins-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		bins = dir
		return m.Run()
	}())
}

// binary is a real program that tests run, and how often it was built: once.
type binary struct {
	args func() []string // of go
	once sync.Once
	err  error
}

// binaries are the programs there are: the command, the local entry point,
// this machine's bootstrap, and contenders.
var binaries = map[string]*binary{
	"bootstrap": {args: func() []string {
		return []string{"run", "fanout/functions/cmd/package", "-o", filepath.Join(bins, "build"), "-arch", "host", "fetch"}
	}},
	"fanout": {args: func() []string { return []string{"build", "-o", filepath.Join(bins, "bin", "fanout"), "."} }},
	"local": {args: func() []string {
		return []string{"build", "-o", filepath.Join(bins, "bin", "local"), "fanout/functions/cmd/local"}
	}},
	"published": contenderBinary("published"),
	"wrong":     contenderBinary("wrong"),
	"hungry":    contenderBinary("hungry"),
	"dropping":  contenderBinary("dropping"),
	"foreign":   contenderBinary("foreign"),
}

// contenderBinary is testdata/contender in one of its modes.
func contenderBinary(mode string) *binary {
	return &binary{args: func() []string {
		return []string{"build", "-tags", "lambda.norpc", "-ldflags", "-X main.mode=" + mode, "-o", filepath.Join(bins, mode), "./testdata/contender"}
	}}
}

// build builds the named programs into bins, unless another test did.
func build(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		b := binaries[name]
		b.once.Do(func() {
			args := b.args()
			cmd := exec.CommandContext(context.Background(), "go", args...)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				b.err = fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
			}
		})
		if b.err != nil {
			t.Fatal(b.err)
		}
	}
}

func TestScripts(t *testing.T) {
	build(t, slices.Collect(maps.Keys(binaries))...)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Join(bins, "bin")+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("BINS", bins)
			e.Setenv("ARCH", lambda.HostArchitecture())
			return nil
		},
	})
}

// command starts the real command.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, stdout, stderr *bufio.Reader) {
	t.Helper()
	build(t, "fanout", "bootstrap")
	// Not the test's context: that ends before a test's clean-up can be polite.
	cmd = exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(bins, "bin", "fanout"), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // where the test could not end it
	return cmd, bufio.NewReader(out), bufio.NewReader(errs)
}

// until reads lines up to one that matches, and gives all of them.
func until(t *testing.T, r *bufio.Reader, pattern string) []string {
	t.Helper()
	var lines []string
	for {
		line, err := r.ReadString('\n')
		lines = append(lines, strings.TrimSuffix(line, "\n"))
		if regexp.MustCompile(pattern).MatchString(line) {
			return lines
		}
		if err != nil {
			t.Fatalf("no line like %s; got:\n%s", pattern, strings.Join(lines, "\n"))
		}
	}
}

// exports reads what fanout sandbox prints.
func exports(t *testing.T, lines []string) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, line := range lines {
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok {
			t.Fatalf("not an export: %q", line)
		}
		env[name] = value
	}
	return env
}

// lambdaOf gives a client for what a sandbox exports.
func lambdaOf(env map[string]string) *awslambda.Client {
	return awslambda.New(awslambda.Options{
		BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL_LAMBDA"]), Region: env["AWS_REGION"],
		Credentials: credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], ""),
	})
}

// interrupt ends a command that serves until then, and wants it to end well.
func interrupt(t *testing.T, cmd *exec.Cmd, stderr io.Reader) {
	t.Helper()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, stderr); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

// leftovers lists what a process of ours could have left: processes whose
// command stands in our folders, cgroups, temporary files.
func leftovers(t *testing.T, pid int, tmp string) []string {
	t.Helper()
	var left []string
	found, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, exe := range found {
		if target, err := os.Readlink(exe); err == nil && strings.HasPrefix(target, filepath.Join(bins, "build")) {
			left = append(left, exe+" → "+target)
		}
	}
	for _, pattern := range []string{
		fmt.Sprintf("/sys/fs/cgroup/*/fanout-%d", pid), fmt.Sprintf("/sys/fs/cgroup/fanout-%d", pid), filepath.Join(tmp, "*"),
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, found...)
	}
	return left
}

// Ctrl-C in the middle of a run: the lines written so far stay, and nothing
// else does.
func TestInterrupt(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd, stdout, stderr := command(t, "run", "--memory", "512", "--concurrency", "1,64", "--invocations", "50",
				"--sequential", "50", "--objects", "200", "--out", "r")
			tmp := strings.TrimPrefix(cmd.Env[len(cmd.Env)-1], "TMPDIR=")
			until(t, stderr, `^\[ *2/`)
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(stderr)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(rest, []byte("error: interrupted\nhint: fanout report r ")) {
				t.Errorf("said: %s", rest)
			}
			if _, err := io.Copy(io.Discard, stdout); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != hint.StatusFailed {
				t.Errorf("ended with %v, want exit status %d", err, hint.StatusFailed)
			}
			f, err := trial.ReadPath(filepath.Join(cmd.Dir, "r"))
			if err != nil || len(f.Results) < 2 {
				t.Errorf("%d results, %v", len(f.Results), err)
			}
			if left := leftovers(t, cmd.Process.Pid, tmp); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// The command killed outright: its functions end with it.
func TestKilledOutright(t *testing.T) {
	cmd, _, stderr := command(t, "run", "--memory", "512", "--concurrency", "1", "--invocations", "50", "--sequential", "50", "--out", "r")
	until(t, stderr, `^\[ *1/`)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// The kernel sends their signal as the command ends; a moment later none
	// may be there: wait for each that still is.
	found, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range found {
		if target, err := os.Readlink(exe); err == nil && strings.HasPrefix(target, filepath.Join(bins, "build")) {
			t.Logf("%s is still ending", exe)
			if status, err := os.ReadFile(filepath.Join(filepath.Dir(exe), "status")); err == nil && !bytes.Contains(status, []byte("State:\tZ")) &&
				!bytes.Contains(status, []byte("ShdPnd:\t0000000000000100")) && !bytes.Contains(status, []byte("SigPnd:\t0000000000000100")) {
				t.Errorf("%s has no kill pending:\n%s", exe, status)
			}
		}
	}
	// The next start takes away what could not be.
	next, out, errs := command(t, "run", "--memory", "128", "--objects", "5", "--concurrency", "2", "--invocations", "1", "--out", "r")
	tmp := strings.TrimPrefix(next.Env[len(next.Env)-1], "TMPDIR=")
	if _, err := io.Copy(io.Discard, io.MultiReader(out, errs)); err != nil {
		t.Fatal(err)
	}
	if err := next.Wait(); err != nil {
		t.Fatal(err)
	}
	if left := append(leftovers(t, cmd.Process.Pid, tmp), leftovers(t, next.Process.Pid, tmp)...); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// fanout sandbox: what it exports is all that the SDK needs.
func TestSandboxServes(t *testing.T) {
	build(t, "local")
	cmd, stdout, stderr := command(t, "sandbox", "--memory", "128,512", "--objects", "300")
	announced := until(t, stderr, `^serving until interrupted`)
	env := exports(t, until(t, stdout, `^export AWS_SECRET_ACCESS_KEY=`))
	function := "fanout-go-" + lambda.HostArchitecture() + "-512"
	if !slices.Contains(announced, "function "+function) {
		t.Errorf("said %q", announced)
	}
	for name, value := range env {
		if strings.Contains(value, "http") && !strings.Contains(value, "//127.0.0.1:") {
			t.Errorf("%s=%s is not on loopback", name, value)
		}
	}
	out, err := lambdaOf(env).Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: &function, Payload: []byte(`{"s3_bucket_name":"fanout-lab","folder":"objects/"}`)})
	if err != nil {
		t.Fatal(err)
	}
	var answer fetch.Response
	if err := json.Unmarshal(out.Payload, &answer); err != nil || answer.Result != "300" {
		t.Errorf("%s: %v", out.Payload, err)
	}

	// The local entry point reads the same bucket, with the same answer.
	local := exec.CommandContext(t.Context(), filepath.Join(bins, "bin", "local"), "-event", "-")
	local.Stdin = strings.NewReader(`{"s3_bucket_name":"fanout-lab","folder":"objects/"}`)
	for name, value := range env {
		local.Env = append(local.Env, name+"="+value)
	}
	text, err := local.Output()
	var same fetch.Response
	if err != nil || json.Unmarshal(text, &same) != nil || same.Stats.Digest != answer.Stats.Digest {
		t.Errorf("local: %s, %v; want digest %s", text, err, answer.Stats.Digest)
	}

	// A wrong secret gets 403 from both.
	env["AWS_SECRET_ACCESS_KEY"] = "wrong"
	local = exec.CommandContext(t.Context(), filepath.Join(bins, "bin", "local"), "-bucket", "fanout-lab")
	for name, value := range env {
		local.Env = append(local.Env, name+"="+value)
	}
	if text, err := local.Output(); err == nil || !bytes.Contains(text, []byte(`"errorType":"AccessDenied"`)) {
		t.Errorf("local with a wrong secret: %s, %v", text, err)
	}
	_, err = lambdaOf(env).ListFunctions(context.WithoutCancel(t.Context()), &awslambda.ListFunctionsInput{})
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != "InvalidSignatureException" {
		t.Errorf("a wrong secret: %v", err)
	}

	interrupt(t, cmd, stderr)
}

func TestHelpHasExamples(t *testing.T) {
	root := rootCommand(nil, io.Discard, io.Discard)
	for _, c := range root.Commands() {
		if !strings.Contains(c.Example, "fanout "+c.Name()) {
			t.Errorf("fanout %s has no example", c.Name())
		}
		if c.Flags().HasFlags() && c.Flags().Lookup("network") != nil {
			if f, ok := c.GetFlagCompletionFunc("network"); !ok {
				t.Errorf("fanout %s does not complete --network", c.Name())
			} else if got, _ := f(c, nil, "s3-e"); len(got) != 1 || !strings.HasPrefix(got[0], "s3-express\tS3 Express One Zone") {
				t.Errorf("fanout %s --network s3-e: %q", c.Name(), got)
			}
		}
	}
}

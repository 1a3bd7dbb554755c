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
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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
	"transfermanager": {args: func() []string {
		return []string{"build", "-tags", "lambda.norpc", "-o", filepath.Join(bins, "transfermanager"), "./transfermanager"}
	}},
	"faulty": {args: func() []string {
		return []string{"build", "-tags", "lambda.norpc", "-o", filepath.Join(bins, "faulty", "bootstrap"), "./testdata/faulty"}
	}},
}

// contenderBinary is testdata/contender in one of its modes.
func contenderBinary(mode string) *binary {
	return &binary{args: func() []string {
		return []string{
			"build", "-tags", "lambda.norpc", "-ldflags", "-X main.mode=" + mode, "-o", filepath.Join(bins, mode), "./testdata/contender",
		}
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
	return commandIn(t, t.TempDir(), args...)
}

// commandIn starts the real command with a folder for temporary files, from the
// folder that it runs in if it is not absolute.
func commandIn(t *testing.T, tmp string, args ...string) (cmd *exec.Cmd, stdout, stderr *bufio.Reader) {
	t.Helper()
	build(t, "fanout", "bootstrap")
	// Not the test's context: that ends before a test's clean-up can be polite.
	cmd = exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(bins, "bin", "fanout"), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	if err := os.MkdirAll(filepath.Join(cmd.Dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
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

// exports reads what fanout sandbox prints, of values without a quote.
func exports(t *testing.T, lines []string) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, line := range lines {
		if m := regexp.MustCompile(`^export ([A-Za-z0-9_]+)='([^']*)'$`).FindStringSubmatch(line); m != nil {
			env[m[1]] = m[2]
		}
	}
	if env["AWS_SECRET_ACCESS_KEY"] == "" {
		t.Fatalf("no keys in %q", lines)
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

// cgroupRoot is where the kernel has its cgroups.
const cgroupRoot = "/sys/fs/cgroup"

// leftovers lists what a process of ours could have left: processes whose
// command stands in our folders, its cgroups anywhere below root, temporary
// files in tmp.
func leftovers(t *testing.T, pid int, root, tmp string) []string {
	t.Helper()
	left := processes(t)
	group := fmt.Sprintf("fanout-%d-", pid)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), group) {
			left = append(left, path)
		}
		return nil // groups of others come and go
	})
	if err != nil {
		t.Fatal(err)
	}
	found, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		left = append(left, filepath.Join(tmp, f.Name()))
	}
	return left
}

// processes lists those whose command stands in our folders, but the command
// itself. One that is ending, and one that has a kill pending, is none.
func processes(t *testing.T) []string {
	t.Helper()
	var all []string
	found, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, exe := range found {
		target, err := os.Readlink(exe)
		if err != nil || !strings.HasPrefix(target, bins+"/") || strings.HasPrefix(target, filepath.Join(bins, "bin")) {
			continue
		}
		// The kernel sends a process's signal as its parent ends; a moment later it
		// is not there.
		status, err := os.ReadFile(filepath.Join(filepath.Dir(exe), "status"))
		if err == nil && !regexp.MustCompile(`State:\t[ZX]|(ShdPnd|SigPnd):\t0000000000000100`).Match(status) {
			all = append(all, exe+" → "+target)
		}
	}
	return all
}

// leftovers finds what is left behind, of each kind.
func TestLeftovers(t *testing.T) {
	const pid = 4_000_000_000 // no process has it
	root, tmp := t.TempDir(), t.TempDir()
	if left := leftovers(t, pid, root, tmp); len(left) > 0 {
		t.Fatalf("found %q where nothing is", left)
	}
	group := filepath.Join(root, "memory", "user.slice", fmt.Sprintf("fanout-%d-1", pid))
	for _, dir := range []string{group, filepath.Join(root, fmt.Sprintf("fanout-%d-1", pid+1)), filepath.Join(tmp, "fanout-lab-1")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(cat)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap := filepath.Join(bins, "left", "bootstrap")
	if err := errors.Join(os.MkdirAll(filepath.Dir(bootstrap), 0o755), os.WriteFile(bootstrap, program, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bootstrap) // waits for its input
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	want := []string{fmt.Sprintf("/proc/%d/exe → %s", cmd.Process.Pid, bootstrap), group, filepath.Join(tmp, "fanout-lab-1")}
	if left := leftovers(t, pid, root, tmp); !slices.Equal(left, want) {
		t.Errorf("found %q, want %q", left, want)
	}
	if err := errors.Join(stdin.Close(), cmd.Wait(), os.RemoveAll(filepath.Dir(bootstrap))); err != nil {
		t.Fatal(err)
	}
}

// tempDir is where a command has its temporary files.
func tempDir(cmd *exec.Cmd) string {
	return strings.TrimPrefix(cmd.Env[len(cmd.Env)-1], "TMPDIR=")
}

// Whatever signal ends a run in its middle: the lines written so far stay, with
// one that says so, and nothing else does.
func TestInterrupt(t *testing.T) {
	// Where this test runs under nohup, its children ignore a hang-up, too, unless it is caught here.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd, stdout, stderr := command(t, "run", "--memory", "512", "--concurrency", "1,64", "--invocations", "50",
				"--sequential", "50", "--cold", "0", "--objects", "200", "--out", "r")
			until(t, stderr, `^\[ *2/`)
			// Proof that what is looked for below is there while it runs.
			during := leftovers(t, cmd.Process.Pid, cgroupRoot, tempDir(cmd))
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
			if err != nil || len(f.Results) < 2 || f.End.Reason != trial.Interrupted {
				t.Errorf("%d results, end %+v, %v", len(f.Results), f.End, err)
			}
			for kind, pattern := range map[string]string{"process": `^/proc/.*bootstrap$`, "folder": "/fanout-lab-", "cgroup": "^" + cgroupRoot} {
				if kind == "cgroup" && f.Header.Limits.None() {
					continue
				}
				if !slices.ContainsFunc(during, regexp.MustCompile(pattern).MatchString) {
					t.Errorf("no %s while it ran: %q", kind, during)
				}
			}
			if left := leftovers(t, cmd.Process.Pid, cgroupRoot, tempDir(cmd)); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// Under nohup a hang-up ends nothing.
func TestNohup(t *testing.T) {
	build(t, "fanout", "bootstrap")
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `trap "" HUP; exec "$0" "$@"`, filepath.Join(bins, "bin", "fanout"),
		"run", "--network", "none", "--objects", "5", "--memory", "128", "--concurrency", "2", "--invocations", "20", "--out", "r")
	cmd.Dir = dir
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	until(t, lines, `^\[ *1/`)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, rest)
	}
	f, err := trial.ReadPath(filepath.Join(dir, "r"))
	if err != nil || f.End.Reason != trial.Complete || len(f.Results) != 21 {
		t.Errorf("%d results, %+v, %v", len(f.Results), f.End, err)
	}
}

// Killed outright at any moment, the command leaves nothing that the next run
// does not take away: no process, cgroup, or folder.
func TestKilledOutright(t *testing.T) {
	build(t, "fanout", "bootstrap")
	tmp := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 1))
	start := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(bins, "bin", "fanout"),
			append([]string{"run", "--network", "none", "--objects", "5", "--memory", "128", "--concurrency", "2", "--out", "r"}, args...)...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	killed := map[int]bool{}
	for range 20 {
		cmd := start("--invocations", "500", "--cold", "500")
		timer := time.AfterFunc(time.Duration(rng.IntN(1000))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err == nil {
			t.Error("it came to its end before it was killed")
		}
		timer.Stop()
		killed[cmd.Process.Pid] = true
	}
	next := start("--invocations", "1", "--cold", "0")
	if err := next.Wait(); err != nil {
		t.Fatal(err)
	}
	killed[next.Process.Pid] = true
	for pid := range killed {
		if left := leftovers(t, pid, cgroupRoot, tmp); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// A reader that goes away, as head does, ends nothing that is under way: the
// lines and the page are written, and the lab is taken down.
func TestBrokenPipe(t *testing.T) {
	build(t, "fanout", "bootstrap")
	for _, tc := range []struct {
		name, redirect string
		said           string
	}{
		{"standard output", "", "hint: the report is in r/report.html"},
		{"both", "2>&1", ""},
	} {
		dir, tmp := t.TempDir(), t.TempDir()
		script := `"$FANOUT" run --network none --objects 5 --memory 128 --concurrency 2 --invocations 3 --cold 1 --out r ` + tc.redirect +
			` | true; echo "status ${PIPESTATUS[0]}"`
		cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "FANOUT="+filepath.Join(bins, "bin", "fanout"))
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if stdout.String() != "status 1\n" || !strings.Contains(stderr.String(), tc.said) {
			t.Errorf("%s: %s%s", tc.name, &stdout, &stderr)
		}
		f, err := trial.ReadPath(filepath.Join(dir, "r"))
		if err != nil || len(f.Results) != 4 || f.End.Reason != trial.Complete {
			t.Errorf("%s: %d results, end %+v, %v", tc.name, len(f.Results), f.End, err)
		}
		if page, err := os.ReadFile(filepath.Join(dir, "r", pageName)); err != nil || !bytes.Contains(page, []byte("</html>")) {
			t.Errorf("%s: a page of %d bytes, %v", tc.name, len(page), err)
		}
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind: %v, %v", tc.name, left, err)
		}
	}
}

// The environment goes into a file that nobody else can read, once all is
// served, and works from a shell that had others; the file is gone in the end.
func TestEnvFile(t *testing.T) {
	build(t, "local")
	odd := filepath.Join(t.TempDir(), `it's a "folder", $HOME`)
	if err := os.Mkdir(odd, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tmp := range map[string]string{"with quotes": odd, "relative": "tmp"} {
		t.Run(name, func(t *testing.T) { envFile(t, tmp) })
	}
}

func envFile(t *testing.T, tmp string) {
	cmd, stdout, stderr := commandIn(t, tmp, "sandbox", "--memory", "128", "--objects", "5", "--env-file", "env")
	until(t, stderr, `^serving until interrupted`)
	path := filepath.Join(cmd.Dir, "env")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	sh := exec.CommandContext(t.Context(), "sh", "-euc", `. ./env; exec "$LOCAL" -bucket fanout-lab -folder objects/`)
	sh.Dir = cmd.Dir
	sh.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LOCAL=" + filepath.Join(bins, "bin", "local"),
		"AWS_SESSION_TOKEN=stale", "AWS_PROFILE=work", "AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_CA_BUNDLE=/nowhere",
		"AWS_USE_FIPS_ENDPOINT=true",
	}
	if out, err := sh.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(`"result":"5"`)) {
		t.Errorf("%v: %s", err, out)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(stdout); err != nil || len(out) > 0 {
		t.Errorf("standard output has %q, %v", out, err)
	}
	interrupt(t, cmd, stderr)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
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
	out, err := lambdaOf(env).Invoke(t.Context(), &awslambda.InvokeInput{
		FunctionName: &function, Payload: []byte(`{"s3_bucket_name":"fanout-lab","folder":"objects/"}`),
	})
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
	local.Stderr = os.Stderr
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

// Where nothing is limited, the warning says what to do, and not which call
// failed: that is in the log.
func TestWarnUnlimited(t *testing.T) {
	for _, tc := range []struct{ limits, want, log string }{
		{"cgroup-v2", "", ""},
		{"cgroup-v1; clamped to 2 vCPU", "", ""},
		{"none: switched off", "warning: CPU and memory are not limited, as --no-limits says: memory sizes mean nothing in this run\n", ""},
		{"none: cgroup-v1: mkdir /sys/fs/cgroup/cpu/fanout-1: permission denied",
			"warning: CPU and memory are not limited: memory sizes mean nothing in this run\nhint: To have them limited, measure as root " +
				"(sudo bin/fanout run ...), or let systemd delegate the cpu and memory controllers to your user (docs/limits.md); " +
				"to compare clients only, --no-limits does without\n", "mkdir /sys/fs"},
	} {
		var stderr, log bytes.Buffer
		warnUnlimited(&stderr, lambda.ParseLimits(tc.limits), newLog(&log, true))
		if stderr.String() != tc.want || !strings.Contains(log.String(), tc.log) || tc.log == "" && log.Len() > 0 {
			t.Errorf("%s: said %q, logged %q", tc.limits, &stderr, &log)
		}
	}
}

// A subcommand that there is not is wrong usage, wherever it is named, and the
// hint has the one that was meant, perhaps.
func TestUnknownCommand(t *testing.T) {
	for _, tc := range []struct{ args, name, hint string }{
		{"rune", "rune", "did you mean fanout run? see fanout help"},
		{"rune --memory 512", "rune", "did you mean fanout run? see fanout help"},
		{"reprot results", "reprot", "did you mean fanout report? see fanout help"},
		{"comp a b", "comp", "did you mean fanout compare or completion? see fanout help"},
		{"measure", "measure", "see fanout help"},
		{"help rnu", "rnu", "did you mean fanout run? see fanout help"},
		{"completion bsh", "bsh", "did you mean fanout completion bash or zsh or fish? see fanout help"},
		{"help completion bsh", "bsh", "did you mean fanout completion bash or zsh or fish? see fanout help"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), strings.Fields(tc.args), &stdout, &stderr)
		want := fmt.Sprintf("error: unknown command %q\nhint: %s\n", tc.name, tc.hint)
		if status != hint.StatusUsage || stderr.String() != want || stdout.Len() > 0 {
			t.Errorf("%s: status %d: %s", tc.args, status, &stderr)
		}
	}
	for _, args := range []string{
		"", "help", "help run", "help help", "help completion bash", "completion bash", "--help", "run --help", "--version",
	} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), strings.Fields(args), &stdout, &stderr); status != 0 || stderr.Len() > 0 || stdout.Len() == 0 {
			t.Errorf("%s: status %d: %s", args, status, &stderr)
		}
	}
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

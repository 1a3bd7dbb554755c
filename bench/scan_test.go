package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
)

// scanMachine is the ARN of the sandbox's state machine.
var scanMachine = fmt.Sprintf("arn:aws:states:%s:%s:stateMachine:fanout-scan-%s-512", lab.Region, lab.Account, lambda.HostArchitecture())

// startScanCloud is a cloud whose stack was deployed with -c scan=true.
func startScanCloud(t *testing.T, objects int, sandboxArgs ...string) *cloud {
	t.Helper()
	spec := corpus.Default()
	spec.Count, spec.MaxBytes = objects, 2000
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return startCloud(t, map[string]string{
		"Bucket": lab.Bucket, "Prefix": corpus.DefaultPrefix, "Region": lab.Region, "Objects": string(text),
		"ScanStateMachineArn": scanMachine, "ScanResultsBucket": lab.Results,
	}, append([]string{"--objects", fmt.Sprint(objects), "--max-bytes", "2000"}, sandboxArgs...)...)
}

// says runs the command and gives its exit status and what it wrote.
func says(t *testing.T, cmd *exec.Cmd) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// like fails the test if a text is not like a pattern.
func like(t *testing.T, what, text, pattern string) {
	t.Helper()
	if !regexp.MustCompile("(?m)" + pattern).MatchString(text) {
		t.Errorf("%s: no line like %s in:\n%s", what, pattern, text)
	}
}

// fanout scan --stack: a job of the stack's state machine, which can be looked at
// afterwards by its name and by its ARN. The function says which bandwidth it has.
func TestScanStack(t *testing.T) {
	c := startScanCloud(t, 300, "--network", "s3-express", "--bandwidth", "quota")
	refused := c.fanout(t, "scan", "--stack", "Fanout", "--count", "--bandwidth", "flat")
	if status, _, stderr := says(t, refused); status != hint.StatusUsage || !strings.Contains(stderr, "is deployed with BANDWIDTH=quota") {
		t.Errorf("another bandwidth: status %d, said:\n%s", status, stderr)
	}
	cmd := c.fanout(t, "scan", "--stack", "Fanout", "--find", corpus.DefaultNeedle, "--batch", "50", "--job", "one", "--out", "r")
	status, stdout, stderr := says(t, cmd)
	if status != 0 || strings.Count(stdout, "\n") != 1 || !strings.HasPrefix(stdout, "objects/object-") {
		t.Fatalf("status %d, matches %q, said:\n%s", status, stdout, stderr)
	}
	like(t, "scan", stderr, `^about .* for 300 objects, `)
	like(t, "scan", stderr, `^limit: `)
	like(t, "scan", stderr, `^job one: complete$`)
	like(t, "scan", stderr, `as the objects' seed has it, and so is the match$`)
	f, err := scan.ReadPath(filepath.Join(cmd.Dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	if h := f.Header; h.Backend != trial.Endpoint || h.Stack != "Fanout" || h.Function.MemoryMB != 512 || h.Children != "EXPRESS" ||
		h.Estimate == nil || h.Estimate.Objects != 300 || h.Input.Prefix != corpus.DefaultPrefix ||
		h.Bandwidth != lambda.QuotaBandwidth {
		t.Errorf("header %+v", h)
	}
	if f.End.Reason != scan.Complete || f.Summary == nil || f.Summary.Objects != 300 || f.Summary.Bill.Total() <= 0 || len(f.Samples) == 0 {
		t.Errorf("end %+v, %d samples, sum %+v", f.End, len(f.Samples), f.Summary)
	}

	arn := strings.Replace(scanMachine, "stateMachine", "execution", 1) + ":one"
	for _, job := range [][]string{{"--stack", "Fanout", "one"}, {arn}, {"--stack", "Fanout", arn}} {
		cmd := c.fanout(t, append([]string{"scan", "result", "--format", "csv"}, job...)...)
		status, again, stderr := says(t, cmd)
		if status != 0 || again != "key\n"+stdout {
			t.Errorf("%v: status %d, matches %q, said:\n%s", job, status, again, stderr)
		}
		if f, err := scan.ReadPath(filepath.Join(cmd.Dir, "results", "one")); err != nil || f.End.Reason != scan.Complete {
			t.Errorf("%v: %+v, %v", job, f.End, err)
		}
		if status, out, stderr := says(t, c.fanout(t, append([]string{"scan", "status"}, job...)...)); status != 0 ||
			!strings.HasPrefix(out, "job one succeeded: 300 of 300 objects") {
			t.Errorf("%v: status %d, %q, said:\n%s", job, status, out, stderr)
		}
	}

	other := strings.Replace(arn, "fanout-scan", "other", 1)
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"the same name once more", []string{"--stack", "Fanout", "--find", "x", "--job", "one"}, hint.StatusUsage,
			`^error: job one: there is one of that name already$`},
		{"an unknown job", []string{"status", "--stack", "Fanout", "two"}, hint.StatusUsage, `^error: there is no job two \(arn:`},
		{"a job of another stack", []string{"result", "--stack", "Fanout", other}, hint.StatusUsage,
			`^error: job one is one of state machine arn:.*other-.*, not of arn:`},
		{"an unknown stack", []string{"status", "--stack", "Nobody", "one"}, hint.StatusFailed, `^error: describe stack Nobody: `},
		{"a job that read everything", []string{"redrive", "--stack", "Fanout", "one"}, hint.StatusUsage, `^error: job one read everything`},
		{"a job that has ended", []string{"stop", "--stack", "Fanout", "one"}, hint.StatusUsage, `^error: job one has ended already: SUCCEEDED$`},
		{"a folder that cannot be made", []string{"--stack", "Fanout", "--find", "x", "--job", "nowhere", "--out", os.DevNull + "/r"},
			hint.StatusFailed, `^error: create the results folder: `},
		{"a job that was therefore not started", []string{"status", "--stack", "Fanout", "nowhere"}, hint.StatusUsage,
			`^error: there is no job nowhere \(arn:`},
		{"an inventory that is not there", []string{"--stack", "Fanout", "--find", "x", "--inventory", "s3://" + lab.Bucket + "/a/manifest.json"},
			hint.StatusFailed, `^error: read inventory s3://.*/a/manifest.json: .*NoSuchKey`},
	} {
		status, stdout, stderr := says(t, c.fanout(t, append([]string{"scan"}, tc.args...)...))
		if status != tc.status || stdout != "" {
			t.Errorf("%s: status %d, %q", tc.name, status, stdout)
		}
		like(t, tc.name, stderr, tc.want)
	}
}

// A stack without a state machine, and one whose results are among what is
// listed, are refused before anything is started.
func TestScanRefusesStack(t *testing.T) {
	outputs := map[string]string{"Bucket": lab.Bucket, "Prefix": ""}
	c := startCloud(t, outputs)
	status, _, stderr := says(t, c.fanout(t, "scan", "--stack", "Fanout", "--find", "x"))
	if status != hint.StatusFailed {
		t.Errorf("no state machine: status %d", status)
	}
	like(t, "no state machine", stderr, `^error: stack Fanout has no state machine for a scan\nhint: deploy it again with -c scan=true$`)
	outputs = maps.Clone(outputs) // the server reads the former
	outputs["ScanStateMachineArn"], outputs["ScanResultsBucket"] = scanMachine, lab.Bucket
	c.formation(t, outputs)
	for _, prefix := range []string{"", "jobs/", "job", "jobs/mine/parts/"} {
		status, _, stderr := says(t, c.fanout(t, "scan", "--stack", "Fanout", "--find", "x", "--job", "mine", "--prefix", prefix))
		if status != hint.StatusUsage {
			t.Errorf("prefix %q: status %d", prefix, status)
		}
		like(t, prefix, stderr, `^error: prefix "`+prefix+`" of bucket fanout-lab has the results of this job below it$`)
	}
	// Beside them is fine: nothing is there, and so it is complete.
	status, stdout, stderr := says(t, c.fanout(t, "scan", "--stack", "Fanout", "--find", "x", "--prefix", "nothing/"))
	if status != 0 || stdout != "" {
		t.Errorf("an empty prefix: status %d, %q, said:\n%s", status, stdout, stderr)
	}
	like(t, "an empty prefix", stderr, `^How many objects there are is not known before they are listed`)
	like(t, "an empty prefix", stderr, `^0 objects read, `)
	// Where the stack has put objects, and none is left, it is not.
	spec := corpus.Default()
	spec.Count, spec.MaxBytes, spec.Prefix = 10, 2000, "nothing/"
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	outputs = maps.Clone(outputs)
	outputs["Prefix"], outputs["Objects"] = spec.Prefix, string(text)
	c.formation(t, outputs)
	status, stdout, stderr = says(t, c.fanout(t, "scan", "--stack", "Fanout", "--find", spec.Needle))
	if status != hint.StatusFailed || stdout != "" {
		t.Errorf("all objects are gone: status %d, %q", status, stdout)
	}
	like(t, "all objects are gone", stderr, `^digest 0+: wrong, the objects' seed has [0-9a-f]+, 10 objects$`)
	like(t, "all objects are gone", stderr, `^error: job .* read every object, and found something else than they hold$`)
}

// Ctrl-C leaves a job of a stack running, and says how to come back; there it is
// followed to its end, into the same file. A second Ctrl-C stops a job, which is
// redriven to the right answer.
func TestScanLeaveAndStop(t *testing.T) {
	c := startScanCloud(t, 1000)
	start := func(name string) (cmd *exec.Cmd, stderr *bufio.Reader) {
		t.Helper()
		// 100 batches, one after the other: enough for a signal on a busy machine.
		cmd = c.fanout(t, "scan", "--stack", "Fanout", "--find", corpus.DefaultNeedle, "--batch", "10", "--max-concurrency", "1",
			"--job", name)
		pipe, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stderr = bufio.NewReader(pipe)
		until(t, stderr, `^(listing|reading): `)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		until(t, stderr, `^the job goes on; Ctrl-C within 3s stops it`)
		return cmd, stderr
	}
	end := func(cmd *exec.Cmd, stderr io.Reader) (said string) {
		t.Helper()
		text, err := io.ReadAll(stderr)
		if err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != hint.StatusFailed {
			t.Errorf("ended with %v", err)
		}
		return string(text)
	}
	in := func(cmd *exec.Cmd, args ...string) *exec.Cmd {
		next := c.fanout(t, args...)
		next.Dir = cmd.Dir
		return next
	}

	left, stderr := start("left")
	like(t, "left", end(left, stderr),
		`^error: interrupted: job left goes on\nhint: fanout scan status --follow --stack Fanout left comes back to it$`)
	if f, err := scan.ReadPath(filepath.Join(left.Dir, "results", "left")); err != nil || f.End.Reason != scan.Left {
		t.Errorf("left: %+v, %v", f.End, err)
	}
	status, stdout, said := says(t, in(left, "scan", "status", "--follow", "--stack", "Fanout", "left"))
	if status != 0 || strings.Count(stdout, "\n") != 1 {
		t.Errorf("come back: status %d, %q, said:\n%s", status, stdout, said)
	}
	f, err := scan.ReadPath(filepath.Join(left.Dir, "results", "left"))
	if err != nil || f.End.Reason != scan.Complete || f.Summary == nil || f.Summary.Expected == nil || !f.Summary.Expected.Right {
		t.Errorf("come back: %+v, %+v, %v", f.End, f.Summary, err)
	}

	stopped, stderr := start("stopped")
	if err := stopped.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	like(t, "stopped", end(stopped, stderr), `^error: stopped job stopped\nhint: fanout scan redrive --stack Fanout stopped goes on with it; `)
	status, _, said = says(t, in(stopped, "scan", "result", "--stack", "Fanout", "stopped"))
	if status != hint.StatusFailed {
		t.Errorf("result of a stopped job: status %d", status)
	}
	like(t, "result of a stopped job", said,
		`^error: job stopped was stopped\nhint: fanout scan redrive --stack Fanout stopped reads what is missing$`)
	other := filepath.Join(stopped.Dir, "other")
	text := []byte(`{"fanout_scan":1,"job":"other"}`)
	if err := errors.Join(os.Mkdir(other, 0o700), os.WriteFile(filepath.Join(other, scan.FileName), text, 0o600)); err != nil {
		t.Fatal(err)
	}
	status, _, said = says(t, in(stopped, "scan", "redrive", "--stack", "Fanout", "--out", "other", "stopped"))
	if status != hint.StatusUsage {
		t.Errorf("into another job's folder: status %d", status)
	}
	like(t, "into another job's folder", said, `^error: other/results.jsonl exists already, and is not of job stopped$`)
	_, stdout, said = says(t, in(stopped, "scan", "status", "--stack", "Fanout", "stopped"))
	if !strings.HasPrefix(stdout, "job stopped aborted: ") {
		t.Errorf("it was redriven all the same: %q, said:\n%s", stdout, said)
	}
	status, stdout, said = says(t, in(stopped, "scan", "redrive", "--stack", "Fanout", "stopped"))
	if status != 0 || strings.Count(stdout, "\n") != 1 {
		t.Errorf("redriven: status %d, %q, said:\n%s", status, stdout, said)
	}
	like(t, "redriven", said, `as the objects' seed has it, and so is the match$`)
}

// A scan on this machine ends with the command at the first Ctrl-C, and when it
// is killed; either way redrive goes on with it, and nothing is left behind.
func TestScanRedriveHere(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, os.Kill} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd, stdout, stderr := command(t, "scan", "--find", corpus.DefaultNeedle, "--objects", "1000", "--max-bytes", "2000",
				"--batch", "8", "--max-concurrency", "2", "--out", "r") // it takes long enough for what is done meanwhile
			until(t, stderr, `^(listing|reading): `)
			meanwhile := exec.CommandContext(t.Context(), cmd.Path, "scan", "status", "r")
			meanwhile.Dir, meanwhile.Env = cmd.Dir, cmd.Env
			if status, _, said := says(t, meanwhile); status != hint.StatusUsage {
				t.Errorf("looked at meanwhile: status %d, said %s", status, said)
			} else {
				like(t, "meanwhile", said, `^error: the job in r is running in another process\nhint: the command that runs it shows how far it is`)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(stderr)
			if err != nil {
				t.Fatal(err)
			}
			out, err := io.ReadAll(stdout)
			if err != nil || len(out) > 0 {
				t.Errorf("matches %q, %v", out, err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) {
				t.Errorf("ended with %v", err)
			}
			f, err := scan.ReadPath(filepath.Join(cmd.Dir, "r"))
			if err != nil || len(f.Samples) == 0 {
				t.Errorf("%d samples, %v", len(f.Samples), err)
			}
			if sig == os.Interrupt {
				const want = "error: interrupted: a job on this machine ends with the command\nhint: fanout scan redrive r goes on with it; "
				if !bytes.Contains(rest, []byte(want)) || f.End.Reason != scan.Interrupted {
					t.Errorf("said: %s, end %+v", rest, f.End)
				}
				if left := leftovers(t, cmd.Process.Pid, cgroupRoot, tempDir(cmd)); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			}
			again := exec.CommandContext(t.Context(), cmd.Path, "scan", "redrive", "r")
			again.Dir, again.Env = cmd.Dir, cmd.Env
			status, found, said := says(t, again)
			if status != 0 || strings.Count(found, "\n") != 1 {
				t.Errorf("redriven: status %d, %q, said:\n%s", status, found, said)
			}
			like(t, "redriven", said, `as the objects' seed has it, and so is the match$`)
			for _, pid := range []int{cmd.Process.Pid, again.Process.Pid} {
				if left := leftovers(t, pid, cgroupRoot, tempDir(cmd)); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			}
		})
	}
}

// A job that is not started takes the folder with it that it made, and no other: a
// link to one would be gone, whatever is in it.
func TestDiscard(t *testing.T) {
	there, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(there, link); err != nil {
		t.Fatal(err)
	}
	for dir, stays := range map[string]bool{there: true, link: true, filepath.Join(t.TempDir(), "new"): false} {
		s := &scanning{dir: dir}
		if err := s.create(); err != nil {
			t.Fatal(err)
		}
		s.discard()
		s.forget()
		if _, err := os.Lstat(dir); (err == nil) != stays {
			t.Errorf("%s: %v, want it to stay: %t", dir, err, stays)
		}
		if _, err := os.Lstat(s.results()); err == nil {
			t.Errorf("%s is left", s.results())
		}
	}
}

// A terminal gets the first matches, and where the rest is; the file has all.
func TestMatchOutput(t *testing.T) {
	var stdout, stderr strings.Builder
	s := &scanning{scanOutput: scanOutput{format: scan.Text}, dir: t.TempDir(), stdout: &stdout, stderr: &stderr}
	o, err := s.openMatches()
	if err != nil {
		t.Fatal(err)
	}
	o.most = 2
	for _, key := range []string{"a", "b", "c"} {
		if err := o.write(fetch.Match{Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.matches())
	if err != nil || string(text) != "a\nb\nc\n" || stdout.String() != "a\nb\n" || stderr.String() != "… and 1 more in "+s.matches()+"\n" {
		t.Errorf("file %q, standard output %q, said %q, %v", text, stdout.String(), stderr.String(), err)
	}
}

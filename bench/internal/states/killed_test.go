package states

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// engineEnv makes the test binary a server, on the services and the folder that
// it names.
const engineEnv = "FANOUT_STATES_ENGINE"

type engine struct {
	services
	Dir string
}

// runEngine serves until it is killed.
func runEngine(text string) error {
	var at engine
	if err := json.Unmarshal([]byte(text), &at); err != nil {
		return err
	}
	cfg, err := at.config(at.Dir)
	if err != nil {
		return err
	}
	s, err := Start(cfg)
	if err != nil {
		return err
	}
	fmt.Println(s.URL())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startEngine starts a server in a process of its own, and points the world's
// client at it. kill ends it by SIGKILL.
func (w *world) startEngine() (kill func()) {
	w.t.Helper()
	text, err := json.Marshal(engine{w.at, w.cfg.Dir})
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), engineEnv+"="+string(text)), os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	w.client = newClient(strings.TrimSpace(url), testKeys.AccessKeyID, testKeys.SecretAccessKey)
	return func() {
		if err := cmd.Process.Kill(); err != nil {
			w.t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		_ = stdin.Close()
	}
}

// A server that is killed in the midst of a Map Run loses nothing: the next one
// tells of its execution as failed, and a redrive reads what was not read.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const objects, batch = 200, 10
	w.put(objects)
	var l ledger
	var n atomic.Int64
	reached := make(chan struct{})
	w.lambda.set(func(r *http.Request, name string, payload []byte) answer {
		if keysOf(payload) == nil {
			return fetched(r, name, payload)
		}
		switch i := n.Add(1); {
		case i == 8:
			close(reached)
			fallthrough
		case i > 8 && i < 100:
			<-r.Context().Done() // the death of the server
			n.Store(1000)
			return answer{}
		}
		l.add(keysOf(payload))
		return fetched(r, name, payload)
	})
	kill := w.startEngine()
	machine := w.create("scan", scanText())
	arn := w.begin(machine, "job-1", scanInput(batch))
	<-reached
	kill()
	n.Store(1000) // from here on all are answered, however late the dead server's end is noticed

	w.start()
	out := w.describe(arn)
	if out.Status != types.ExecutionStatusFailed || aws.ToString(out.Error) != serverEnded ||
		out.RedriveStatus != types.ExecutionRedriveStatusRedrivable ||
		aws.ToString(out.Input) != scanInput(batch) {
		t.Fatalf("%s %s %s %s", out.Status, aws.ToString(out.Error), out.RedriveStatus, aws.ToString(out.Input))
	}
	r := w.mapRunOf(arn)
	if c := r.ItemCounts; r.Status != types.MapRunStatusFailed || c.Succeeded > 70 || c.Succeeded+c.Aborted+c.Pending != c.Total ||
		c.Total > objects {
		t.Errorf("%s %+v", r.Status, c)
	}
	if _, err := w.client.StartExecution(t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: aws.String(w.create("scan", scanText())), Name: aws.String("job-1"), Input: aws.String(scanInput(batch)),
	}); code(err) != "ExecutionAlreadyExists" {
		t.Errorf("its name once more: %v", err)
	}
	if out = w.redrive(arn); out.Status != types.ExecutionStatusSucceeded || !strings.Contains(aws.ToString(out.Output),
		fmt.Sprintf(`"total":%d`, objects)) {
		t.Fatalf("%s %s: %s %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause), aws.ToString(out.Output))
	}
	again := w.mapRunOf(arn)
	if c := again.ItemCounts; *again.MapRunArn != *r.MapRunArn || c.Succeeded != objects || c.Total != objects || c.ResultsWritten != objects {
		t.Errorf("%+v", c)
	}
	if files := w.files(again, "jobs/job-1/acks/"); len(files["SUCCEEDED"]) != objects/batch {
		t.Errorf("%d records, want %d", len(files["SUCCEEDED"]), objects/batch)
	}
	// A batch whose answer the server did not live to write down is read twice.
	for i := range objects {
		k := fmt.Sprintf("k%05d", i)
		if l.keys[k] < 1 || l.keys[k] > 2 {
			t.Errorf("%s was read %d times", k, l.keys[k])
		}
	}
}

// What a server wrote when it was killed may end anywhere: each part of its
// files is as good as a whole one.
func TestCutOff(t *testing.T) {
	w := newWorld(t)
	w.put(60)
	var broken atomic.Bool
	broken.Store(true)
	handle := func(r *http.Request, name string, payload []byte) answer {
		if keys := keysOf(payload); keys != nil && broken.Load() && keys[0] == "k00030" {
			return answer{functionError: true, body: `{"errorType":"E"}`}
		}
		return fetched(r, name, payload)
	}
	w.lambda.set(handle)
	arn := *w.runOnce("scan", scanText(), scanInput(10)).ExecutionArn
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	broken.Store(false)
	whole := w.cfg.Dir
	for _, pattern := range []string{historyFile, "*/" + spoolFile, "*/" + outcomesFile} {
		found, err := filepath.Glob(filepath.Join(whole, executionsDir, "*", pattern))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(whole, found[0])
		if err != nil {
			t.Fatal(err)
		}
		for cut := 1; cut < len(text); cut += 1 + len(text)/23 {
			w.cfg.Dir = t.TempDir()
			if err := os.CopyFS(w.cfg.Dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(w.cfg.Dir, name), text[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			w.start()
			if _, err := w.execution(arn); pattern == historyFile && err != nil { // it had not begun
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			out := w.redrive(arn)
			c := w.mapRunOf(arn).ItemCounts
			if out.Status != types.ExecutionStatusSucceeded || c.Succeeded != 60 || c.Total != 60 {
				t.Errorf("%s cut at %d: %s %s: %s, %+v", pattern, cut, out.Status, aws.ToString(out.Error), aws.ToString(out.Cause), c)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Command probe is a bootstrap that does what a test tells it to: in INIT by
// its environment, later by the event.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Mode string `json:"mode"`
	N    int    `json:"n"`
	Text string `json:"text"`
}

type result struct {
	PID      int               `json:"pid"`
	Text     string            `json:"text,omitempty"`
	Env      map[string]string `json:"env,omitempty"`
	CPU      float64           `json:"cpu_seconds,omitempty"`
	Wall     float64           `json:"wall_seconds,omitempty"`
	Deadline int64             `json:"deadline_ms,omitempty"`
	ARN      string            `json:"arn,omitempty"`
	Request  string            `json:"request,omitempty"`
	Trace    string            `json:"trace,omitempty"`
	Client   string            `json:"client,omitempty"`
	Child    int               `json:"child,omitempty"`
}

func main() {
	fmt.Println("probe: in INIT")
	switch os.Getenv("PROBE_INIT") {
	case "never":
		time.Sleep(time.Hour)
	case "exit":
		os.Exit(3)
	case "error":
		base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
		resp, err := http.Post(base, "application/json", strings.NewReader(`{"errorMessage":"no config","errorType":"Probe.InitError"}`))
		if err == nil {
			_ = resp.Body.Close()
		}
		os.Exit(1)
	case "alloc": // and end
		alloc(number())
		os.Exit(0)
	case "alloc first":
		alloc(300)
	case "map": // the file, and stay
		data, err := os.OpenFile(os.Getenv("PROBE_FILE"), os.O_RDWR, 0)
		if err != nil {
			panic(err)
		}
		mapped, err := syscall.Mmap(int(data.Fd()), 0, number()<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		if err != nil {
			panic(err)
		}
		for i := 0; i < len(mapped); i += 4096 {
			mapped[i] = 1
		}
		fmt.Println("mapped")
		time.Sleep(time.Hour)
	case "panic":
		panic("probe panics in INIT")
	case "flood": // and end
		flood(number())
		os.Exit(0)
	case "flood first":
		flood(40)
	case "once": // one event, and nothing more
		base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
		resp, err := http.Get(base + "next")
		if err != nil {
			panic(err)
		}
		_ = resp.Body.Close()
		resp, err = http.Post(base+resp.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json",
			strings.NewReader(fmt.Sprintf(`{"pid":%d}`, os.Getpid())))
		if err != nil {
			panic(err)
		}
		_ = resp.Body.Close()
		time.Sleep(time.Hour)
	case "spin":
		cpu, _ := spin(200 * time.Millisecond)
		fmt.Printf("probe: INIT used %.2f ms\n", 1000*cpu)
	}
	switch os.Getenv("PROBE_EXTENSION") {
	case "":
	case "sigterm": // what aws-lambda-go registers itself, for SHUTDOWN without saying so
		lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM(func() {
			if err := os.WriteFile(os.Getenv("PROBE_FILE"), []byte("warned"), 0o600); err != nil {
				panic(err)
			}
		}))
		return
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		extend("quick")
	default:
		extend(os.Getenv("PROBE_EXTENSION"))
	}
	lambda.Start(handle)
}

// extend registers an internal extension, which then behaves as told.
func extend(how string) {
	const name = "probe-extension"
	call := func(method, path, body string, header ...string) (*http.Response, string) {
		req, err := http.NewRequest(method, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2020-01-01/extension/"+path, strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			panic(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			panic(err)
		}
		_ = resp.Body.Close()
		return resp, string(text)
	}
	resp, text := call("POST", "register", `{"events":["INVOKE"]}`, "Lambda-Extension-Name", name)
	if resp.StatusCode != http.StatusOK {
		panic(resp.Status + " " + text)
	}
	id := resp.Header.Get("Lambda-Extension-Identifier")
	fail := func(path string) {
		call("POST", path, `{}`, "Lambda-Extension-Identifier", id, "Lambda-Extension-Function-Error-Type", "Probe.Because")
	}
	switch how {
	case "init error":
		fail("init/error")
	case "not ready":
		return
	}
	go func() {
		for {
			_, text := call("GET", "event/next", "", "Lambda-Extension-Identifier", id)
			fmt.Println("extension: " + text)
			switch how {
			case "slow":
				spin(300 * time.Millisecond)
			case "stuck":
				return
			case "exit error":
				fail("exit/error")
			}
		}
	}()
}

var kept [][]byte

func handle(ctx context.Context, e event) (result, error) {
	r := result{PID: os.Getpid()}
	switch e.Mode {
	case "echo":
		r.Text = e.Text
	case "context":
		deadline, _ := ctx.Deadline()
		r.Deadline = deadline.UnixMilli()
		lc, _ := lambdacontext.FromContext(ctx)
		r.ARN, r.Request, r.Client = lc.InvokedFunctionArn, lc.AwsRequestID, lc.ClientContext.Client.AppTitle
		r.Trace = os.Getenv("_X_AMZN_TRACE_ID")
	case "alloc": // N MB
		alloc(e.N)
	case "child alloc": // the same, by a child, and how it ended; then end with status N, if there is one in the text
		cmd := child("alloc", e.N)
		_ = cmd.Run()
		r.Text = cmd.ProcessState.String()
		if e.Text != "" {
			os.Exit(1)
		}
	case "map": // N MB of one file, by four children that stay
		file := filepath.Join(os.Getenv("HOME"), "mapped")
		if err := os.WriteFile(file, make([]byte, e.N<<20), 0o600); err != nil {
			return r, err
		}
		for range 4 {
			cmd := child("map", e.N)
			cmd.Env = append(cmd.Env, "PROBE_FILE="+file)
			cmd.Stdout = nil
			out, err := cmd.StdoutPipe()
			if err != nil {
				return r, err
			}
			if err := cmd.Start(); err != nil {
				return r, err
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != "mapped" {
			}
		}
	case "kill": // itself
		fmt.Println("probe: about to be killed")
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "crash": // a goroutine's panic, which no handler sees
		go func() { panic("probe crashes") }()
		select {}
	case "segv":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	case "sleep": // until killed
		time.Sleep(time.Hour)
	case "spawn": // a child that leaves the process group and outlives us
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "PROBE_INIT=never")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return r, err
		}
		r.Child = cmd.Process.Pid
	case "exit": // with status N
		fmt.Println("probe: about to exit")
		os.Exit(e.N)
	case "panic":
		panic("probe panics")
	case "error":
		return r, errors.New(e.Text)
	case "spin": // N milliseconds of wall time
		r.CPU, r.Wall = spin(time.Duration(e.N) * time.Millisecond)
	case "log": // N lines
		for i := range e.N {
			fmt.Fprintln(os.Stderr, "line "+strconv.Itoa(i)+" "+e.Text)
		}
	case "flood": // N MB, then a line
		flood(e.N)
		fmt.Fprintln(os.Stderr, e.Text)
	case "child flood": // the same, by a child
		if err := child("flood", e.N).Run(); err != nil {
			return r, err
		}
		fmt.Fprintln(os.Stderr, e.Text)
	case "flood and exit":
		flood(e.N)
		fmt.Fprintln(os.Stderr, e.Text)
		os.Exit(1)
	case "flood for ever":
		for {
			flood(1)
		}
	case "partial": // a line without its end
		fmt.Print(e.Text)
	case "big": // an answer of N bytes
		r.Text = strings.Repeat("x", e.N)
	case "files": // the limits of open files, and how many can be opened at once
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return r, err
		}
		n := 0
		for ; ; n++ {
			f, err := os.Open("/dev/null")
			if err != nil {
				break
			}
			defer f.Close()
		}
		r.Text = fmt.Sprintf("%d of %d, opened %v", limit.Cur, limit.Max, n > 900 && n < 1024)
	case "env":
		r.Env = map[string]string{}
		for _, kv := range os.Environ() {
			k, v, _ := strings.Cut(kv, "=")
			r.Env[k] = v
		}
	default:
		return r, fmt.Errorf("no such mode: %q", e.Mode)
	}
	return r, nil
}

// flood writes n MB to standard output.
func flood(n int) {
	block := []byte(strings.Repeat(strings.Repeat("x", 63)+"\n", 1<<14))
	for range n {
		if _, err := os.Stdout.Write(block); err != nil {
			panic(err)
		}
	}
}

// alloc takes n MB.
func alloc(n int) {
	for range n {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
}

// child is a command that runs this program with a PROBE_INIT and a number.
func child(init string, n int) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"PROBE_INIT=" + init, "PROBE_N=" + strconv.Itoa(n)}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

// number is the one that a child was started with.
func number() int {
	n, err := strconv.Atoi(os.Getenv("PROBE_N"))
	if err != nil {
		panic(err)
	}
	return n
}

// spin keeps one thread busy for d and gives the CPU and wall time it took, in
// seconds.
func spin(d time.Duration) (cpu, wall float64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, before := time.Now(), used()
	for time.Since(start) < d { // looking at the clock is work enough
	}
	return used() - before, time.Since(start).Seconds()
}

func used() float64 {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		panic(err)
	}
	return float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9
}

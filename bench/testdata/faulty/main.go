// Command faulty is this repository's function, which goes wrong where a test
// says so: a file beside the program, fault, names what to do (kill, hang or
// grow), how often (once or always for each batch), and a key. It is done to the
// batch that begins with that key, or to every batch if the key is "*".
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/aws/aws-lambda-go/lambda"

	"fanout/functions/fetch"
	"fanout/functions/scan"
	"fanout/functions/store"
)

var hog [][]byte

type faulty struct{ handler *scan.Handler }

func main() {
	cfg, err := fetch.ConfigFromEnv(os.Getenv, store.Default)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lambda.Start(&faulty{scan.New(fetch.New(cfg, func(ctx context.Context, client string) (fetch.Store, error) {
		return store.Open(ctx, client)
	}))})
}

// Invoke answers a batch, unless it is one that goes wrong.
func (f *faulty) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var batch scan.Batch
	if json.Unmarshal(payload, &batch) == nil && len(batch.Items) > 0 {
		switch fault(batch.Items[0].Key) {
		case "kill": // in the middle of the batch
			go func() { _, _ = f.handler.Invoke(ctx, payload) }()
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		case "hang":
			select {}
		case "grow":
			for {
				hog = append(hog, bytes.Repeat([]byte{1}, 1<<20))
			}
		}
	}
	return f.handler.Invoke(ctx, payload)
}

// fault says what to do to the batch that begins with a key; empty: nothing.
func fault(first string) string {
	program, err := os.Executable()
	if err != nil {
		return ""
	}
	dir := filepath.Dir(program)
	text, err := os.ReadFile(filepath.Join(dir, "fault"))
	if err != nil {
		return ""
	}
	what, often, key := "", "", ""
	if _, err := fmt.Sscan(string(text), &what, &often, &key); err != nil || key != "*" && key != first {
		return ""
	}
	mark := filepath.Join(dir, fmt.Sprintf("done-%08x", crc32.ChecksumIEEE([]byte(first))))
	if often == "once" {
		if _, err := os.Stat(mark); err == nil {
			return ""
		}
	}
	if err := os.WriteFile(mark, []byte(strings.ToUpper(what)), 0o600); err != nil {
		return ""
	}
	return what
}

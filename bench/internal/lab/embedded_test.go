package lab

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/network"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

// TestEmbedded: a bootstrap that the command contains is a private file for as
// long as the lab is, and no longer, also where the lab does not start.
func TestEmbedded(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self) // any Linux program
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		embedded func(arch string) ([]byte, error)
		err      string // "": it starts
		hint     string
	}{
		{"a program", func(string) ([]byte, error) { return program, nil }, "", ""},
		{"none for this architecture", func(arch string) ([]byte, error) { return nil, errors.New("none for " + arch) },
			"contender go: none for " + lambda.HostArchitecture(), "what to do"},
		{"no program", func(string) ([]byte, error) { return []byte("text"), nil }, "", "*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			l, err := Start(Config{
				Contenders: []Contender{{Name: "go", Embedded: c.embedded, Help: "what to do",
					Path: func(string) string { return "/nowhere" }}},
				Architectures: []string{lambda.HostArchitecture()}, MemoriesMB: []int{128}, Timeout: time.Minute,
				Network: network.None, Corpus: corpus.Default(), NoLimits: true,
			})
			if c.hint == "" {
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(l.Dir, "go-"+lambda.HostArchitecture(), "bootstrap")
				for path := file; path != filepath.Dir(l.Dir); path = filepath.Dir(path) {
					if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
						t.Errorf("%s: got %v, %v; want it there, for its owner only", path, info, err)
					}
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			} else {
				if err == nil {
					_ = l.Close()
					t.Fatal("got a lab, want an error")
				}
				next, _ := hint.Of(err, "")
				if !strings.Contains(err.Error(), c.err) || (c.hint != "*" && next != c.hint) {
					t.Errorf("got %v, hint %q; want %q, hint %q", err, next, c.err, c.hint)
				}
			}
			left := []string{}
			err = filepath.WalkDir(os.TempDir(), func(path string, _ fs.DirEntry, err error) error {
				left = append(left, path)
				return err
			})
			if err != nil || len(left) != 1 { // the folder itself
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

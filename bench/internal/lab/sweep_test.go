package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"fanout/bench/internal/sandbox/cgroup"
)

// What a killed lab left goes; a live one's folder stays, even if its process
// cannot be seen, as in another container that has the same /tmp.
func TestSweep(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ended := exec.CommandContext(t.Context(), "true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	folder := func(name string) string {
		path := filepath.Join(os.TempDir(), name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dead := dirPrefix + strconv.Itoa(ended.ProcessState.Pid())
	unseen := folder(dead + "-unseen")
	lock, err := cgroup.Own(unseen)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close() //nolint:errcheck // only a lock
	mine, own, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close() //nolint:errcheck // only a lock
	there := map[string]bool{
		folder(dead + "-left"):                  false,
		unseen:                                  true,
		mine:                                    true,
		folder(dead):                            true, // no lab calls its folder so
		folder(dirPrefix + "notes"):             true,
		folder(dirPrefix + "-1-x"):              true,
		folder(dirPrefix + "0-x"):               true,
		folder("other-" + dead + "-left-alone"): true,
	}
	sweep()
	for dir, want := range there {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", dir, err, want)
		}
	}
}

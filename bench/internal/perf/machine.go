package perf

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/stats"
)

// machineFile says how quiet the machine was: a line for each look at it.
const machineFile = "machine.jsonl"

// lookEvery is the least time between two looks at the machine.
const lookEvery = 10 * time.Second

// What a machine is called quiet by.
const (
	quietLoad  = 0.5  // processes that want to run, before the first invocation
	quietSteal = 0.01 // of the time
	quietSpin  = 0.1  // spread of the spins
)

// look is one line of machineFile.
type look struct {
	At         time.Time `json:"at"`
	SpinMS     float64   `json:"spin_ms"`     // wall time of spin
	Load       float64   `json:"load"`        // average of the last minute
	StealTicks uint64    `json:"steal_ticks"` // since the machine started: time in which the host ran others
	AllTicks   uint64    `json:"all_ticks"`   // of all processors
}

// machine looks at the machine between invocations.
type machine struct {
	ahead []byte // lines from before there was a folder
	out   *os.File
	last  time.Time
}

// newMachine takes the first look, before anything is started.
func newMachine() (*machine, error) {
	m := &machine{}
	return m, m.look()
}

// open makes the file, if there is none yet, in a folder that is there.
func (m *machine) open(dir string) (err error) {
	if m == nil || m.out != nil {
		return nil
	}
	if m.out, err = os.OpenFile(filepath.Join(dir, machineFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
		return hint.Failed("give another --out", "write results: %w", err)
	}
	return m.write(m.ahead)
}

func (m *machine) write(lines []byte) error {
	if m.out == nil {
		m.ahead = append(m.ahead, lines...)
		return nil
	}
	if _, err := m.out.Write(lines); err != nil {
		return hint.Failed("check the disk's free space", "write results: %w", err)
	}
	return nil
}

// between takes a look if the last one was long ago.
func (m *machine) between() error {
	if m == nil || time.Since(m.last) < lookEvery {
		return nil
	}
	return m.look()
}

func (m *machine) look() error {
	l := look{At: time.Now().UTC(), SpinMS: spin()}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		l.Load, _ = strconv.ParseFloat(strings.SplitN(string(text), " ", 2)[0], 64) // 0 if it is something else
	}
	if text, err := os.ReadFile("/proc/stat"); err == nil {
		l.StealTicks, l.AllTicks = parseStat(text)
	}
	m.last = time.Now()
	line, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return m.write(append(line, '\n'))
}

// close takes the last look.
func (m *machine) close() error {
	if m.out == nil {
		return nil
	}
	return errors.Join(m.look(), m.out.Close())
}

// spinBytes take 20 ms or so to hash.
const spinBytes = 32 << 20

// spin does the same work each time, on one processor and within its cache, and
// gives how long it took, in ms.
func spin() float64 {
	var block [64 << 10]byte
	h := sha256.New()
	start := time.Now()
	for range spinBytes / len(block) {
		_, _ = h.Write(block[:]) // a hash never fails
	}
	return float64(time.Since(start).Microseconds()) / 1000
}

// parseStat reads the first line of /proc/stat, see proc(5): ticks of user, nice,
// system, idle, iowait, irq, softirq and steal. Without them it gives zeros.
func parseStat(text []byte) (steal, all uint64) {
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0
	}
	for _, f := range fields[1:9] {
		n, err := strconv.ParseUint(f, 10, 48)
		if err != nil {
			return 0, 0
		}
		steal, all = n, all+n
	}
	return steal, all
}

// readMachine gives the looks of a folder, none if it has none. A last line that
// was cut off is passed over.
func readMachine(dir string) ([]look, error) {
	path := filepath.Join(dir, machineFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	var all []look
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for n, lines := 1, bufio.NewScanner(bytes.NewReader(whole)); lines.Scan(); n++ {
		var l look
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("read results from %s: line %d: %w", path, n, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// quietness says in words how quiet the machine was; "": nobody looked.
func quietness(all []look) string {
	if len(all) == 0 {
		return ""
	}
	spins := make([]float64, len(all))
	for i, l := range all {
		spins[i] = l.SpinMS
	}
	first, last, s := all[0], all[len(all)-1], stats.Summarise(spins)
	steal, spread := 0.0, 0.0
	if ticks := last.AllTicks - first.AllTicks; last.AllTicks > first.AllTicks {
		steal = float64(last.StealTicks-first.StealTicks) / float64(ticks)
	}
	if s.Median > 0 {
		spread = (s.Highest - s.Lowest) / 2 / s.Median
	}
	text := fmt.Sprintf("load %.2f before, steal %.1f%%, a fixed spin %.1f ms ±%.0f%% (n=%d)",
		first.Load, steal*100, s.Median, spread*100, s.N)
	if first.Load <= quietLoad && steal <= quietSteal && spread <= quietSpin {
		return "The machine was quiet: " + text + "."
	}
	return fmt.Sprintf("The machine was not quiet: %s; quiet is a load of up to %g, steal up to %g%%, and ±%g%%.",
		text, quietLoad, quietSteal*100, quietSpin*100)
}

package perf

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/lab"
	"fanout/bench/internal/network"
	"fanout/bench/internal/table"
	"fanout/bench/internal/trial"
	"fanout/functions/store"
)

// floorDir is the folder of the experiment floor; wrkFile in it has wrk's
// results, which is no function.
const (
	floorDir = "floor"
	wrkFile  = "wrk.jsonl"
)

// wrkSeconds is long enough for ten thousand requests or so.
const wrkSeconds = 2

// wrkResult is one line of wrk's.
type wrkResult struct {
	Seq      int       `json:"seq"`
	Requests int       `json:"requests"`
	CPUMS    float64   `json:"cpu_ms"`
	Error    string    `json:"error,omitempty"`
	At       time.Time `json:"at"`
}

// runFloor compares lean with wrk, which neither signs, searches nor checks. If
// wrk is not installed, lean is measured alone.
func runFloor(ctx context.Context, o *Options, f *failures) (err error) {
	s, err := openSession(ctx, o, f, standard(network.None, 1769))
	if err != nil {
		return err
	}
	defer func() { err = s.end(err) }()
	s.header.Plan.Clients = []string{store.Lean}
	runner, err := s.runner(ctx)
	if err != nil {
		return err
	}
	out, err := s.file(floorDir, s.header)
	if err != nil {
		return err
	}
	wrk, err := s.newWrk(o.Workers)
	if err != nil {
		return err
	}
	lean := s.enter(&competitor{
		setting: trial.Setting{Target: runner.Targets[0], Client: store.Lean, Concurrency: o.Workers}, runner: runner, out: out,
	}, o.Rounds)
	for round := range o.Rounds {
		if err := s.measure(ctx, lean, round); err != nil {
			return err
		}
		if err := wrk.measure(ctx, round); err != nil {
			return err
		}
	}
	return nil
}

// wrk reads the same objects by github.com/wg/wrk.
type wrk struct {
	path    string // empty: it is not installed
	workers int
	script  string
	url     string
	out     io.Writer
}

func (s *session) newWrk(workers int) (*wrk, error) {
	path, err := exec.LookPath("wrk")
	if err != nil {
		return &wrk{}, nil
	}
	w := &wrk{path: path, workers: workers, script: filepath.Join(s.Dir, "wrk.lua"), url: s.S3.URL()}
	spec := s.header.Corpus
	lua := fmt.Sprintf("local i = 0\nrequest = function()\n  i = (i + 1) %% %d\n"+
		"  return wrk.format('GET', string.format('/%s/%sobject-%%06d', i))\nend\n", spec.Count, lab.Bucket, spec.Prefix)
	if err := os.WriteFile(w.script, []byte(lua), 0o600); err != nil {
		return nil, fmt.Errorf("write wrk's script: %w", err)
	}
	w.out, err = s.create(floorDir, wrkFile)
	return w, err
}

// measure runs wrk once and files what it says. A run that fails is a line.
func (w *wrk) measure(ctx context.Context, round int) error {
	if w.path == "" {
		return nil
	}
	r := wrkResult{Seq: round, At: time.Now().UTC()}
	cmd := exec.CommandContext(ctx, w.path, "-t1", "-c"+strconv.Itoa(w.workers), fmt.Sprintf("-d%ds", wrkSeconds), "-s", w.script, w.url)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		r.Requests, err = parseWrk(out)
	}
	if err != nil {
		r.Error = fmt.Sprintf("%v:\n%s", err, bytes.TrimSpace(out))
	}
	if cmd.ProcessState != nil {
		r.CPUMS = float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Microseconds()) / 1000
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := w.out.Write(append(line, '\n')); err != nil {
		return hint.Failed("check the disk's free space", "write results: %w", err)
	}
	return nil
}

var wrkRequests = regexp.MustCompile(`(\d+) requests in`)

// parseWrk reads how many requests wrk made, all of them answered well.
func parseWrk(out []byte) (int, error) {
	found := wrkRequests.FindSubmatch(out)
	if found == nil || bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte("Socket errors")) {
		return 0, errors.New("wrk read nothing, or some requests failed")
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil || n == 0 {
		return 0, errors.New("wrk made no request")
	}
	return n, nil
}

// readWrk gives wrk's series of a folder. A last line that was cut off is
// passed over.
func readWrk(dir string) (series, error) {
	var s series
	path := filepath.Join(dir, floorDir, wrkFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read results: %w", err)
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for n, lines := 1, bufio.NewScanner(bytes.NewReader(whole)); lines.Scan(); n++ {
		var r wrkResult
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return s, fmt.Errorf("read results from %s: line %d: %w", path, n, err)
		}
		if r.Error != "" || r.Requests < 1 {
			if s.failed++; s.failed == 1 {
				first, _, _ := strings.Cut(r.Error, "\n")
				s.how = strings.TrimRight(first, ": ")
			}
			continue
		}
		s.cpu, s.rounds = append(s.cpu, r.CPUMS*1000/float64(r.Requests)), append(s.rounds, r.Seq)
	}
	return s, nil
}

type floorRow struct {
	name      string
	this, wrk series
}

var floorColumns = []table.Column[floorRow]{
	{Label: table.Label{Head: "client"}, Left: true, Cell: func(r floorRow) table.Cell { return table.Text(r.name) }},
	{Label: table.Label{Head: "n"}, Cell: func(r floorRow) table.Cell { return table.Int(len(r.this.cpu)) }},
	{Label: table.Label{Head: "CPU", Unit: "µs/object"}, Cell: func(r floorRow) table.Cell { return medianCell(r.this.cpu, 1) }},
	{Label: table.Label{Head: "±"}, Cell: func(r floorRow) table.Cell { return spread(r.this.cpu) }},
	{Label: table.Label{Head: "of wrk"}, Left: true, Cell: func(r floorRow) table.Cell {
		if r.name == "wrk" {
			return table.Text("")
		}
		return ratio(r.this, r.wrk, cpuOf)
	}},
	{Label: table.Label{Head: "failed"}, Left: true, Cell: func(r floorRow) table.Cell { return r.this.failures() }},
}

func printFloor(w io.Writer, dir string) (trial.Header, error) {
	f, err := read(dir, floorDir)
	if err != nil || f.Header.Schema == 0 {
		return f.Header, err
	}
	wrk, err := readWrk(dir)
	if err != nil {
		return f.Header, err
	}
	heading(w, "Floor: lean beside wrk, which does not sign, search or check; %d objects, %d workers, network %s, 1769 MB",
		f.Header.Corpus.Count, workersOf(f.Header), f.Header.Network)
	var rows []floorRow
	if len(wrk.cpu)+wrk.failed > 0 {
		rows = append(rows, floorRow{"wrk", wrk, wrk})
	}
	for _, k := range keys(f) {
		rows = append(rows, floorRow{k.Client, seriesOf(f, k), wrk})
	}
	if err := printTable(w, floorColumns, rows); err != nil {
		return f.Header, err
	}
	if len(rows) > 0 && rows[0].name != "wrk" {
		fmt.Fprintf(w, "wrk is left out: it was not installed (apt-get install wrk).\n\n")
	}
	return f.Header, nil
}

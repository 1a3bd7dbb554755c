package trial

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
	"fanout/functions/store"
)

// Expected is the right answer: what the corpus says, or, where nobody knows
// it, what the first answer said.
type Expected struct {
	Result  string // "": unknown
	Objects int
	Bytes   int64
	Digest  string // "": unknown, and so are Objects and Bytes
}

// Expect works out the right answer for a corpus: the key that holds the
// needle, or the count.
func Expect(spec corpus.Spec, count bool) Expected {
	bytes, digest := spec.Expect()
	result := spec.Key(spec.NeedleObject())
	if count {
		result = strconv.Itoa(spec.Count)
	}
	return Expected{result, spec.Count, bytes, digest.String()}
}

// Step tells where a run is. It is sent before each invocation, with Last nil,
// and after it.
type Step struct {
	Done, Total int           // invocations that give a result line; warm-ups are not counted
	Left        time.Duration // forecast from what was measured so far, warm-ups included
	Setting     Setting
	Start       string
	Last        *Result
}

// Runner measures a plan. All fields but Progress and Guard are required; a
// zero Expected stands for objects that nobody knows: then all answers must agree with the
// first.
type Runner struct {
	Lambda   *awslambda.Client
	Header   Header // with plan, corpus and backend
	Targets  []Target
	Bucket   string
	Expected Expected
	Out      io.Writer // takes the header and the result lines, one Write each
	Progress func(Step)
	Guard    Guard // may be nil: every step is measured

	control *control
	warmed  map[string]map[string]int // by function, then client: the most workers used since its last cold start
}

// restoreWithin bounds what Run does after its end, and after Ctrl-C.
const restoreWithin = 30 * time.Second

// ErrWrongAnswer ends a run in which at least one answer was not true.
var ErrWrongAnswer = errors.New("wrong answer")

// ErrNothingRead ends a run before it begins: there is no object to measure.
var ErrNothingRead = errors.New("no object read")

// Probe asks each contender's largest function once, with the published event,
// and writes into its targets what the answer tells: Published where there are
// no stats, and in Clients the contender's own client where that is none of
// this repository's, which then is the only one to ask it for. An error of the
// function itself leaves its contender unmarked: the run will show it. A
// function that read nothing is [ErrNothingRead].
func (r *Runner) Probe(ctx context.Context) error {
	largest := map[string]Target{}
	for _, t := range r.Targets {
		if t.MemoryMB > largest[t.Contender].MemoryMB {
			largest[t.Contender] = t
		}
	}
	for contender, t := range largest {
		got, err := r.invoke(ctx, Setting{Target: Target{Function: t.Function, Published: true}})
		if err != nil {
			return err
		}
		if got.failure != nil && got.failure.Type != WrongAnswer {
			continue
		}
		stats := got.response.Stats
		if got.failure == nil && (stats != nil && stats.Objects == 0 || stats == nil && r.Header.Plan.Count && got.response.Result == "0") {
			return fmt.Errorf("%w: bucket %s, prefix %q", ErrNothingRead, r.Bucket, r.Header.Corpus.Prefix)
		}
		for i := range r.Targets {
			switch t := &r.Targets[i]; {
			case t.Contender != contender:
			case stats == nil:
				t.Published = true
			case !store.Known(stats.Client):
				t.Clients = []string{stats.Client}
			}
		}
	}
	return nil
}

// Run measures every step of the plan and writes a line for each. A setting
// that fails is a line, too; the errors returned are those that end a run:
// the API cannot be reached, the file cannot be written, ctx ended, or, at the
// very end, [ErrWrongAnswer].
// Configurations that were changed for cold starts are changed back, whatever
// the end.
func (r *Runner) Run(ctx context.Context) (err error) {
	r.Header.Schema = schema
	if err := writeLine(r.Out, r.Header); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	steps := r.Header.Plan.schedule(r.Targets)
	pace := newPace(steps, r.Expected.Objects)
	progress := Step{Total: len(steps)}
	// Also after Ctrl-C, which is then not to be waited for long.
	defer func() {
		if undoErr := r.Restore(ctx); undoErr != nil {
			err = errors.Join(err, undoErr)
		}
	}()
	var wrong []string
	for _, s := range steps {
		switch r.decide(s) {
		case Stop:
			return wrongAnswers(wrong, progress.Done)
		case Skip:
			progress.Done++
			pace.skipped()
			continue
		}
		progress.Setting, progress.Start, progress.Last = s.setting, s.start, nil
		progress.Left = pace.left()
		r.report(progress)
		began := time.Now()
		results, err := r.Measure(ctx, s.setting, s.start, s.seq)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		for i := range results {
			if err := writeLine(r.Out, results[i]); err != nil {
				return fmt.Errorf("write results: %w", err)
			}
			if results[i].ErrorType == WrongAnswer {
				wrong = append(wrong, results[i].Function+": "+results[i].Error)
			}
			if r.Guard != nil {
				r.Guard.Measured(s.setting, results[i])
			}
			progress.Last = &results[i]
		}
		progress.Done++
		pace.measured(time.Since(began))
		progress.Left = pace.left()
		r.report(progress)
	}
	return wrongAnswers(wrong, len(steps))
}

func wrongAnswers(wrong []string, of int) error {
	if len(wrong) > 0 {
		return fmt.Errorf("%w in %d of %d invocations; first %s", ErrWrongAnswer, len(wrong), of, wrong[0])
	}
	return nil
}

// Restore changes the configurations back that were changed for cold starts,
// also where ctx has ended.
func (r *Runner) Restore(ctx context.Context) error {
	if r.control == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreWithin)
	defer cancel()
	return r.control.restore(ctx)
}

func (r *Runner) report(s Step) {
	if r.Progress != nil {
		r.Progress(s)
	}
}

// coldTries is how often a warm invocation is tried when it meets a cold
// process, which AWS is free to give it.
const coldTries = 3

// Measure makes one invocation of the wanted start and gives its line, numbered
// seq; a warm one that met a cold process is a line of its own, called what it
// was. Whoever calls it directly must call Restore in the end.
func (r *Runner) Measure(ctx context.Context, setting Setting, start string, seq int) ([]Result, error) {
	s := step{setting, start, seq}
	if r.control == nil {
		r.control, r.warmed = newControl(r.Lambda), map[string]map[string]int{}
	}
	if s.start == Cold {
		if err := r.control.forceCold(ctx, s.setting.Target.Function); err != nil {
			return nil, err
		}
		delete(r.warmed, s.setting.Target.Function)
	} else if warmup, needed := r.warmup(s.setting); needed {
		got, err := r.invoke(ctx, warmup)
		if err != nil {
			return nil, err
		}
		if got.failure != nil { // what cannot be warmed up cannot be measured
			return []Result{r.line(s, got)}, nil
		}
		r.noteWarm(warmup)
	}
	var lines []Result
	for range coldTries {
		got, err := r.invoke(ctx, s.setting)
		if err != nil {
			return nil, err
		}
		lines = append(lines, r.line(s, got))
		if got.failure != nil {
			delete(r.warmed, s.setting.Target.Function) // the process may be gone
			break
		}
		r.noteWarm(s.setting)
		if s.start == Cold || !got.report.Cold() {
			break
		}
	}
	return lines, nil
}

// warmup gives the invocation that must come before a warm one: with as many
// connections as it will use, since a fresh connection costs a handshake. The
// sequential baseline needs one connection only, so any will do, and it is
// warmed up by many workers to be quick.
func (r *Runner) warmup(s Setting) (Setting, bool) {
	most := r.warmed[s.Target.Function][s.Client]
	if most > 0 && (s.Target.Published || most >= max(s.Concurrency, 1)) {
		return s, false
	}
	if s.sequential() {
		s.Concurrency = Auto
	}
	return s, true
}

func (r *Runner) noteWarm(s Setting) {
	if r.warmed[s.Target.Function] == nil {
		r.warmed[s.Target.Function] = map[string]int{}
	}
	clients := r.warmed[s.Target.Function]
	clients[s.Client] = max(clients[s.Client], s.Concurrency, 1)
}

// invocation is what came back.
type invocation struct {
	at        time.Time
	roundtrip time.Duration
	report    lambda.Report
	cpuMS     *float64
	limits    lambda.Limits
	note      string
	response  response
	failure   *fetch.Error // the function's, not the API's
}

// response is what any contender answers; ours adds stats.
type response struct {
	Result string       `json:"result"`
	Stats  *fetch.Stats `json:"stats"`
}

func (r *Runner) invoke(ctx context.Context, s Setting) (invocation, error) {
	event := fetch.Event{Bucket: r.Bucket, Folder: r.Header.Corpus.Prefix, Client: s.Client}
	if !r.Header.Plan.Count {
		event.Find = &r.Header.Corpus.Needle
	}
	if s.Concurrency != Auto {
		event.Concurrency = &s.Concurrency
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return invocation{}, err
	}
	got := invocation{at: time.Now()}
	out, err := r.Lambda.Invoke(ctx, &awslambda.InvokeInput{
		FunctionName: &s.Target.Function, Payload: payload, LogType: types.LogTypeTail,
	}, onlyThrottled)
	got.roundtrip = time.Since(got.at)
	if err != nil {
		return got, fmt.Errorf("invoke %s: %w", s.Target.Function, err)
	}
	if raw, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response); ok {
		got.fromSandbox(raw.Header)
	}
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		return got, fmt.Errorf("invoke %s: log tail: %w", s.Target.Function, err)
	}
	got.report, err = lambda.ParseReport(string(tail))
	if errors.Is(err, lambda.ErrNoReport) {
		got.note = "no REPORT line: duration is the round trip"
	} else if err != nil {
		return got, fmt.Errorf("invoke %s: log tail: %w", s.Target.Function, err)
	} else if !got.report.Known.Has(lambda.Duration) {
		got.note = "no Duration in the REPORT line: it is the round trip"
	}
	if !got.report.Known.Has(lambda.Duration) {
		got.report.DurationMS = lambda.Milliseconds(got.roundtrip)
	}
	if r.Guard != nil {
		r.Guard.Invoked(s, max(got.report.BilledMS, got.report.DurationMS))
	}
	if out.FunctionError != nil {
		got.failure = failureOf(out.Payload)
		return got, nil
	}
	if err := json.Unmarshal(out.Payload, &got.response); err != nil {
		got.failure = &fetch.Error{Type: WrongAnswer, Message: "not an answer", Err: err}
		return got, nil
	}
	got.failure = r.check(got.response)
	return got, nil
}

// fromSandbox takes what only the sandbox can tell.
func (i *invocation) fromSandbox(h http.Header) {
	i.limits = lambda.ParseLimits(h.Get("X-Fanout-Limits"))
	if ms, err := strconv.ParseFloat(h.Get("X-Fanout-Cpu-Ms"), 64); err == nil {
		i.cpuMS = &ms
	}
}

func failureOf(payload []byte) *fetch.Error {
	e := lambda.ParseError(payload)
	return &fetch.Error{Type: e.Type, Message: e.Message}
}

// check compares an answer with the truth, and takes from it what is not known
// yet; nil: right.
func (r *Runner) check(got response) *fetch.Error {
	wrong := func(what string, got, want any) *fetch.Error {
		return &fetch.Error{Type: WrongAnswer, Message: fmt.Sprintf("%s %v, want %v", what, got, want)}
	}
	want, s := &r.Expected, got.Stats
	if want.Result == "" {
		want.Result = got.Result
	}
	if want.Digest == "" && s != nil {
		want.Objects, want.Bytes, want.Digest = s.Objects, s.Bytes, s.Digest
	}
	switch {
	case got.Result != want.Result:
		return wrong("result", got.Result, want.Result)
	case s == nil:
		return nil
	case s.Objects != want.Objects:
		return wrong("objects", s.Objects, want.Objects)
	case s.Bytes != want.Bytes:
		return wrong("bytes", s.Bytes, want.Bytes)
	case s.Digest != want.Digest:
		return wrong("digest", s.Digest, want.Digest)
	case s.Errors != 0:
		return wrong("errors", s.Errors, 0)
	}
	return nil
}

func (r *Runner) line(s step, got invocation) Result {
	t := s.setting.Target
	line := Result{
		Run: r.Header.Run, Backend: r.Header.Backend, Host: r.Header.Host,
		Contender: t.Contender, Function: t.Function, MemoryMB: t.MemoryMB, Arch: t.Arch,
		Client: s.setting.Client, Concurrency: s.setting.Concurrency, Start: s.start, Seq: s.seq,
		OK: got.failure == nil, InitMS: got.report.InitMS, DurationMS: got.report.DurationMS,
		BilledMS: got.report.BilledMS, MaxMemoryMB: int(got.report.MaxMemoryMB),
		RoundtripMS: lambda.Milliseconds(got.roundtrip),
		ProcessMS:   got.cpuMS, Limits: got.limits, Note: got.note, Stats: got.response.Stats, At: got.at.UTC(),
	}
	if got.failure != nil {
		line.ErrorType, line.Error = got.failure.Type, got.failure.Error()
	}
	if line.OK { // whatever was wanted: a failed start may leave no trace
		line.Start = Warm
		if got.report.Cold() {
			line.Start = Cold
		}
	}
	return line
}

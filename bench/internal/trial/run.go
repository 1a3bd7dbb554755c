package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"fanout/bench/internal/deployed"
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
	e, _ := ExpectWithin(context.Background(), spec, count, nil) // without an end of ctx it cannot fail
	return e
}

// ExpectWithin is [Expect] of a corpus that takes its time: 2 GB a second on two
// cores. It ends with ctx's error soon after ctx does. progress, unless nil,
// hears how many objects are done, from one goroutine at a time.
func ExpectWithin(ctx context.Context, spec corpus.Spec, count bool, progress func(done, total int)) (Expected, error) {
	all, err := spec.ExpectOf(ctx, 0, spec.Count, progress)
	if err != nil {
		return Expected{}, err
	}
	result := spec.Key(spec.NeedleObject())
	if count {
		result = strconv.Itoa(spec.Count)
	}
	return Expected{result, all.Objects, all.Bytes, all.Digest.String()}, nil
}

// Step tells where a run is. It is sent before each invocation, with Last nil,
// and after it.
type Step struct {
	Done, Total int           // invocations that give a result line; warm-ups are not counted
	Left        time.Duration // forecast from what was measured so far, warm-ups included; 0: unknown, or none
	Setting     Setting
	Start       string
	Last        *Result
}

// Lambda is what a [Runner] calls of the Lambda API; *lambda.Client of the SDK
// is one.
type Lambda interface {
	Invoker
	deployed.Configurer
}

// Runner measures a plan.
type Runner struct {
	Lambda  Lambda
	Header  Header // with plan, corpus and backend
	Targets []Target
	Bucket  string
	Out     io.Writer // takes the header and the result lines, one Write each

	// Events are the caller's own, and then the functions are asked nothing else;
	// the plan says the same of them.
	Events []Event

	// Expected may be zero: nobody knows the objects, and all answers must agree
	// with the first.
	Expected Expected
	Progress func(Step) // may be nil
	Guard    Guard      // may be nil: every step is measured

	// Sample, unless nil, is what the probe and the warm-ups read instead of all
	// objects, where these take long.
	Sample *Sample

	// KeepGoing measures a contender whose answer to the probe is wrong, too.
	KeepGoing bool

	control  *deployed.Control
	pause    func(context.Context, time.Duration) error // nil: wait
	warmed   map[string]map[string]int                  // by function, then client: the most workers used since its last cold start
	failing  map[string]int                             // by function: invocations in a row that the API failed
	notCold  map[string]bool                            // functions whose cold starts cannot be forced
	warnings []string                                   // for the closing line
	first    map[int][]byte                             // the first answer to each of Events
}

// Sample is some of the objects.
type Sample struct {
	Prefix   string // of their keys
	Expected Expected
}

// restoreWithin and, at the pace of AWS's control plane, restoreEach a function
// bound what Run does after its end, and after Ctrl-C.
const (
	restoreWithin = 30 * time.Second
	restoreEach   = time.Second
)

// ErrWrongAnswer ends a run in which at least one answer was not true.
var ErrWrongAnswer = errors.New("wrong answer")

// WrongContender ends a run before anything is measured: a contender's answer to
// the probe is wrong. It is an [ErrWrongAnswer].
type WrongContender struct {
	Contender, Function string
	Answered            string // and what was expected
}

func (e *WrongContender) Error() string {
	return fmt.Sprintf("%v from contender %s, asked once before anything is measured: %s: %s",
		ErrWrongAnswer, e.Contender, e.Function, e.Answered)
}

func (*WrongContender) Unwrap() error { return ErrWrongAnswer }

// ErrNothingRead ends a run before it begins: there is no object to measure.
var ErrNothingRead = errors.New("no object read")

// errInterrupted is that ctx ended.
var errInterrupted = errors.New("interrupted")

// prepare makes what a runner remembers.
func (r *Runner) prepare() {
	if r.control == nil {
		var pace float64
		if r.Header.Backend == AWS {
			pace = deployed.CallsPerSecond
		}
		r.control, r.warmed = deployed.NewControl(r.Lambda, pace), map[string]map[string]int{}
		r.failing, r.notCold = map[string]int{}, map[string]bool{}
	}
	if r.pause == nil {
		r.pause = wait
	}
}

// warn notes something for the closing line.
func (r *Runner) warn(format string, args ...any) {
	text := cut(fmt.Sprintf(format, args...), maxTextBytes)
	if !slices.Contains(r.warnings, text) && len(r.warnings) < maxWarnings {
		r.warnings = append(r.warnings, text)
	}
}

// maxWarnings bounds a closing line.
const maxWarnings = 100

// Probe asks each contender's largest function that can be reached, once, with
// the published event, and writes into its targets what the answer tells:
// Published where there are no stats, and in Clients the contender's own client
// where that is none of this repository's, which then is the only one to ask it
// for. An error of the function itself leaves its contender unmarked: the run
// will show it. A function that read nothing is [ErrNothingRead], and an
// answer that is wrong a [*WrongContender], unless KeepGoing.
func (r *Runner) Probe(ctx context.Context) error {
	r.prepare()
	contenders := map[string][]Target{}
	for _, t := range r.Targets {
		contenders[t.Contender] = append(contenders[t.Contender], t)
	}
	for _, contender := range slices.Sorted(maps.Keys(contenders)) {
		targets := contenders[contender]
		slices.SortStableFunc(targets, func(a, b Target) int { return b.MemoryMB - a.MemoryMB })
		for _, t := range targets {
			got, answer, err := r.invoke(ctx, Setting{
				Target: Target{Function: t.Function, MemoryMB: t.MemoryMB, Arch: t.Arch, Published: true}, sample: r.Sample != nil,
			})
			if err != nil {
				return err
			}
			if got.FromAPI {
				continue // another of its functions may be well
			}
			if got.Failure == nil && !r.Header.Plan.Own() && r.readNothing(answer) {
				return fmt.Errorf("%w: bucket %s, prefix %q", ErrNothingRead, r.Bucket, r.Header.Corpus.Prefix)
			}
			wrong := got.Failure != nil && got.Failure.Type == WrongAnswer
			if wrong && !r.KeepGoing {
				return &WrongContender{contender, t.Function, got.Failure.Message}
			}
			if got.Failure == nil || wrong {
				r.mark(contender, answer.Stats)
			}
			if err := r.probeAgain(ctx, contender, t, got); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// probeAgain sends the first of the caller's own events once more, where the
// first answer to an event is the right one: a function that answers differently
// each time cannot be measured so.
func (r *Runner) probeAgain(ctx context.Context, contender string, t Target, before Invocation) error {
	if !r.Header.Plan.Own() || r.Header.Plan.Expect != ExpectFirst || before.Failure != nil || r.KeepGoing {
		return nil
	}
	got, _, err := r.invoke(ctx, Setting{Target: t})
	if err == nil && got.Failure != nil && got.Failure.Type == WrongAnswer {
		return &WrongContender{contender, t.Function, got.Failure.Message}
	}
	return err
}

// readNothing says whether a right answer tells that there was no object to
// read: by its stats, or, without them, by its count.
func (r *Runner) readNothing(a Answer) bool {
	if a.Stats != nil {
		return a.Stats.Objects == 0
	}
	return r.Header.Plan.Count && a.Result != nil && *a.Result == "0"
}

// mark notes in a contender's targets what its answer tells.
func (r *Runner) mark(contender string, stats *fetch.Stats) {
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

// Run measures every step of the plan and writes a line for each, between the
// header and a closing line that says why the run ended. A setting that fails is
// a line, too, and so is an invocation that the API fails: a function for which
// it does so again and again is left out from then on. The errors returned are
// those that end a run: no valid credentials, the file cannot be written, ctx
// ended, what Probe gives, or, at the very end, [ErrWrongAnswer].
// Configurations that were changed for cold starts are changed back, whatever
// the end.
func (r *Runner) Run(ctx context.Context) error {
	r.prepare()
	r.Header.Schema = schema
	if err := writeLine(r.Out, r.Header); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	err := r.steps(ctx)
	if ctx.Err() != nil {
		err = errInterrupted
	}
	// Also after Ctrl-C, which is then not to be waited for long.
	undoErr := r.Restore(ctx)
	if undoErr != nil {
		r.warn("%v", undoErr)
	}
	if endErr := writeLine(r.Out, r.end(err)); endErr != nil {
		err = errors.Join(err, fmt.Errorf("write results: %w", endErr))
	}
	if err != nil && undoErr != nil {
		return fmt.Errorf("%w; %w", err, undoErr)
	}
	return errors.Join(err, undoErr)
}

// steps makes the plan's steps, up to the first error that ends the run.
func (r *Runner) steps(ctx context.Context) error {
	if err := r.Probe(ctx); err != nil {
		return err
	}
	for _, t := range r.Targets {
		if t.Fixed && r.Header.Plan.Cold > 0 {
			r.warn("no cold starts of %s were forced: it is an alias or a published version, whose configuration cannot be changed; "+
				"a cold start that Lambda makes by itself is a line of its own", t.Function)
		}
	}
	steps := r.Header.Plan.schedule(r.Targets)
	pace := newPace(steps, r.Guess)
	progress := Step{Total: len(steps)}
	var wrong []string
	for _, s := range steps {
		progress.Last = nil
		switch r.decide(s) {
		case Stop:
			return wrongAnswers(wrong, progress.Done)
		case Skip:
			progress.Done++
			pace.skipped()
			continue
		}
		progress.Setting, progress.Start, progress.Left = s.setting, s.start, pace.left()
		r.report(progress)
		began := time.Now()
		results, err := r.Measure(ctx, s.setting, s.start, s.seq)
		if err != nil {
			return err
		}
		for i := range results {
			if err := r.record(s, results[i]); err != nil {
				return err
			}
			if results[i].ErrorType == WrongAnswer {
				wrong = append(wrong, results[i].Function+": "+results[i].Error)
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

// record writes a line, and tells the guard of it.
func (r *Runner) record(s step, line Result) error {
	if err := writeLine(r.Out, line); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if r.Guard != nil {
		r.Guard.Measured(s.setting, line)
	}
	return nil
}

func wrongAnswers(wrong []string, of int) error {
	if len(wrong) > 0 {
		return fmt.Errorf("%w in %d of %d invocations; first %s", ErrWrongAnswer, len(wrong), of, wrong[0])
	}
	return nil
}

// end is the closing line of a run that ended with err.
func (r *Runner) end(err error) End {
	e := End{Reason: Complete}
	if r.Guard != nil {
		if bounds := r.Guard.End(); bounds.Reason != "" {
			e = bounds
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrWrongAnswer):
		e.Reason, e.Text = WrongAnswers, err.Error()
	case errors.Is(err, errInterrupted):
		e = End{Reason: Interrupted}
	default:
		e = End{Reason: Failed, Text: err.Error()}
	}
	e.Text, e.Warnings, e.At = cut(e.Text, maxTextBytes), r.warnings, time.Now().UTC()
	return e
}

// Restore changes the configurations back that were changed for cold starts,
// also where ctx has ended.
func (r *Runner) Restore(ctx context.Context) error {
	if r.control == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreWithin+time.Duration(len(r.Targets))*restoreEach)
	defer cancel()
	return r.control.Restore(ctx)
}

func (r *Runner) report(s Step) {
	if r.Progress != nil {
		r.Progress(s)
	}
}

// giveUpAfter is how many invocations of a function in a row the API may fail.
// Each was tried as often as makes sense.
const giveUpAfter = 3

// decide says whether a step can and should be measured.
func (r *Runner) decide(s step) Decision {
	function := s.setting.Target.Function
	if r.failing[function] >= giveUpAfter || s.start == Cold && r.notCold[function] {
		return Skip
	}
	if r.Guard == nil {
		return Go
	}
	return r.Guard.Before(s.setting, s.start)
}

// coldTries is how often a warm invocation is tried when it meets a cold
// process, which AWS is free to give it.
const coldTries = 3

// Measure makes one invocation of the wanted start and gives its line, numbered
// seq; a warm one that met a cold process is a line of its own, called what it
// was. There is no line where a cold start could not be forced: the closing line
// says why. Whoever calls it directly must call Restore in the end.
func (r *Runner) Measure(ctx context.Context, setting Setting, start string, seq int) ([]Result, error) {
	r.prepare()
	if r.Header.Plan.Own() {
		setting.event = eventOf(r.Events, seq)
	}
	s := step{setting, start, seq}
	function := setting.Target.Function
	if s.start == Cold {
		if ok, err := r.forceCold(ctx, function); !ok || err != nil {
			return nil, err
		}
	} else if warmup, needed := r.warmup(s.setting); needed {
		got, answer, err := r.invoke(ctx, warmup)
		if err != nil {
			return nil, err
		}
		if got.Failure != nil { // what cannot be warmed up cannot be measured
			return []Result{r.line(s, got, answer)}, nil
		}
		r.noteWarm(warmup)
	}
	var lines []Result
	for range coldTries {
		got, answer, err := r.invoke(ctx, s.setting)
		if err != nil {
			return nil, err
		}
		line := r.line(s, got, answer)
		lines = append(lines, line)
		if got.Failure != nil {
			delete(r.warmed, function) // the process may be gone
			break
		}
		r.noteWarm(s.setting)
		if s.start == Cold || line.Start != Cold {
			break
		}
	}
	return lines, nil
}

// forceCold makes the function's next start a cold one. Where that cannot be,
// the function loses its cold starts only.
func (r *Runner) forceCold(ctx context.Context, function string) (ok bool, err error) {
	err = r.control.ForceCold(ctx, function)
	delete(r.warmed, function)
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case faultOf(err) == refused:
		return false, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	r.notCold[function] = true
	r.warn("no cold starts of %s (--cold 0 does without): %v", function, err)
	return false, nil
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
	s.sample = r.Sample != nil
	return s, true
}

func (r *Runner) noteWarm(s Setting) {
	if r.warmed[s.Target.Function] == nil {
		r.warmed[s.Target.Function] = map[string]int{}
	}
	clients := r.warmed[s.Target.Function]
	clients[s.Client] = max(clients[s.Client], s.Concurrency, 1)
}

// invoke invokes a setting's function with its event, and checks the answer.
func (r *Runner) invoke(ctx context.Context, s Setting) (Invocation, Answer, error) {
	payload, err := r.payload(s)
	if err != nil {
		return Invocation{}, Answer{}, err
	}
	got, err := invoke(ctx, r.Lambda, s.Target.Function, payload, r.pause)
	if err != nil {
		return got, Answer{}, err
	}
	if r.Guard != nil {
		r.Guard.Invoked(s, lambda.Milliseconds(got.Lost)+max(got.Report.BilledMS, got.Report.DurationMS))
	}
	r.noteFailing(s.Target.Function, got)
	if got.Failure != nil {
		return got, Answer{}, nil
	}
	var answer Answer
	if r.Header.Plan.Own() {
		err = r.checkOwn(s.event, got.Payload)
	} else if answer, err = ParseAnswer(got.Payload); err == nil {
		want := &r.Expected
		if s.sample {
			want = &r.Sample.Expected
		}
		err = want.check(answer)
	}
	if err != nil {
		got.Failure = &lambda.Error{Type: WrongAnswer, Message: err.Error()}
	}
	return got, answer, nil
}

// payload is the event that a setting's function gets.
func (r *Runner) payload(s Setting) ([]byte, error) {
	if r.Header.Plan.Own() {
		return r.Events[s.event].Payload, nil
	}
	event := fetch.Event{Bucket: r.Bucket, Folder: r.Header.Corpus.Prefix, Client: s.Client}
	if s.sample {
		event.Folder = r.Sample.Prefix
	}
	if !r.Header.Plan.Count {
		event.Find = &r.Header.Corpus.Needle
	}
	if s.Concurrency != Auto {
		event.Concurrency = &s.Concurrency
	}
	return json.Marshal(event)
}

// noteFailing counts what the API fails in a row.
func (r *Runner) noteFailing(function string, got Invocation) {
	if !got.FromAPI {
		delete(r.failing, function)
		return
	}
	if r.failing[function]++; r.failing[function] == giveUpAfter {
		r.warn("%s was left out after %d invocations in a row that the Lambda API failed; the last: %s: %s",
			function, giveUpAfter, got.Failure.Type, got.Failure.Message)
	}
}

// check compares an answer with the truth, and takes from it what is not known
// yet; nil: right.
func (want *Expected) check(got Answer) error {
	wrong := func(what string, got, want any) error {
		return fmt.Errorf("%s %s, want %v", what, cut(fmt.Sprint(got), maxTextBytes/2), want)
	}
	s := got.Stats
	if want.Result == "" {
		want.Result = *got.Result
	}
	if want.Digest == "" && s != nil {
		want.Objects, want.Bytes, want.Digest = s.Objects, s.Bytes, s.Digest
	}
	switch {
	case *got.Result != want.Result:
		return wrong("result", *got.Result, want.Result)
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

func (r *Runner) line(s step, got Invocation, answer Answer) Result {
	t := s.setting.Target
	line := Result{
		Run: r.Header.Run, Backend: r.Header.Backend, Host: r.Header.Host,
		Contender: t.Contender, Function: t.Function, MemoryMB: t.MemoryMB, Arch: t.Arch,
		Client: s.setting.Client, Concurrency: s.setting.Concurrency, Start: startOf(s.start, got, answer.Stats), Seq: s.seq,
		OK: got.Failure == nil, InitMS: got.Report.InitMS + got.Report.RestoreMS, DurationMS: got.Report.DurationMS,
		BilledMS: got.Report.BilledMS, MaxMemoryMB: int(got.Report.MaxMemoryMB),
		RoundtripMS: lambda.Milliseconds(got.Roundtrip), APIRetries: got.Retries,
		ProcessMS: got.ProcessMS, Limits: got.Limits, Runtime: got.Runtime, RanBy: got.RanBy,
		Note: got.Note, Stats: answer.Stats, At: got.At.UTC(),
	}
	if len(r.Events) > 1 {
		line.Event = r.Events[s.setting.event].Name
	}
	if f := got.Failure; f != nil {
		line.ErrorType, line.Error, line.Log = f.Type, f.Message, got.Log
	}
	line.bound()
	return line
}

// startOf says whether an invocation's process was new, by all that tells: the
// records of INIT and restore in the log, the function's own word, and what was
// asked for. An INIT of over 10 s, a snapshot, and logs that leave the report or
// its Init Duration out make Lambda's own word alone too little.
func startOf(asked string, got Invocation, stats *fetch.Stats) string {
	switch own := stats != nil && store.Known(stats.Client); {
	case got.Report.Cold(), stats != nil && stats.Cold:
		return Cold
	case got.Failure != nil:
		return asked // a failed start may leave no trace
	case own:
		return Warm // its process had invocations before
	case asked == Cold && stats == nil:
		return Cold // an update ends every process that there was
	case asked == Cold:
		return Unknown // a stranger's word stands against what was asked for
	case stats != nil, got.wholeLog(), got.hasReportLine():
		return Warm
	}
	return Unknown
}

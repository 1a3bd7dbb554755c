package states

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the service
// (docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html).
const (
	// MaxData is the most bytes that a state's input or output may have, and
	// an execution's: 256 KiB.
	MaxData = 256 << 10
	// maxDefinition is the most bytes of a definition: 1 MiB.
	maxDefinition = 1 << 20
	maxStateName  = 80
	maxLabel      = 40
	maxSeconds    = 99999999
	maxDelay      = 31622400
	maxItems      = 100_000_000 // that a Distributed Map reads
)

// machine is a workflow: that of a state machine, or what a Map runs for each
// item.
type machine struct {
	startAt string
	timeout int64 // seconds; 0: none
	states  map[string]*state

	mode string // of a Map's: INLINE or DISTRIBUTED
	kind string // of a DISTRIBUTED one's children: EXPRESS or STANDARD
}

// state is one of a workflow's. Fields that its type does not have are empty.
type state struct {
	name, kind string
	next       string
	end        bool

	inputPath, outputPath, resultPath *path
	noInput, noOutput, noResult       bool // the path is null
	parameters, selector              template
	retry                             []retrier
	catch                             []catcher

	result      any // Pass
	hasResult   bool
	errorName   string // Fail
	cause       string
	errorPath   *path
	causePath   *path
	rules       []rule // Choice
	otherwise   string
	task        taskKind // Task
	timeout     *int64   // seconds
	timeoutPath *path
	distributed *distributed // Map
	inline      *inline
}

// taskKind is what a Task calls.
type taskKind string

const (
	invokeTask         taskKind = "lambda:invoke"
	describeMapRunTask taskKind = "aws-sdk:sfn:describeMapRun"
)

type retrier struct {
	names       []string
	interval    float64 // seconds
	backoff     float64
	maxDelay    float64 // seconds; 0: no bound
	maxAttempts int64
	jitter      bool
}

type catcher struct {
	names      []string
	next       string
	resultPath *path
	noResult   bool
}

// iterated is what both kinds of Map have.
type iterated struct {
	itemsPath *path
	selector  template // ItemSelector
	processor *machine
}

type inline struct {
	iterated
	concurrency setting
}

// setting is a number that the definition has, or that a path leads to.
type setting struct {
	value float64
	path  *path
	set   bool
	most  float64
	whole bool
	name  string
}

// in gives the setting's value for an input.
func (n setting) in(s scope) (float64, error) {
	if n.path == nil {
		return n.value, nil
	}
	v, err := s.follow(*n.path)
	if err != nil {
		return 0, err
	}
	if v, err = plain(v); err != nil {
		return 0, fail(errRuntime, "%v", err)
	}
	f, ok := number(v)
	kind := "number"
	if n.whole {
		ok, kind = ok && f == math.Trunc(f), "whole number"
	}
	if !ok || f < 0 || f > n.most {
		return 0, fail(errRuntime, "The %sPath field refers to value \"%s\": it must be a %s from 0 to %g", n.name, excerpt(v), kind, n.most)
	}
	return f, nil
}

// takeSetting reads NAME or NAMEPath.
func takeSetting(f *fields, name string, whole bool, most float64) setting {
	n := setting{name: name, most: most, whole: whole, set: f.has(name) || f.has(name+"Path")}
	n.path = f.path(name + "Path")
	if n.path != nil && f.has(name) {
		f.failf(name, "stands beside %sPath", name)
	}
	if whole {
		if v := f.integer(name, 0, int64(most)); v != nil {
			n.value = float64(*v)
		}
	} else if v := f.float(name, 0, most); v != nil {
		n.value = *v
	}
	return n
}

// parse reads a definition and refuses what this package would not run as the
// service does. Errors are *[definitionError].
func parse(text string) (*machine, error) {
	if len(text) > maxDefinition {
		return nil, &definitionError{"/", "INVALID_JSON_DESCRIPTION", fmt.Sprintf("the definition is larger than %d bytes", maxDefinition)}
	}
	v, err := decodeValue([]byte(text))
	if err != nil {
		return nil, &definitionError{"/", "INVALID_JSON_DESCRIPTION", err.Error()}
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, &definitionError{"/", "INVALID_JSON_DESCRIPTION", "the definition must be an object"}
	}
	if at := duplicate(json.NewDecoder(strings.NewReader(text)), ""); at != "" {
		return nil, &definitionError{at, "INVALID_JSON_DESCRIPTION", "the field is there twice"}
	}
	f := newFields(m, "", &err)
	machine := parseMachine(f, nil)
	if f.oneOf("Version", "1.0"); err == nil {
		f.done()
	}
	if err != nil {
		return nil, err
	}
	return machine, nil
}

// duplicate gives the path of the first field that an object has twice, of
// which only the last would be seen; empty: there is none. The text is JSON.
func duplicate(d *json.Decoder, at string) string {
	token, _ := d.Token()
	seen := map[string]bool{}
	for i := 0; (token == json.Delim('{') || token == json.Delim('[')) && d.More(); i++ {
		inside := fmt.Sprintf("%s[%d]", at, i)
		if token == json.Delim('{') {
			name, _ := d.Token()
			inside = fmt.Sprintf("%s/%s", at, name)
			if seen[inside] {
				return inside
			}
			seen[inside] = true
		}
		if found := duplicate(d, inside); found != "" {
			return found
		}
	}
	if _, ok := token.(json.Delim); ok {
		_, _ = d.Token() // its end
	}
	return ""
}

// inside is where a workflow stands that a Map runs.
type inside struct {
	distributed bool
}

func parseMachine(f *fields, in *inside) *machine {
	m := &machine{states: map[string]*state{}}
	f.str("Comment")
	f.oneOf("QueryLanguage", "JSONPath")
	m.startAt = f.required("StartAt")
	if in == nil {
		if t := f.integer("TimeoutSeconds", 1, maxSeconds); t != nil {
			m.timeout = *t
		}
	}
	states := f.object("States")
	if states == nil || len(states.m) == 0 {
		f.failf("States", "needs a state at least")
		return m
	}
	for _, name := range slices.Sorted(maps.Keys(states.m)) {
		if name == "" || utf8.RuneCountInString(name) > maxStateName {
			states.failf(name, "the name of a state has 1 to %d characters", maxStateName)
		}
		m.states[name] = parseState(states.object(name), name, in)
	}
	if *f.err == nil {
		checkTransitions(f, m)
	}
	return m
}

// checkTransitions sees that each state leads to another that there is, and
// that all can be reached.
func checkTransitions(f *fields, m *machine) {
	reached := map[string]bool{}
	var visit func(from, name string)
	visit = func(from, name string) {
		s := m.states[name]
		if s == nil {
			if *f.err == nil {
				*f.err = &definitionError{f.at + from, "MISSING_TRANSITION_TARGET", fmt.Sprintf("there is no state %q", name)}
			}
			return
		}
		if reached[name] {
			return
		}
		reached[name] = true
		at := "/States/" + name
		if s.next != "" {
			visit(at+"/Next", s.next)
		}
		if s.otherwise != "" {
			visit(at+"/Default", s.otherwise)
		}
		for i, r := range s.rules {
			visit(fmt.Sprintf("%s/Choices[%d]/Next", at, i), r.next)
		}
		for i, c := range s.catch {
			visit(fmt.Sprintf("%s/Catch[%d]/Next", at, i), c.next)
		}
	}
	visit("/StartAt", m.startAt)
	for _, name := range slices.Sorted(maps.Keys(m.states)) {
		if !reached[name] && *f.err == nil {
			*f.err = &definitionError{f.at + "/States/" + name, "MISSING_TRANSITION_TARGET", "no transition leads to the state"}
		}
	}
}

func parseState(f *fields, name string, in *inside) *state {
	s := &state{name: name}
	s.kind = f.oneOf("Type", "", "Choice", "Fail", "Map", "Pass", "Succeed", "Task")
	f.str("Comment")
	f.oneOf("QueryLanguage", "JSONPath")
	if s.kind != "Fail" {
		s.inputPath, s.noInput = f.optionalPath("InputPath")
		s.outputPath, s.noOutput = f.optionalPath("OutputPath")
	}
	if s.kind == "Pass" || s.kind == "Task" || s.kind == "Map" {
		s.next, s.end = f.str("Next"), f.boolean("End")
		if s.end == (s.next != "") {
			f.failf("Next", "a state has either Next or End: true")
		}
		s.resultPath, s.noResult = f.optionalPath("ResultPath")
		checkResultPath(f, "ResultPath", s.resultPath)
	}
	if s.kind == "Task" || s.kind == "Map" {
		s.selector = f.template("ResultSelector")
		s.retry, s.catch = parseRetry(f), parseCatch(f)
	}
	switch s.kind {
	case "Choice":
		for _, r := range f.objects("Choices") {
			s.rules = append(s.rules, parseRule(r, true))
		}
		if len(s.rules) == 0 {
			f.failf("Choices", "needs a rule at least")
		}
		s.otherwise = f.str("Default")
	case "Pass":
		s.parameters = f.template("Parameters")
		s.result, s.hasResult = f.take("Result"), f.has("Result")
	case "Fail":
		s.errorName, s.cause = f.str("Error"), f.str("Cause")
		s.errorPath, s.causePath = f.path("ErrorPath"), f.path("CausePath")
		if s.errorName != "" && s.errorPath != nil {
			f.failf("ErrorPath", "stands beside Error")
		}
		if s.cause != "" && s.causePath != nil {
			f.failf("CausePath", "stands beside Cause")
		}
	case "Task":
		parseTask(f, s)
	case "Map":
		parseMap(f, s, in)
	case "":
		f.failf("Type", "is required")
	}
	f.done()
	return s
}

// checkResultPath refuses a path that a result cannot be put at.
func checkResultPath(f *fields, name string, p *path) {
	if p == nil {
		return
	}
	if p.context || slices.ContainsFunc(p.steps, func(s step) bool { return s.array }) {
		f.failf(name, "%q: a result is put into fields of the input only", p.text)
	}
}

// resource gives the part of an integration's ARN that names the call: what
// comes after arn:PARTITION:states:::.
func resource(arn string) (string, bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "states" || parts[3] != "" || parts[4] != "" {
		return "", false
	}
	return parts[5], slices.Contains([]string{"aws", "aws-cn", "aws-us-gov"}, parts[1])
}

// takeResource takes the ARN of an integration, which must be one of those.
func takeResource(f *fields, known ...string) string {
	arn := f.required("Resource")
	r, ok := resource(arn)
	if !ok || !slices.Contains(known, r) {
		f.failf("Resource", "%q does not run here, only arn:aws:states::: before %q", arn, known)
	}
	return r
}

func parseTask(f *fields, s *state) {
	s.task = taskKind(takeResource(f, string(invokeTask), string(describeMapRunTask)))
	p := f.object("Parameters")
	if p == nil {
		f.failf("Parameters", "is required")
		return
	}
	known := []string{"FunctionName", "Payload"}
	if s.task == describeMapRunTask {
		known = []string{"MapRunArn"}
	}
	for _, name := range slices.Sorted(maps.Keys(p.m)) {
		if !slices.Contains(known, strings.TrimSuffix(name, ".$")) {
			p.failf(name, "the parameter does not run here, only %q", known)
		}
	}
	if !p.has(known[0]) && !p.has(known[0]+".$") {
		p.failf(known[0], "is required")
	}
	s.parameters = f.template("Parameters")
	s.timeout, s.timeoutPath = f.integer("TimeoutSeconds", 1, maxSeconds), f.path("TimeoutSecondsPath")
	if s.timeout != nil && s.timeoutPath != nil {
		f.failf("TimeoutSecondsPath", "stands beside TimeoutSeconds")
	}
}

func parseRetry(f *fields) []retrier {
	var all []retrier
	list := f.objects("Retry")
	for i, r := range list {
		one := retrier{names: errorNames(r, i == len(list)-1), interval: 1, backoff: 2, maxAttempts: 3}
		if v := r.integer("IntervalSeconds", 1, maxSeconds); v != nil {
			one.interval = float64(*v)
		}
		if v := r.float("BackoffRate", 1, maxSeconds); v != nil {
			one.backoff = *v
		}
		if v := r.integer("MaxDelaySeconds", 1, maxDelay); v != nil {
			one.maxDelay = float64(*v)
		}
		if v := r.integer("MaxAttempts", 0, maxSeconds); v != nil {
			one.maxAttempts = *v
		}
		one.jitter = r.oneOf("JitterStrategy", "NONE", "FULL") == "FULL"
		r.str("Comment")
		r.done()
		all = append(all, one)
	}
	return all
}

func parseCatch(f *fields) []catcher {
	var all []catcher
	list := f.objects("Catch")
	for i, c := range list {
		one := catcher{names: errorNames(c, i == len(list)-1), next: c.required("Next")}
		one.resultPath, one.noResult = c.optionalPath("ResultPath")
		checkResultPath(c, "ResultPath", one.resultPath)
		c.str("Comment")
		c.done()
		all = append(all, one)
	}
	return all
}

// errorNames takes ErrorEquals. States.ALL stands alone, and last.
func errorNames(f *fields, last bool) []string {
	names := f.strings("ErrorEquals")
	if len(names) == 0 {
		f.failf("ErrorEquals", "needs an error's name at least")
	}
	if slices.Contains(names, errAll) && (len(names) > 1 || !last) {
		f.failf("ErrorEquals", "States.ALL must be alone in it, and in the last of the list")
	}
	return names
}

func parseMap(f *fields, s *state, in *inside) {
	p := f.object("ItemProcessor")
	if p == nil {
		f.failf("ItemProcessor", "is required")
		return
	}
	config := p.object("ProcessorConfig")
	if config == nil {
		config = newFields(map[string]any{}, p.at+"/ProcessorConfig", f.err)
	}
	mode := config.oneOf("Mode", "INLINE", "DISTRIBUTED")
	it := iterated{itemsPath: f.path("ItemsPath"), selector: f.template("ItemSelector")}
	kind := ""
	if mode == "DISTRIBUTED" {
		if kind = config.required("ExecutionType"); kind != Express && kind != Standard {
			config.failf("ExecutionType", "%q: must be %s or %s", kind, Express, Standard)
		}
		if in != nil {
			config.failf("Mode", "a DISTRIBUTED Map inside of a Map does not run here")
		}
	}
	config.done()
	it.processor = parseMachine(p, &inside{distributed: mode == "DISTRIBUTED" || in != nil && in.distributed})
	it.processor.mode, it.processor.kind = mode, kind
	p.done()
	if mode == "INLINE" {
		s.inline = &inline{iterated: it, concurrency: takeSetting(f, "MaxConcurrency", true, maxSeconds)}
		return
	}
	s.distributed = parseDistributed(f, it)
}

// parseDistributed reads the fields that only a DISTRIBUTED Map has.
func parseDistributed(f *fields, it iterated) *distributed {
	d := &distributed{
		iterated:    it,
		label:       f.str("Label"),
		concurrency: takeSetting(f, "MaxConcurrency", true, maxSeconds),
		count:       takeSetting(f, "ToleratedFailureCount", true, maxItems),
		percentage:  takeSetting(f, "ToleratedFailurePercentage", false, 100),
	}
	if utf8.RuneCountInString(d.label) > maxLabel || !validName(d.label, true) {
		f.failf("Label", "%q: a label has at most %d characters, and none of a wildcard, a bracket or a special one", d.label, maxLabel)
	}
	if r := f.object("ItemReader"); r != nil {
		d.reader = parseReader(r)
		if d.itemsPath != nil {
			f.failf("ItemsPath", "stands beside ItemReader")
		}
	}
	if b := f.object("ItemBatcher"); b != nil {
		d.batcher = &batcher{
			items: takeSetting(b, "MaxItemsPerBatch", true, maxItems),
			bytes: takeSetting(b, "MaxInputBytesPerBatch", true, MaxData),
			input: b.template("BatchInput"),
		}
		if !d.batcher.items.set && !d.batcher.bytes.set {
			b.failf("MaxItemsPerBatch", "it or MaxInputBytesPerBatch is required")
		}
		b.done()
	}
	if w := f.object("ResultWriter"); w != nil {
		takeResource(w, "s3:putObject")
		d.writer = takeParameters(w, "Bucket", "Prefix")
		w.done()
	}
	return d
}

// takeParameters takes Parameters, of which the first is required.
func takeParameters(f *fields, known ...string) object {
	p := f.object("Parameters")
	if p == nil {
		f.failf("Parameters", "is required")
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.m)) {
		if !slices.Contains(known, strings.TrimSuffix(name, ".$")) {
			p.failf(name, "the parameter does not run here, only %q", known)
		}
	}
	if !p.has(known[0]) && !p.has(known[0]+".$") {
		p.failf(known[0], "is required")
	}
	o, _ := f.template("Parameters").(object)
	return o
}

func parseReader(f *fields) *reader {
	r := &reader{}
	r.list = takeResource(f, "s3:listObjectsV2", "s3:getObject") == "s3:listObjectsV2"
	config := f.object("ReaderConfig")
	if config == nil {
		config = newFields(map[string]any{}, f.at+"/ReaderConfig", f.err)
	}
	if r.list {
		r.parameters = takeParameters(f, "Bucket", "Prefix")
		config.oneOf("Transformation", "NONE")
	} else {
		r.parameters = takeParameters(f, "Bucket", "Key")
		r.checkManifest(f, config)
	}
	r.maxItems = takeSetting(config, "MaxItems", true, maxItems)
	config.done()
	f.done()
	return r
}

// checkManifest takes the fields that say that the object is an S3 Inventory's
// manifest: InputType MANIFEST, or ManifestType S3_INVENTORY, not both.
func (r *reader) checkManifest(f, config *fields) {
	input, manifest := config.str("InputType"), config.str("ManifestType")
	switch {
	case !f.has("ReaderConfig"):
		f.failf("ReaderConfig", "is required: of files only the manifest of an S3 Inventory can be read here")
	case manifest != "" && manifest != "S3_INVENTORY":
		config.failf("ManifestType", "%q does not run here, only S3_INVENTORY", manifest)
	case manifest != "" && input != "":
		config.failf("InputType", "must not stand beside ManifestType S3_INVENTORY")
	case manifest == "" && input != "MANIFEST":
		config.failf("InputType", "%q does not run here, only MANIFEST, of an S3 Inventory", input)
	}
	if !f.has("Parameters") {
		return
	}
	if p, _ := f.m["Parameters"].(map[string]any); p["Key"] == nil && p["Key.$"] == nil {
		f.failf("Parameters", "needs a Key")
	}
}

// validName says whether a state machine, an execution or a Map can be called
// that: docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html.
func validName(name string, empty bool) bool {
	if name == "" {
		return empty
	}
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxStateName {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>{}[]?*\"#%\\^|~`$&,;:/\ufffe\uffff\U0010ffff", r)
	})
}

var errNotJSON = errors.New("is not JSON")

// checkData reads an execution's input.
func checkData(text string) error {
	if len(text) > MaxData {
		return fmt.Errorf("has %d bytes: at most %d", len(text), MaxData)
	}
	if !json.Valid([]byte(text)) {
		return errNotJSON
	}
	return nil
}

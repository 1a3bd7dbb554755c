package scan

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// state is a state of the text, as far as the tests look into it.
type state struct {
	Type           string
	Resource       string
	TimeoutSeconds int
	Parameters     any
	OutputPath     string
	Retry          []retrier
	ItemProcessor  *machine
	ResultWriter   any
}

type machine struct {
	StartAt         string
	States          map[string]state
	ProcessorConfig struct{ Mode, ExecutionType string }
}

type retrier struct {
	ErrorEquals                                   []string
	IntervalSeconds, MaxAttempts, MaxDelaySeconds int
	BackoffRate                                   float64
	JitterStrategy                                string
}

var substitutions = Substitutions{
	FetchFunction: "arn:aws-cn:lambda:cn-north-1:111111111111:function:fetch", Partition: "aws-cn", ExecutionType: Express,
}

func parsed(t *testing.T) machine {
	t.Helper()
	var m machine
	if err := json.Unmarshal([]byte(substitutions.Substitute()), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// each calls visit with every state of the machine, those within Map states
// included.
func (m machine) each(visit func(name string, s state)) {
	for name, s := range m.States {
		visit(name, s)
		if s.ItemProcessor != nil {
			s.ItemProcessor.each(visit)
		}
	}
}

func TestSubstitute(t *testing.T) {
	text := substitutions.Substitute()
	if strings.Contains(text, "${") {
		t.Errorf("something is left open: %s", text)
	}
	if strings.Contains(text, "arn:aws:") {
		t.Error("an ARN of another partition")
	}
	for name, value := range substitutions.Map() {
		if !strings.Contains(Definition(), "${"+name+"}") || !strings.Contains(text, value) {
			t.Errorf("the text has no ${%s}, or %q is not put in", name, value)
		}
	}
}

// The service refuses a definition in which two states have one name, in
// whichever Map state they are.
func TestNames(t *testing.T) {
	var names []string
	parsed(t).each(func(name string, _ state) { names = append(names, name) })
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("a name is there twice: %v", names)
	}
}

// A batch is read in the same way wherever its keys come from.
func TestProcessors(t *testing.T) {
	m := parsed(t)
	listing, inventory := m.States["ReadListing"], m.States["ReadInventory"]
	one, other := *listing.ItemProcessor, *inventory.ItemProcessor
	first, second := one.States[one.StartAt], other.States[other.StartAt]
	if len(one.States) != 1 || len(other.States) != 1 || !reflect.DeepEqual(first, second) || one.ProcessorConfig != other.ProcessorConfig {
		t.Errorf("processors\n%+v\n%+v", one, other)
	}
	if one.ProcessorConfig.Mode != "DISTRIBUTED" || one.ProcessorConfig.ExecutionType != Express {
		t.Errorf("processor %+v", one.ProcessorConfig)
	}
	if !reflect.DeepEqual(listing.ResultWriter, inventory.ResultWriter) {
		t.Errorf("result writers %v, %v", listing.ResultWriter, inventory.ResultWriter)
	}
}

// transient are the errors that are gone with the next try, or may be.
var transient = []string{
	// throttling
	"Lambda.TooManyRequestsException",  // the account's or the function's concurrency, or the rate of its growth
	"Lambda.EC2ThrottledException",     // of the network interfaces, in a VPC
	"Lambda.ENILimitReachedException",  // the same
	"Lambda.ResourceConflictException", // the function is being updated
	"Lambda.ResourceNotReadyException", // the function was idle for long, in a VPC
	// the service's own
	"Lambda.ServiceException",
	"Lambda.AWSLambdaException",
	"Lambda.SdkClientException",
	"Lambda.ClientExecutionTimeoutException",
	// the function's time-out and end, by their new and their old name
	"Sandbox.Timedout",
	"Runtime.ExitError", // killed, also where it took too much memory
	"Lambda.Unknown",
	"DeadlineNear", // fetch.DeadlineNear: it stopped shortly before its time-out
	// the state's own time-out
	"States.Timeout",
}

// Every invocation, that of Merge too, is tried again after whatever may pass.
func TestRetry(t *testing.T) {
	invocations := 0
	parsed(t).each(func(name string, s state) {
		if s.Type == "Task" && (len(s.Retry) != 1 || s.TimeoutSeconds == 0) {
			t.Errorf("%s: retry %+v, time-out %d s", name, s.Retry, s.TimeoutSeconds)
		}
		if !strings.HasSuffix(s.Resource, ":lambda:invoke") {
			return
		}
		invocations++
		errors := slices.Sorted(slices.Values(s.Retry[0].ErrorEquals))
		if want := slices.Sorted(slices.Values(transient)); !slices.Equal(errors, want) {
			t.Errorf("%s is tried again after\n%v\nwant\n%v", name, errors, want)
		}
		if s.Retry[0].MaxAttempts < 3 || s.Retry[0].JitterStrategy != "FULL" {
			t.Errorf("%s: %+v", name, s.Retry[0])
		}
	})
	if invocations != 4 { // of the two kinds of batches, and of the two levels of merging
		t.Errorf("%d states invoke the function, want 4", invocations)
	}
}

// Lambda's and Express workflows' limits
// (docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html).
const (
	lambdaTimeout  = 15 * time.Minute
	expressTimeout = 5 * time.Minute
)

func TestTimeouts(t *testing.T) {
	m := parsed(t)
	batch := m.States["ReadListing"].ItemProcessor.States["FetchListed"]
	if got := time.Duration(batch.TimeoutSeconds) * time.Second; got != BatchTimeout {
		t.Errorf("a batch may take %v, want BatchTimeout, %v", got, BatchTimeout)
	}
	pause := time.Duration(batch.Retry[0].IntervalSeconds) * time.Second // at most, before the second try
	if needed := 2*BatchTimeout + pause; needed > expressTimeout-10*time.Second {
		t.Errorf("two tries take up to %v of %v", needed, expressTimeout)
	}
	// The function's own time-out is noticed first: its error says more.
	for name, s := range map[string]state{
		"Merge": m.States["Merge"], "MergeGroup": m.States["MergeGroups"].ItemProcessor.States["MergeGroup"],
	} {
		if got := time.Duration(s.TimeoutSeconds) * time.Second; got <= lambdaTimeout || got > lambdaTimeout+time.Minute {
			t.Errorf("%s may take %v, want just above %v", name, got, lambdaTimeout)
		}
	}
}

var reference = regexp.MustCompile(`"\$\.([a-z_]+)(?:\.([a-z0-9_]+))?`)

// The text refers to fields of Input, by their names in JSON, and to what its
// own states leave.
func TestInput(t *testing.T) {
	fields := map[string]bool{}
	names := func(kind reflect.Type, prefix string) {
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			fields[prefix+name] = true
		}
	}
	input := reflect.TypeFor[Input]()
	names(input, "")
	for i := range input.NumField() {
		field := input.Field(i).Type
		if field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		if field.Kind() == reflect.Struct {
			name, _, _ := strings.Cut(input.Field(i).Tag.Get("json"), ",")
			names(field, name+".")
		}
	}
	own := []string{"read", "items", "groups"} // ResultPath of the text's own states
	found := 0
	for _, match := range reference.FindAllStringSubmatch(Definition(), -1) {
		if slices.Contains(own, match[1]) {
			continue
		}
		found++
		name := match[1]
		if match[2] != "" {
			name += "." + match[2]
		}
		if !fields[name] {
			t.Errorf("%s is no field of Input", match[0])
		}
	}
	if found < 10 {
		t.Errorf("%d references to the input: the expression finds too few", found)
	}
}

package scan

import (
	_ "embed"
	"fmt"
	"regexp"
	"time"
)

// definition is the text of the state machine, in the Amazon States Language.
//
//go:embed scan.asl.json
var definition string

// Definition gives the text of the state machine with its substitutions, such
// as ${FetchFunction}, still in it: for CloudFormation's DefinitionSubstitutions.
func Definition() string { return definition }

// Substitutions are the values that the text leaves open.
type Substitutions struct {
	FetchFunction string // ARN
	Partition     string // "aws", "aws-cn"
	ExecutionType string // of the children: Express or Standard
}

// Kinds of child executions.
const (
	Express  = "EXPRESS"  // at most five minutes each, priced by request and duration
	Standard = "STANDARD" // priced by state transition
)

// Map gives the values by their names in the text.
func (s Substitutions) Map() map[string]string {
	return map[string]string{
		"FetchFunction": s.FetchFunction,
		"Partition":     s.Partition,
		"ExecutionType": s.ExecutionType,
	}
}

// JobsPrefix begins the keys of all files of all jobs in the results bucket.
const JobsPrefix = "jobs/"

// BatchTimeout is how long the text waits for one try at a batch. Two tries fit
// into the five minutes that an Express execution may take, so that a batch
// which hangs once is read all the same. Lambda does not end the invocation that
// the text no longer waits for: the function has to.
const BatchTimeout = 140 * time.Second

var placeholder = regexp.MustCompile(`\$\{[A-Za-z0-9.]+\}`)

// Substitute gives the text with the values put in, as CloudFormation does.
// It panics if the text has a name that there is no value for, which a test
// rules out.
func (s Substitutions) Substitute() string {
	values := s.Map()
	return placeholder.ReplaceAllStringFunc(definition, func(name string) string {
		value, ok := values[name[2:len(name)-1]]
		if !ok {
			panic(fmt.Sprintf("the definition has %s, which has no value", name))
		}
		return value
	})
}

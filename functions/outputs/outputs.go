// Package outputs names the outputs of the CDK app's stack, once for infra,
// which writes them, and for fanout run --stack, which reads them.
package outputs

import (
	"fmt"
	"regexp"
	"strings"

	"fanout/functions/lambda"
)

// Outputs of the stack, beside those of its functions.
const (
	Bucket  = "Bucket"  // name of the bucket
	Prefix  = "Prefix"  // of the objects' keys
	Objects = "Objects" // corpus.Spec as JSON; there is none where the bucket is somebody's own
	Region  = "Region"

	ScanStateMachine = "ScanStateMachineArn" // of fanout scan; there is none without -c scan=true
	ScanResults      = "ScanResultsBucket"   // bucket that its parts are put in
)

// GoContender is the name of this repository's own Go functions; they have no
// name in their outputs.
const GoContender = "go"

// architectures are the parts of a function's output that name its
// architecture.
var architectures = map[string]string{lambda.ARM: "Arm", lambda.X86: "X86"}

// Function names the output with a function's ARN: "Fetch1769ArmArn",
// "Fetch128X86RustArn".
func Function(memoryMB int, arch, contender string) string {
	name := fmt.Sprintf("Fetch%d%s", memoryMB, architectures[arch])
	if contender != GoContender {
		name += strings.ToUpper(contender[:1]) + contender[1:]
	}
	return name + "Arn"
}

var function = regexp.MustCompile(`^Fetch[0-9]+(?:Arm|X86)?([A-Z][a-z0-9]*)?Arn$`)

// Contender reads the contender's name from a function's output. An output of
// another kind is taken for one of Go's.
func Contender(output string) string {
	if m := function.FindStringSubmatch(output); m != nil && m[1] != "" {
		return strings.ToLower(m[1])
	}
	return GoContender
}

package scan

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"fanout/bench/internal/hint"
)

// Machine is a deployed state machine, as its definition has it.
type Machine struct {
	ARN      string
	Function string // ARN of the function that reads the batches
	Children string // type of the child executions: EXPRESS or STANDARD
}

// MachineDescriber is what of the Step Functions API describes a state machine.
type MachineDescriber interface {
	DescribeStateMachine(context.Context, *sfn.DescribeStateMachineInput, ...func(*sfn.Options)) (*sfn.DescribeStateMachineOutput, error)
}

// DescribeMachine looks a state machine up. The error has a hint.
func DescribeMachine(ctx context.Context, client MachineDescriber, arn string) (Machine, error) {
	m := Machine{ARN: arn}
	out, err := client.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: &arn})
	var unknown *types.StateMachineDoesNotExist
	switch {
	case errors.As(err, &unknown):
		return m, hint.Usage("deploy the stack with -c scan=true, or see --stack, AWS_PROFILE and AWS_REGION",
			"there is no state machine %s", arn)
	case err != nil:
		return m, hint.Failed(hint.AWS(err, "see AWS_PROFILE and AWS_REGION: the state machine must be in that region"),
			"describe state machine %s: %w", arn, err)
	}
	var definition any
	if err := json.Unmarshal([]byte(aws.ToString(out.Definition)), &definition); err != nil {
		return m, hint.Failed("deploy the stack again with this version", "state machine %s: its definition: %w", arn, err)
	}
	m.look(definition)
	if m.Function == "" || m.Children == "" {
		return m, hint.Failed("name a stack that was deployed with -c scan=true", "state machine %s is not one of fanout scan", arn)
	}
	return m, nil
}

// look finds the function and the children's type, wherever they are.
func (m *Machine) look(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			text, isText := value.(string)
			switch {
			case isText && name == "FunctionName":
				m.Function = text
			case isText && name == "ExecutionType":
				m.Children = strings.ToUpper(text)
			default:
				m.look(value)
			}
		}
	case []any:
		for _, item := range v {
			m.look(item)
		}
	}
}

// Manifest is what of an S3 Inventory's manifest.json a scan looks at.
type Manifest struct {
	Source string `json:"sourceBucket"`
	Format string `json:"fileFormat"` // CSV, Parquet or ORC
	Schema string `json:"fileSchema"`
}

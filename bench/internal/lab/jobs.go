package lab

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/states"
	"fanout/functions/outputs"
	"fanout/functions/scan"
)

// Machine is a state machine that scans with one of the functions.
type Machine struct {
	Name     string
	ARN      string
	Function string
}

// ErrInUse is the error of [Start] where another process has the JobsDir.
var ErrInUse = states.ErrInUse

// childrenPerCPU bounds the children of a Map Run that run here at once. Each is
// a function's process, and 10,000, as the service has them, no machine could
// bear.
const childrenPerCPU = 16

// startStates starts Step Functions and makes what a scan needs.
func (l *Lab) startStates(cfg Config) (err error) {
	own := aws.Credentials{AccessKeyID: "STATES" + rand.Text()[:14], SecretAccessKey: rand.Text()} // with a bandwidth of its own
	l.S3.AddKey(own.AccessKeyID, own.SecretAccessKey)
	children := childrenPerCPU * runtime.NumCPU()
	box := states.Config{
		Credentials: l.key, Region: Region, AccountID: Account, Log: cfg.Log, Children: children,
		Dir: filepath.Join(l.Dir, "states"), S3: l.S3.Client(own.AccessKeyID, own.SecretAccessKey), Lambda: l.invoker(children),
	}
	if cfg.JobsDir != "" {
		box.Dir = filepath.Join(cfg.JobsDir, "states")
	}
	if l.States, err = states.Start(box); err != nil {
		return hint.Failed("give another folder for jobs", "%w", err)
	}
	// The folder is this lab's alone from here on.
	if cfg.JobsDir == "" {
		err = l.S3.CreateBucket(Results)
	} else {
		err = l.S3.KeepBucket(Results, filepath.Join(cfg.JobsDir, "results.jsonl"))
	}
	if err != nil {
		return hint.Failed("give another folder for jobs", "the bucket for results: %w", err)
	}
	for _, t := range l.Targets {
		if t.Contender != outputs.GoContender {
			continue // no other one knows batches
		}
		m := Machine{Name: fmt.Sprintf("fanout-scan-%s-%d", t.Arch, t.MemoryMB), Function: t.Function}
		text := scan.Substitutions{
			FetchFunction: fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", Region, Account, t.Function),
			Partition:     "aws", ExecutionType: scan.Express,
		}.Substitute()
		out, err := l.StatesClient().CreateStateMachine(context.Background(), &sfn.CreateStateMachineInput{
			Name: &m.Name, Definition: &text, RoleArn: aws.String("arn:aws:iam::" + Account + ":role/fanout-states"),
		})
		if err != nil {
			return fmt.Errorf("state machine %s: %w", m.Name, err)
		}
		m.ARN = *out.StateMachineArn
		l.Machines = append(l.Machines, m)
	}
	return nil
}

// invoker is a client like [Lab.Client], for so many invocations at once.
func (l *Lab) invoker(atOnce int) *awslambda.Client {
	o := l.Client().Options()
	o.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.MaxIdleConnsPerHost = atOnce })
	return awslambda.New(o)
}

// StatesClient speaks to Step Functions, with the same key as [Lab.Client].
func (l *Lab) StatesClient() *sfn.Client {
	return sfn.New(sfn.Options{
		BaseEndpoint: aws.String(l.States.URL()),
		Region:       Region,
		Credentials:  credentials.NewStaticCredentialsProvider(l.key.AccessKeyID, l.key.SecretAccessKey, ""),
	})
}

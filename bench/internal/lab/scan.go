package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"fanout/bench/internal/states"
	"fanout/functions/scan"
)

// What a lab has for scans, beside its functions and its bucket.
const (
	ScanMachine = "fanout-scan"         // name of the state machine
	ScanResults = "fanout-scan-results" // bucket
)

// ScanConfig is what [Lab.StartScan] needs.
type ScanConfig struct {
	Function string // name of the one that reads the batches
	Children string // type of the child executions: scan.Express or scan.Standard
	// Keep is a folder for the executions and their results: a lab that is
	// started with the folder of an earlier one, also of one that was killed,
	// goes on with its jobs. Empty: they end with the lab.
	Keep string
	Log  *slog.Logger // nil: none
}

// Scan is what runs scans in a lab.
type Scan struct {
	Machine string // ARN

	lab    *Lab
	server *states.Server
}

// StartScan starts Step Functions with the state machine of a scan, and makes
// the bucket of its results. Close it before the lab.
func (l *Lab) StartScan(ctx context.Context, cfg ScanConfig) (_ *Scan, err error) {
	dir, bucket := "", ""
	if cfg.Keep != "" {
		dir, bucket = filepath.Join(cfg.Keep, "executions"), filepath.Join(cfg.Keep, "results.jsonl")
		err = l.S3.KeepBucket(ScanResults, bucket)
	} else {
		dir = filepath.Join(l.Dir, "executions")
		err = l.S3.CreateBucket(ScanResults)
	}
	if err != nil {
		return nil, err
	}
	s := &Scan{lab: l}
	if s.server, err = states.Start(states.Config{
		Credentials: l.key, Region: Region, AccountID: Account, S3: l.S3Client(), Lambda: l.Client(), Dir: dir, Log: cfg.Log,
	}); err != nil {
		return nil, err
	}
	definition := scan.Substitutions{
		FetchFunction: fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", Region, Account, cfg.Function), Partition: "aws", ExecutionType: cfg.Children,
	}.Substitute()
	out, err := s.Client().CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
		Name: aws.String(ScanMachine), Definition: &definition, RoleArn: aws.String("arn:aws:iam::" + Account + ":role/" + ScanMachine),
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Machine = aws.ToString(out.StateMachineArn)
	return s, nil
}

// Client speaks to the lab's Step Functions as it would to AWS.
func (s *Scan) Client() *sfn.Client {
	return sfn.New(sfn.Options{
		BaseEndpoint: aws.String(s.server.URL()), Region: Region,
		Credentials: credentials.NewStaticCredentialsProvider(s.lab.key.AccessKeyID, s.lab.key.SecretAccessKey, ""),
	})
}

// Close ends what runs; with a folder, its executions can be gone on with.
func (s *Scan) Close() error { return s.server.Close() }

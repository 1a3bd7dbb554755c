package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/deployed"
	"fanout/bench/internal/hint"
	"fanout/bench/internal/report"
	"fanout/bench/internal/scan"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
	fn "fanout/functions/scan"
)

// scanSite is where jobs run: a stack on AWS, or the lab on this machine.
type scanSite struct {
	states  *sfn.Client
	s3      *s3.Client
	lambda  *awslambda.Client
	machine string // ARN of the state machine
	bucket  string // that is read
	prefix  string // of its objects, by default
	results string // bucket
	corpus  *corpus.Spec
	header  scan.Header // what of it the site knows
}

// connectScan finds the state machine of a stack. Without a stack it gives the
// clients alone, for a job that is named by its ARN.
func connectScan(ctx context.Context, stack, region string) (*scanSite, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, hint.Failed("check your AWS profile and environment", "read the AWS configuration: %w", err)
	}
	if region != "" { // of the job's ARN
		cfg.Region = region
	}
	if cfg.Region == "" {
		return nil, hint.Usage("set AWS_REGION, such as us-east-1, or a region in your AWS profile", "no region: in which the stack is")
	}
	site := &scanSite{states: sfn.NewFromConfig(cfg), lambda: awslambda.NewFromConfig(cfg)}
	endpoint := aws.ToString(site.states.Options().BaseEndpoint)
	site.s3 = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = o.UsePathStyle || aws.ToString(o.BaseEndpoint) != "" // local ones have no names for buckets
	})
	h := &site.header
	h.Version, h.Region, h.Stack, h.Backend, h.Host = version, cfg.Region, stack, trial.AWS, "AWS Lambda, "+cfg.Region
	if endpoint != "" {
		h.Backend = trial.Endpoint
	}
	if stack == "" {
		return site, nil
	}
	found, err := deployed.Find(ctx, cloudformation.NewFromConfig(cfg), stack)
	if err != nil {
		return nil, err
	}
	if found.StateMachine == "" || found.Results == "" {
		return nil, hint.Failed("deploy it again with -c scan=true", "stack %s has no state machine for a scan", stack)
	}
	site.machine, site.results = found.StateMachine, found.Results
	site.bucket, site.prefix, site.corpus = found.Bucket, found.Prefix, found.Objects
	return site, nil
}

// describe notes which function reads the batches, and its bandwidth as it says
// itself or the flags do. The error has a hint.
func (s *scanSite) describe(ctx context.Context, net networkFlags) error {
	m, err := scan.DescribeMachine(ctx, s.states, s.machine)
	if err != nil {
		return err
	}
	functions, err := deployed.Describe(ctx, s.lambda, []deployed.Function{{ARN: m.Function}})
	if err != nil {
		return err
	}
	s.header.Children = m.Children
	s.header.Function = scan.Function{Name: m.Function, MemoryMB: functions[0].MemoryMB, Arch: functions[0].Arch}
	s.header.Bandwidth, err = net.ofDeployed(functions)
	return err
}

// checkInventory reads the manifest of an inventory, which says of which bucket
// it is. Keys in CSV are URL-encoded; other formats the service does not read
// (docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html).
func (s *scanSite) checkInventory(ctx context.Context, in *fn.Inventory) error {
	out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &in.Bucket, Key: &in.Key})
	if err != nil {
		return hint.Failed(hint.AWS(err, "see that the manifest exists: aws s3 ls s3://"+in.Bucket+"/"+in.Key),
			"read inventory s3://%s/%s: %w", in.Bucket, in.Key, err)
	}
	defer out.Body.Close() //nolint:errcheck // only read from
	const most = 16 << 20
	var m scan.Manifest
	if err := json.NewDecoder(io.LimitReader(out.Body, most)).Decode(&m); err != nil {
		return hint.Failed("name the manifest.json of an S3 Inventory", "inventory s3://%s/%s: %w", in.Bucket, in.Key, err)
	}
	if m.Source != s.bucket {
		return hint.Usage("name an inventory of that bucket", "inventory s3://%s/%s is of bucket %q; the stack reads %q",
			in.Bucket, in.Key, m.Source, s.bucket)
	}
	if !strings.EqualFold(m.Format, "CSV") {
		return hint.Usage("configure an inventory in CSV", "inventory s3://%s/%s is in format %q, which Step Functions does not read",
			in.Bucket, in.Key, m.Format)
	}
	in.URLEncoded = true
	return nil
}

// checkResults refuses a job that would list its own results.
func (s *scanSite) checkResults(job, prefix string) error {
	if below := "jobs/" + job + "/"; s.results == s.bucket && (strings.HasPrefix(below, prefix) || strings.HasPrefix(prefix, below)) {
		return hint.Usage("give a --prefix that jobs/ is not below, or deploy the results to a bucket of their own",
			"prefix %q of bucket %s has the results of this job below it", prefix, s.bucket)
	}
	return nil
}

// priced gives what the job's dollars are counted from; nil if the table of
// prices does not have the region or the function is not known, which a bound in
// dollars needs.
func (s *scanning) priced(table cost.Table) (*scan.Pricing, error) {
	h, dollars, class := &s.header, s.bounds.Dollars, cost.Standard
	h.Prices = table.Date
	if _, express := lambda.DirectoryBucket(h.Input.Event.Bucket); express || h.NetworkModel().Express {
		class = cost.Express
		h.Class = string(class)
	}
	region := h.Region
	if region == "" || h.Backend != trial.AWS {
		region = report.DefaultRegion
	}
	prices, err := table.Prices(region)
	if err == nil && h.Function.MemoryMB == 0 {
		err = fmt.Errorf("nobody knows which function reads the batches")
	}
	p := &scan.Pricing{
		Prices: prices, Class: class, Function: h.Function, Children: h.Children, Inventory: h.Input.Inventory != nil,
	}
	if err == nil {
		_, err = p.Sample(scan.Sample{})
	}
	switch {
	case err == nil:
		return p, nil
	case dollars > 0:
		return nil, hint.Usage("bound the job by time: --budget 2h", "budget: %w", err)
	}
	return nil, nil
}

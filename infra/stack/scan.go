package stack

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"fanout/functions/lambda"
	"fanout/functions/outputs"
	"fanout/functions/scan"
)

// Scan is what the state machine that reads a whole bucket is made from.
type Scan struct {
	MemoryMB      int    // of the function that reads, one of the stack's Go functions …
	Architecture  string // … on this architecture
	ExecutionType string // of a batch's execution: scan.Express or scan.Standard
	Inventory     string // BUCKET/PREFIX of the S3 Inventories it may read; "": it lists
	Retention     int    // days that results are kept
}

const (
	// balancedMemoryMB is what `fanout run` calls balanced in README's example,
	// of 128, 512 and 1,769 MB.
	balancedMemoryMB = 128

	// scanTimeout is for the merge, which is one invocation whatever the number
	// of batches. A batch gets scan.BatchTimeout.
	scanTimeout = maxTimeout

	// redriveDays is how long after its end an execution can be redriven, which
	// needs its parts and files
	// (docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html).
	redriveDays = 14

	defaultScanRetention = 30
	maxScanRetention     = 3650
)

var inventoryRE = regexp.MustCompile(`^s3://([a-z0-9.-]{3,63})/(.*)$`)

// scan reads the keys of the state machine; nil if there is none.
func (r *reader) scan(c Config) *Scan {
	on := r.boolean("scan")
	for _, key := range []string{"scanMemory", "scanArchitecture", "scanExecution", "scanInventory", "scanRetention"} {
		if _, given := r.get(key); given && !on {
			r.fail(key, "means nothing without scan", "only together with scan=true")
		}
	}
	if !on || r.err != nil {
		return nil
	}
	if !slices.ContainsFunc(c.Contenders, func(c Contender) bool { return c.Name == GoContender }) {
		r.fail("scan", "the contenders are without "+GoContender+", and only its functions can scan",
			"contenders with "+GoContender+" among them")
	}
	s := &Scan{
		MemoryMB:      balancedMemoryMB,
		Architecture:  r.word("scanArchitecture", c.seederArchitecture(), c.Architectures),
		ExecutionType: r.word("scanExecution", scan.Express, []string{scan.Express, scan.Standard}),
		Retention: int(r.integer("scanRetention", defaultScanRetention, redriveDays+1, maxScanRetention,
			fmt.Sprintf("days from %d, for a job can be redriven for %d days, to %d", redriveDays+1, redriveDays, maxScanRetention))),
	}
	if !slices.Contains(c.Memories, s.MemoryMB) {
		s.MemoryMB = slices.Min(c.Memories)
	}
	if _, given := r.get("scanMemory"); given {
		allowed := "one of the stack's memories, " + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(c.Memories), "[]")), ", ")
		s.MemoryMB = int(r.integer("scanMemory", 0, lambda.MinMemoryMB, lambda.MaxMemoryMB, allowed))
		if !slices.Contains(c.Memories, s.MemoryMB) {
			r.fail("scanMemory", "the stack has no function of that size", allowed)
		}
	}
	s.Inventory = r.inventory()
	return s
}

// inventory reads where a scan may read inventories, as BUCKET/PREFIX.
func (r *reader) inventory() string {
	v, given := r.get("scanInventory")
	if !given {
		return ""
	}
	const allowed = "where the inventory's files are, as in s3://BUCKET/PREFIX/: the prefix that is above the folders hive and data"
	text, _ := v.(string)
	parts := inventoryRE.FindStringSubmatch(text)
	if parts == nil {
		r.fail("scanInventory", "no such place", allowed)
		return ""
	}
	wrong := wrongBucketName(parts[1])
	if wrong == "" && parts[2] != "" {
		wrong = wrongPrefix(parts[2])
	}
	if wrong != "" {
		r.fail("scanInventory", wrong, allowed)
	}
	return parts[1] + "/" + parts[2]
}

// by says whether the scan is by this one of the Go functions.
func (s *Scan) by(memoryMB int, arch string) bool {
	return s != nil && s.MemoryMB == memoryMB && s.Architecture == arch
}

// newResultsBucket makes the bucket that scans write to. It is another one than
// the one that is read, so that no scan lists what it writes.
func (s *builder) newResultsBucket() bucket {
	const id = "ResultsBucket"
	b := bucket{name: ref(id), arn: attribute(id, "Arn"), arnText: "<" + id + ".Arn>", key: s.BucketKey}
	const noLog = "only the stack's own functions and state machine write to it"
	s.addStored(id, "AWS::S3::Bucket", properties{
		"BucketEncryption":               s.encryption(),
		"PublicAccessBlockConfiguration": closed(),
		"LifecycleConfiguration": properties{"Rules": list{properties{
			"Id": "Jobs", "Status": "Enabled", "Prefix": scan.JobsPrefix, "ExpirationInDays": s.Scan.Retention,
			"AbortIncompleteMultipartUpload": properties{"DaysAfterInitiation": redriveDays + 1},
		}}},
		"Tags": s.tags(),
	}, findings{
		"CKV_AWS_18":      noLog,
		"AwsSolutions-S1": noLog,
		"CKV_AWS_21":      "a part that is written again holds the same as before",
	})
	s.addTLSPolicy("ResultsBucketPolicy", b)
	return b
}

// partStatements let a function write parts, and read those and the files of
// the Map Run to merge them.
func (b bucket) partStatements() []statement {
	list := allow(b.arn, "s3:ListBucket")
	list["Condition"] = properties{"StringLike": properties{"s3:prefix": scan.JobsPrefix + "*"}}
	return []statement{list, allow(b.under(scan.JobsPrefix+"*"), "s3:GetObject", "s3:PutObject")}
}

// scanWith gives the function that scans what it needs beyond the others'.
func (s *builder) scanWith(id string, f *function) {
	s.scanner = id
	f.description += "; scans whole buckets"
	f.timeout = scanTimeout
	f.statements = append(f.statements, s.results.partStatements()...)
	f.statements = append(f.statements, s.bucket.keyStatements(true)...)
	maps.Copy(f.known, s.results.wildcard(scan.JobsPrefix+"*", "it writes a part for each batch, and reads a job's parts to merge them"))
}

// newScan makes the state machine from the text of package scan, with its role
// and log, and what takes the results away in the end.
func (s *builder) newScan() {
	s.addStored("ScanLogs", "AWS::Logs::LogGroup", properties{"RetentionInDays": s.LogRetention, "Tags": s.tags()}, findings{
		"CKV_AWS_158": "it has the errors of batches, without keys and contents; CloudWatch encrypts it with a key of its own",
	})
	s.newScanRole()
	substitutions := properties{}
	for name, value := range (scan.Substitutions{ExecutionType: s.Scan.ExecutionType}).Map() {
		substitutions[name] = value
	}
	substitutions["FetchFunction"], substitutions["Partition"] = attribute(s.scanner, "Arn"), ref("AWS::Partition")
	const errorsOnly = "a job has an execution for each batch: what went well is in its part, what went wrong is logged"
	const noTracing = "a trace of each batch would cost more than it tells: failures are logged"
	machine := s.add("Scan", "AWS::StepFunctions::StateMachine", properties{
		"DefinitionString":        scan.Definition(),
		"DefinitionSubstitutions": substitutions,
		"LoggingConfiguration": properties{
			"Level": "ERROR", "IncludeExecutionData": false,
			"Destinations": list{properties{"CloudWatchLogsLogGroup": properties{"LogGroupArn": attribute("ScanLogs", "Arn")}}},
		},
		"RoleArn":          attribute("ScanRole", "Arn"),
		"StateMachineType": "STANDARD",
		"Tags":             s.tags(),
	}, findings{
		"AwsSolutions-SF2": noTracing,
		"AwsSolutions-SF1": errorsOnly,
		"E3601":            "cfn-lint does not fill in the substitutions; asl-validator checks the definition when that is done",
	})
	machine.AddDependency(s.newResults()) // it is deleted, and writes no more, before its results are
	s.newScanSelf()
	s.output(outputs.ScanStateMachine, ref("Scan"), "The state machine that scans the bucket")
	s.output(outputs.ScanResults, s.results.name, "The bucket with the results of scans, under "+scan.JobsPrefix)
}

// newScanRole makes the state machine's role: to list, or to read an inventory;
// to invoke one function; and to collect the answers of its batches
// (docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html).
func (s *builder) newScanRole() {
	known := findings{"AwsSolutions-IAM5[Resource::*]": "Step Functions' rights to deliver a log cannot name a resource"}
	// The first of these lists, or is the only one; the keys are the function's to read.
	statements := s.bucket.readStatements(s.Objects.Prefix)[:1]
	if s.Scan.Inventory != "" {
		statements = append(statements, allow(sub("arn:${AWS::Partition}:s3:::"+s.Scan.Inventory+"*"), "s3:GetObject"))
		known["AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::"+s.Scan.Inventory+"*]"] =
			"an inventory's files have names that S3 chooses"
	}
	statements = append(statements,
		allow(attribute(s.scanner, "Arn"), "lambda:InvokeFunction"),
		allow(s.results.under(scan.JobsPrefix+"*"), "s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"),
	)
	maps.Copy(known, s.results.wildcard(scan.JobsPrefix+"*", "a Map Run writes files whose names it chooses"))
	for _, st := range s.results.keyStatements(true) {
		st["Action"] = texts([]string{"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"}) // its files are multipart uploads
		statements = append(statements, st)
	}
	statements = append(statements, allow("*",
		"logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies",
		"logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery"))
	s.addRole("ScanRole", properties{
		"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": properties{"Service": "states.amazonaws.com"},
		"Condition": properties{
			"StringEquals": properties{"aws:SourceAccount": ref("AWS::AccountId")},
			"ArnLike":      properties{"aws:SourceArn": sub("arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:*")},
		},
	}, "StateMachine", statements, known)
}

// scanLabels are the names that the text gives its Map Runs, which are in the
// ARNs of their executions.
var scanLabels = []string{"ReadListing", "ReadInventory"}

// newScanSelf gives the state machine's role what it may do with the machine
// itself: to start the executions of batches, to look at them, and to start
// failed ones again. It is a policy of its own, for the machine needs its role,
// and this the machine.
func (s *builder) newScanSelf() {
	known := findings{}
	own := func(names string) properties {
		arn := "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:" + names
		shown := strings.NewReplacer("${", "<", "}", ">").Replace(arn)
		known["AwsSolutions-IAM5[Resource::"+shown+"]"] = "executions and Map Runs of this state machine get their names when they start"
		return sub(arn)
	}
	var children list
	for _, label := range scanLabels {
		children = append(children, own("execution:${Scan.Name}/"+label+":*"))
	}
	s.add("ScanSelf", "AWS::IAM::Policy", properties{
		"PolicyName": "Self", // within the role
		"Roles":      list{ref("ScanRole")},
		"PolicyDocument": policy(
			allow(ref("Scan"), "states:StartExecution"),
			allow(append(list{own("execution:${Scan.Name}:*")}, children...), "states:DescribeExecution", "states:StopExecution"),
			allow(children, "states:RedriveExecution"),
			allow(own("mapRun:${Scan.Name}/*"), "states:DescribeMapRun"),
		),
	}, known)
}

// newResults makes the custom resource that stands for the results of scans,
// and the function behind it, which takes them away. With functionsOnly there is
// no other seeder, and none has rights to a bucket that is not its own.
func (s *builder) newResults() awscdk.CfnResource {
	arch, id := s.seederArchitecture(), "ResultsSeeder"
	s.newFunction(id, function{
		description: "Takes the results of Fanout's scans away when the stack goes",
		arch:        arch,
		code:        s.seederCode(),
		memoryMB:    seederMemoryMB,
		timeout:     seederTimeout,
		statements: []statement{
			allow(s.results.arn, "s3:ListBucket", "s3:ListBucketVersions"),
			allow(s.results.under("*"), "s3:DeleteObject", "s3:DeleteObjectVersion"),
		},
		known: s.results.wildcard("*", "it leaves the bucket of the results empty in the end, and has rights to no other bucket"),
	})
	r := s.add("Results", "Custom::FanoutResults", properties{
		"ServiceToken":   attribute(id, "Arn"),
		"ServiceTimeout": strconv.Itoa(int(seederAnswerWithin.Seconds())),
		"Bucket":         s.results.name,
		"Prefix":         scan.JobsPrefix,
		"EmptyBucket":    strconv.FormatBool(s.EmptyBucket),
	}, nil)
	r.ApplyRemovalPolicy(awscdk.RemovalPolicy_DESTROY, nil)
	return r
}

package stack

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"fanout/functions/lambda"
	"fanout/functions/outputs"
)

// archID is what the IDs of functions and outputs call an architecture.
var archID = map[string]string{lambda.ARM: "Arm", lambda.X86: "X86"}

// function is what one function has of its own.
type function struct {
	description string
	arch        string
	code        properties // where it lies
	runtime     string     // empty: it brings its own bootstrap
	handler     string     // what a managed runtime calls
	memoryMB    int
	timeout     time.Duration
	environment properties // may be nil
	network     properties // its VpcConfig; nil: it is in no VPC
	statements  []statement
	tags        []string // pairs of a key and a value
	known       findings // checks that its role fails
}

// newFunction makes a function with what every function of the stack has: the
// runtime, a log group of its own that goes with the stack, and a role that
// lets it write there and do what its statements say.
func (s *builder) newFunction(id string, f function) {
	logs, role := id+"Logs", id+"Role"
	s.addStored(logs, "AWS::Logs::LogGroup", properties{"RetentionInDays": s.LogRetention, "Tags": s.tags(f.tags...)}, findings{
		"CKV_AWS_158": "logs hold no secrets; CloudWatch encrypts them with a key of its own",
	})
	s.newRole(role, logs, f)
	p := properties{
		"Description":   f.description,
		"Architectures": list{f.arch},
		"Code":          f.code,
		"Handler":       cmp.Or(f.handler, "bootstrap"),
		"LoggingConfig": properties{"LogFormat": "JSON", "LogGroup": ref(logs)},
		"MemorySize":    f.memoryMB,
		"Role":          attribute(role, "Arn"),
		"Runtime":       cmp.Or(f.runtime, lambda.ProvidedAL2023),
		"Tags":          s.tags(f.tags...),
		"Timeout":       int(f.timeout.Seconds()),
	}
	known := findings{
		"CKV_AWS_115": "a reserved concurrency would take it from the account's other functions",
		"CKV_AWS_116": "whoever invokes it waits for the answer: no event is lost unseen",
		"CKV_AWS_173": "the environment names a client and a number, no secret",
	}
	if f.environment != nil {
		p["Environment"] = properties{"Variables": f.environment}
	}
	if f.network == nil {
		known["CKV_AWS_117"] = "it needs nothing but S3; -c vpc=true or -c vpcId=ID puts the functions into a VPC"
	} else {
		p["VpcConfig"] = f.network
	}
	s.add(id, "AWS::Lambda::Function", p, known)
}

// newRole makes a function's role. Its policy is in it, so that a function that
// has its role has its rights too: one beside it could still be on its way.
func (s *builder) newRole(id, logs string, f function) {
	statements := append([]statement{allow(attribute(logs, "Arn"), "logs:CreateLogStream", "logs:PutLogEvents")}, f.statements...)
	if f.network != nil {
		statements = append(statements, vpcStatements()...)
		f.known["CKV_AWS_111"], f.known["AwsSolutions-IAM5[Resource::*]"] = vpcFinding, vpcFinding
	}
	s.addRole(id, statement{
		"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": properties{"Service": "lambda.amazonaws.com"},
	}, "Function", statements, f.known, f.tags...)
}

// addRole makes a role that may do what its statements say, with the one policy
// that is in it.
func (s *builder) addRole(id string, trust statement, name string, statements []statement, known findings, tags ...string) {
	p := properties{
		"AssumeRolePolicyDocument": policy(trust),
		"Policies":                 list{properties{"PolicyName": name, "PolicyDocument": policy(statements...)}},
		"Tags":                     s.tags(tags...),
	}
	if s.PermissionsBoundary != "" {
		p["PermissionsBoundary"] = s.PermissionsBoundary
	}
	s.add(id, "AWS::IAM::Role", p, known)
}

// newFetch makes one function of the comparison.
func (s *builder) newFetch(network, code properties, contender Contender, memoryMB int, arch string) {
	// The bucket's connections are opened in INIT, by its name.
	environment := properties{"BUCKET": s.bucket.name}
	if s.Concurrency > 0 {
		environment["CONCURRENCY"] = strconv.Itoa(s.Concurrency)
	}
	if s.BandwidthQuota {
		environment["BANDWIDTH"] = lambda.QuotaBandwidth
	}
	id := fmt.Sprintf("Fetch%d%s", memoryMB, archID[arch])
	what := fmt.Sprintf("%d MB, %s", memoryMB, arch)
	if contender.Name == GoContender {
		environment["CLIENT"] = s.Client
	} else { // whose clients are its own affair
		id += idOf(contender.Name)
		what += ", " + contender.Name
	}
	f := function{
		description: "Reads objects concurrently, " + what,
		arch:        arch,
		code:        code,
		runtime:     contender.Runtime.Name,
		handler:     contender.Handler,
		memoryMB:    memoryMB,
		timeout:     s.Timeout,
		environment: environment,
		network:     network,
		statements:  s.bucket.readStatements(s.Objects.Prefix),
		tags:        []string{"memory-mb", strconv.Itoa(memoryMB), "architecture", arch, "contender", contender.Name},
		known:       s.bucket.wildcard(s.Objects.Prefix+"*", "the function reads every object under its prefix, in one bucket, and nothing else"),
	}
	if contender.Name == GoContender && s.Scan.by(memoryMB, arch) {
		s.scanWith(id, &f)
	} else {
		f.statements = append(f.statements, s.bucket.keyStatements(false)...)
	}
	s.newFunction(id, f)
	s.output(outputs.Function(memoryMB, arch, contender.Name), attribute(id, "Arn"), "The function with "+what)
}

// statement is one of a policy, as IAM has it.
type statement = properties

func policy(statements ...statement) properties {
	all := make(list, 0, len(statements))
	for _, st := range statements {
		all = append(all, st)
	}
	return properties{"Version": "2012-10-17", "Statement": all}
}

func allow(resource any, actions ...string) statement {
	st := statement{"Effect": "Allow", "Action": actions[0], "Resource": resource}
	if len(actions) > 1 {
		slices.Sort(actions)
		st["Action"] = texts(actions)
	}
	return st
}

func texts(all []string) list {
	l := make(list, 0, len(all))
	for _, text := range all {
		l = append(l, text)
	}
	return l
}

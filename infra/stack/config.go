package stack

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/lambda"
	"fanout/functions/outputs"
	"fanout/functions/store"
)

// Limits of what a stack may ask for.
const (
	// MaxMemories keeps a stack of both architectures under CloudFormation's
	// 200 outputs and 500 resources: three resources and an output a function.
	MaxMemories = 64

	// MaxFunctions does so where there are several contenders.
	MaxFunctions = 2 * MaxMemories

	// MaxObjects is what the seeder puts well within its time-out.
	MaxObjects = 10_000

	// MaxCorpusBytes is 10 GiB, which at the 75 MB/s that Lambda gives a
	// function (625 Mbit/s) takes two and a half of the seeder's ten minutes.
	MaxCorpusBytes = 10 << 30

	// maxObjectBytes is S3's limit for one PUT, 5 GiB.
	maxObjectBytes = 5 << 30

	// maxTimeout is Lambda's own limit.
	maxTimeout = 15 * time.Minute

	// maxSubnets and maxGroups are Lambda's own limits for a function.
	maxSubnets = 16
	maxGroups  = 5
)

// Names that are allowed, and the ones taken where nothing is said.
var (
	defaultMemories = []int{128, 256, 512, 1024, 1769, 3008}
	architectures   = []string{lambda.ARM, lambda.X86}

	// retentions are the days that CloudWatch Logs allows.
	retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731,
		1096, 1827, 2192, 2557, 2922, 3288, 3653}
)

// GoContender is this repository's own functions, which need no zip named.
const GoContender = outputs.GoContender

const (
	defaultName      = "Fanout"
	defaultTimeout   = 2 * time.Minute
	defaultRetention = 7
)

// Config is what a stack is made from. Start from [ParseContext], which
// checks every field.
type Config struct {
	Name                string        // of the CloudFormation stack
	Account             Account       // where it will be deployed, as far as that is known
	Memories            []int         // MB, each once
	Architectures       []string      // `arm64`, `x86_64`, each once
	Contenders          []Contender   // what is deployed, each once
	Objects             corpus.Spec   // the seed objects; only its Prefix counts with FunctionsOnly
	Concurrency         int           // GETs in flight; 0: the function chooses
	BandwidthQuota      bool          // functions have a bandwidth that grows with the memory size, as lambda.Bandwidth has it
	Client              string        // the functions' S3 client
	Timeout             time.Duration // of one invocation, whole seconds
	LogRetention        int           // days
	VPC                 bool          // functions in private subnets of a VPC made for them, S3 by a gateway endpoint
	VPCID               string        // … or in this VPC, which is there and has a way to S3: …
	SubnetIDs           []string      // … in these subnets; nil: its private ones, looked up
	SecurityGroupIDs    []string      // … and these groups; none: one is made
	Express             bool          // an S3 Express directory bucket …
	Zone                string        // … in this availability zone's ID
	BucketKey           string        // ARN of the KMS key of the bucket's objects; "": S3's own keys
	EmptyBucket         bool          // a delete takes away others' objects, too
	FunctionsOnly       bool          // no bucket and no seeder: …
	BucketName          string        // … this bucket is read and never written
	PermissionsBoundary string        // ARN of a policy that every role is bounded by; "": none
	Scan                *Scan         // the state machine that reads a whole bucket; nil: none
}

// Account is where `cdk` is about to deploy to: what the credentials in its
// environment are for. Either may be "", where nobody knows.
type Account struct{ ID, Region string }

// DirectoryBucket says whether the functions read an S3 Express directory
// bucket. One that was brought along tells by its name.
func (c Config) DirectoryBucket() bool {
	_, directory := lambda.DirectoryBucket(c.BucketName)
	return c.Express || directory
}

// seederArchitecture is one that is deployed anyhow: there may be no other.
func (c Config) seederArchitecture() string {
	if slices.Contains(c.Architectures, lambda.ARM) {
		return lambda.ARM
	}
	return lambda.X86
}

// environment ties the stack to one account and region where something of
// theirs is looked up. Without it the template is good for any of them.
func (c Config) environment() *awscdk.Environment {
	if c.VPCID == "" || c.SubnetIDs != nil {
		return nil
	}
	return &awscdk.Environment{Account: jsii.String(c.Account.ID), Region: jsii.String(c.Account.Region)}
}

// ContextError says which context value was refused, and what is allowed.
type ContextError struct {
	Key     string
	Value   any    // as it was given
	Reason  string // what is wrong with it
	Allowed string // what would do
}

func (e *ContextError) Error() string {
	return fmt.Sprintf("context %s=%s: %s", e.Key, shown(e.Value), e.Reason)
}

// Hint says what would do instead.
func (e *ContextError) Hint() string { return "allowed: " + e.Allowed }

// shown gives a value as someone would have written it after -c KEY=.
func shown(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

var (
	nameRE   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,99}$`)
	vpcRE    = regexp.MustCompile(`^vpc-[0-9a-f]{8,17}$`)
	subnetRE = regexp.MustCompile(`^subnet-[0-9a-f]{8,17}$`)
	groupRE  = regexp.MustCompile(`^sg-[0-9a-f]{8,17}$`)
	keyRE    = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)
	policyRE = regexp.MustCompile(`^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[!-~]+$`)
	zoneRE   = regexp.MustCompile(`^[a-z]+[0-9]+(-[a-z]+[0-9]+)?-az[0-9]+$`)
)

// ParseContext reads the CDK context, whose values are strings when they come
// from the command line and any JSON when they come from cdk.json. What is not
// there gets its default. to is where the stack will be deployed, so that what
// there is not there can be refused. The error is a *[ContextError].
//
// cdk has the keys that the CDK keeps ([CDKContext]). They are left alone, and
// so are keys with a `:`, `/`, `@` or `-` in them, which ours do not have. Any
// other key that is not known is refused, so that a slip of the pen does not
// deploy the defaults.
func ParseContext(context map[string]any, cdk map[string]bool, to Account) (Config, error) {
	r := &reader{context: context, cdk: cdk}
	c := Config{
		Name:    r.text("stackName", defaultName, nameRE, "a letter, then up to 99 letters, digits and hyphens"),
		Account: to,
		Memories: r.integers("memories", defaultMemories, lambda.MinMemoryMB, lambda.MaxMemoryMB, MaxMemories,
			fmt.Sprintf("up to %d different whole numbers of MB from %d to %d, as in 128,1769",
				MaxMemories, lambda.MinMemoryMB, lambda.MaxMemoryMB)),
		Architectures: r.words("architectures", architectures),
		Concurrency:   r.concurrency(),
		BandwidthQuota: r.word("bandwidth", lambda.FlatBandwidth,
			[]string{lambda.FlatBandwidth, lambda.QuotaBandwidth}) == lambda.QuotaBandwidth,
		Client: r.word("client", store.Default, store.Names),
		Timeout: time.Duration(r.integer("timeout", int64(defaultTimeout/time.Second), 1, int64(maxTimeout/time.Second),
			"whole seconds from 1 to 900")) * time.Second,
		LogRetention:  r.oneOf("logRetention", defaultRetention, retentions),
		VPC:           r.boolean("vpc"),
		Express:       r.boolean("express"),
		EmptyBucket:   r.boolean("emptyBucket"),
		FunctionsOnly: r.boolean("functionsOnly"),
	}
	c.Zone = r.needs("zone", "express", c.Express, zoneRE, "an availability zone's ID, as in use1-az4 (`aws ec2 describe-availability-zones`)")
	c.BucketName = r.bucketName(c.FunctionsOnly)
	c.BucketKey = r.text("bucketKey", "", keyRE,
		"the ARN of a KMS key, as in arn:aws:kms:eu-central-1:111111111111:key/UUID; not an alias, which IAM does not take for a key")
	c.PermissionsBoundary = r.text("permissionsBoundary", "", policyRE, "the ARN of a policy, as in arn:aws:iam::111111111111:policy/NAME")
	r.network(&c)
	c.Objects = r.objects(c.FunctionsOnly)
	c.Contenders = r.contenders(c.Architectures)
	c.Scan = r.scan(c)
	r.together(c)
	r.place(c)
	r.unknown()
	if r.err != nil {
		return Config{}, r.err
	}
	return c, nil
}

// concurrency reads `auto` as `fanout run` does, which leaves the choice to
// the function.
func (r *reader) concurrency() int {
	if v, _ := r.get("concurrency"); v == "auto" {
		return 0
	}
	return int(r.integer("concurrency", 0, 1, fetch.MaxConcurrency,
		fmt.Sprintf("auto, which lets the function choose, or a whole number from 1 to %d", fetch.MaxConcurrency)))
}

// network reads where the functions are.
func (r *reader) network(c *Config) {
	const subnets = "up to 16 different IDs of subnets, as in subnet-0123456789abcdef0"
	c.VPCID = r.text("vpcId", "", vpcRE, "a VPC's ID, as in vpc-0123456789abcdef0")
	c.SubnetIDs = r.ids("subnetIds", maxSubnets, subnetRE, subnets)
	c.SecurityGroupIDs = r.ids("securityGroupIds", maxGroups, groupRE, "up to 5 different IDs of security groups, as in sg-0123456789abcdef0")
	switch {
	case c.VPC && c.VPCID != "":
		r.fail("vpcId", "vpc=true makes a VPC of its own", "one of the two")
	case c.VPCID == "" && c.SubnetIDs != nil:
		r.fail("subnetIds", "means nothing without vpcId", "only together with vpcId=ID")
	case c.VPCID == "" && c.SecurityGroupIDs != nil:
		r.fail("securityGroupIds", "means nothing without vpcId", "only together with vpcId=ID")
	case c.VPCID == "" || c.SubnetIDs != nil:
	case c.directoryZone() != "":
		// A look-up tells a subnet's zone by a name that means another zone in
		// each account.
		r.fail("subnetIds", "missing: the subnets must be in the directory bucket's zone, "+c.directoryZone(),
			subnets+" (`aws ec2 describe-subnets` has their AvailabilityZoneId)")
	case c.Account.ID == "" || c.Account.Region == "":
		r.fail("vpcId", "its subnets cannot be looked up: no credentials in the environment, or no region",
			"AWS_PROFILE and AWS_REGION set, or the subnets named by -c subnetIds=ID,ID")
	}
}

// together refuses what does not go together.
func (r *reader) together(c Config) {
	if functions := len(c.Memories) * len(c.Architectures) * len(c.Contenders); functions > MaxFunctions {
		r.fail("contenders", fmt.Sprintf("%d functions with these memories and architectures", functions),
			fmt.Sprintf("at most %d functions in all, the most that fit in a CloudFormation stack", MaxFunctions))
	}
	if c.BandwidthQuota && (c.VPC || c.VPCID != "") {
		r.fail("bandwidth", "AWS grants more bandwidth only to functions outside a VPC", "flat, or no vpc and vpcId")
	}
	if c.FunctionsOnly && c.Express {
		r.fail("express", "functionsOnly creates no bucket",
			"leave it out: a bucketName that ends in --x-s3 is a directory bucket's")
	}
	if c.FunctionsOnly && c.EmptyBucket {
		r.fail("emptyBucket", "an existing bucket is never emptied", "only without functionsOnly")
	}
}

// Package stack defines Fanout's CloudFormation stack: the bucket, its seed
// objects, and one function for each memory size and architecture.
//
// [ParseContext] turns the CDK's context into a checked [Config], [New] makes
// the stack from it. Nothing in it has a physical name, so that two stacks can
// stand side by side, and nothing of it outlives `cdk destroy`.
package stack

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3express"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"fanout/functions/corpus"
)

// The seeder's limits. CloudFormation waits longer than the function may run,
// so that what the seeder has to say about running out of time still arrives.
const (
	seederMemoryMB     = 1769 // one vCPU: most of its work is checksums and TLS
	seederTimeout      = 10 * time.Minute
	seederAnswerWithin = 15 * time.Minute
)

// New adds the stack to an app. build is the folder that holds
// fetch/ARCHITECTURE/bootstrap and seed/arm64/bootstrap; an error says which
// of them, or of the contenders' zips, is not there.
//
// The stack's outputs are what others go by. There is one for each function,
// its ARN, under a name like Fetch1769ArmArn or Fetch512X86Arn, with another
// contender's name in it where it is not Go, Fetch512X86RustArn; Bucket, Prefix
// and Region; and, unless the bucket was brought along, Objects: the
// [corpus.Spec] of the seed objects as JSON. A function's memory, architecture
// and client are in its own configuration.
func New(app constructs.Construct, c Config, build string) (awscdk.Stack, error) {
	for _, b := range bootstraps(c) {
		if _, err := os.Stat(filepath.Join(build, b, "bootstrap")); err != nil {
			return nil, fmt.Errorf("look for a function's build: %w", err)
		}
	}
	for _, contender := range c.Contenders {
		for arch, path := range contender.Zips {
			if err := checkZip(path, arch); err != nil {
				return nil, &ContextError{Key: zipKey + contender.Name + "." + arch, Value: path, Reason: err.Error(), Allowed: "the path of a zip that holds a bootstrap for " + arch}
			}
		}
	}
	s := awscdk.NewStack(app, jsii.String(c.Name), &awscdk.StackProps{
		Description: jsii.String("Fanout: concurrent S3 reads in AWS Lambda, one function for each memory size and architecture"),
	})
	tag(s, "app", "fanout")
	tag(s, "stack", c.Name)

	b := newBucket(s, c)
	var network *awslambda.FunctionProps
	if c.VPC {
		network = newNetwork(s, c, b)
	}
	for _, contender := range c.Contenders {
		for _, arch := range c.Architectures {
			if !contender.on(arch) {
				continue
			}
			path := filepath.Join(build, "fetch", arch)
			if contender.Name != GoContender {
				path = contender.Zips[arch]
			}
			code := awslambda.Code_FromAsset(jsii.String(path), nil)
			for _, memoryMB := range c.Memories {
				newFetch(s, c, b, network, code, contender.Name, memoryMB, arch)
			}
		}
	}
	if !c.FunctionsOnly {
		newSeeder(s, c, b, build)
	}

	output(s, "Bucket", b.name, "The bucket that the functions read")
	output(s, "Prefix", jsii.String(c.Objects.Prefix), "What the names of the objects begin with")
	output(s, "Region", s.Region(), "The region that all of this is in")
	return s, nil
}

// bootstraps lists the folders, under the build folder, that a stack's
// functions are made from.
func bootstraps(c Config) []string {
	var all []string
	if slices.ContainsFunc(c.Contenders, func(contender Contender) bool { return contender.Name == GoContender }) {
		for _, arch := range c.Architectures {
			all = append(all, filepath.Join("fetch", arch))
		}
	}
	if !c.FunctionsOnly {
		all = append(all, filepath.Join("seed", "arm64"))
	}
	return all
}

// machines are the processors of the architectures.
var machines = map[string]elf.Machine{"arm64": elf.EM_AARCH64, "x86_64": elf.EM_X86_64}

// checkZip finds out what Lambda would only say at the first invocation: that
// there is no bootstrap in a package, or one for another processor.
func checkZip(path, arch string) error {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer archive.Close() //nolint:errcheck // only read from
	f, err := archive.Open("bootstrap")
	if err != nil {
		return errors.New("no bootstrap in it")
	}
	defer f.Close() //nolint:errcheck // only read from
	program, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	binary, err := elf.NewFile(bytes.NewReader(program))
	if err == nil && binary.Machine != machines[arch] {
		return fmt.Errorf("its bootstrap is for %s", binary.Machine)
	}
	return nil // a script, say
}

// bucket is what the rest of the stack needs to know of the bucket, whatever
// its kind and whoever made it.
type bucket struct {
	name, arn *string
	directory bool
}

func newBucket(s awscdk.Stack, c Config) bucket {
	switch {
	case c.FunctionsOnly && c.DirectoryBucket():
		arn := s.FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("s3express"), Resource: jsii.String("bucket"), ResourceName: jsii.String(c.BucketName),
		})
		return bucket{name: jsii.String(c.BucketName), arn: arn, directory: true}

	case c.FunctionsOnly:
		b := awss3.Bucket_FromBucketName(s, jsii.String("Bucket"), jsii.String(c.BucketName))
		return bucket{name: b.BucketName(), arn: b.BucketArn()}

	case c.Express:
		// A directory bucket is encrypted, closed to the public and open to TLS
		// alone whatever one says: none of that can be turned off.
		b := awss3express.NewCfnDirectoryBucket(s, jsii.String("Bucket"), &awss3express.CfnDirectoryBucketProps{
			DataRedundancy: jsii.String("SingleAvailabilityZone"),
			LocationName:   jsii.String(c.Zone),
		})
		b.ApplyRemovalPolicy(awscdk.RemovalPolicy_DESTROY, nil)
		return bucket{name: b.Ref(), arn: b.AttrArn(), directory: true}

	default:
		// The seeder empties the bucket before CloudFormation deletes it.
		b := awss3.NewBucket(s, jsii.String("Bucket"), &awss3.BucketProps{
			BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
			Encryption:        awss3.BucketEncryption_S3_MANAGED,
			EnforceSSL:        jsii.Bool(true),
			RemovalPolicy:     awscdk.RemovalPolicy_DESTROY,
		})
		accept(b, findings{
			"CKV_AWS_18": "the objects are made up; a log of each GET would cost more than the GETs that are measured",
			"CKV_AWS_21": "the objects can be made again from the seed at any time",
		})
		return bucket{name: b.BucketName(), arn: b.BucketArn()}
	}
}

// readStatements let a function list the bucket under a prefix and get the
// objects there. A directory bucket knows no narrower right than a session
// with the whole bucket, here one that only reads.
func (b bucket) readStatements(prefix string) []awsiam.PolicyStatement {
	if b.directory {
		return []awsiam.PolicyStatement{b.session("ReadOnly")}
	}
	list := &awsiam.PolicyStatementProps{
		Actions:   jsii.Strings("s3:ListBucket"),
		Resources: &[]*string{b.arn},
	}
	if prefix != "" {
		list.Conditions = &map[string]any{"StringLike": map[string]any{"s3:prefix": prefix + "*"}}
	}
	return []awsiam.PolicyStatement{
		awsiam.NewPolicyStatement(list),
		allow([]string{"s3:GetObject"}, b.under(prefix+"*")),
	}
}

// seedStatements let the seeder see and replace everything in the bucket, all
// versions included: it has to leave the bucket empty in the end.
func (b bucket) seedStatements() []awsiam.PolicyStatement {
	if b.directory {
		return []awsiam.PolicyStatement{b.session("ReadWrite")}
	}
	return []awsiam.PolicyStatement{
		allow([]string{"s3:ListBucket", "s3:ListBucketVersions"}, b.arn),
		allow([]string{"s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"}, b.under("*")),
	}
}

func (b bucket) under(keys string) *string {
	return jsii.String(*b.arn + "/" + keys)
}

func (b bucket) session(mode string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:    jsii.Strings("s3express:CreateSession"),
		Resources:  &[]*string{b.arn},
		Conditions: &map[string]any{"StringEquals": map[string]any{"s3express:SessionMode": mode}},
	})
}

// newNetwork makes a VPC whose subnets have no way out but the gateway
// endpoint to S3, and gives what puts a function there.
func newNetwork(s awscdk.Stack, c Config, b bucket) *awslambda.FunctionProps {
	subnets := &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED}
	vpc := awsec2.NewVpc(s, jsii.String("Vpc"), &awsec2.VpcProps{
		MaxAzs:      jsii.Number(2),
		NatGateways: jsii.Number(0),
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{
			{Name: jsii.String("Functions"), SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED},
		},
		// It would take a custom resource of the CDK's own to empty a group
		// that nothing here is in.
		RestrictDefaultSecurityGroup: jsii.Bool(false),
	})
	service := awsec2.GatewayVpcEndpointAwsService_S3()
	if b.directory {
		service = awsec2.GatewayVpcEndpointAwsService_S3_EXPRESS()
	}
	endpoint := vpc.AddGatewayEndpoint(jsii.String("S3"), &awsec2.GatewayVpcEndpointOptions{
		Service: service,
		Subnets: &[]*awsec2.SubnetSelection{subnets},
	})
	for _, statement := range b.readStatements(c.Objects.Prefix) {
		statement.AddAnyPrincipal() // an endpoint's policy needs one; the role's policy still decides who
		endpoint.AddToPolicy(statement)
	}
	group := awsec2.NewSecurityGroup(s, jsii.String("Group"), &awsec2.SecurityGroupProps{
		Vpc:              vpc,
		Description:      jsii.String("Fanout functions: HTTPS out and nothing in"),
		AllowAllOutbound: jsii.Bool(false),
	})
	// Any address, since S3's are many and change. The subnets have a route to
	// nothing else.
	group.AddEgressRule(awsec2.Peer_AnyIpv4(), awsec2.Port_Tcp(jsii.Number(443)), jsii.String("HTTPS to S3 by the gateway endpoint"), nil)
	return &awslambda.FunctionProps{
		Vpc: vpc, VpcSubnets: subnets, SecurityGroups: &[]awsec2.ISecurityGroup{group},
	}
}

// vpcStatements let Lambda attach a function to a VPC, and keep the function's
// own code from using that right. These actions know no resource to name.
func vpcStatements(s awscdk.Stack) []awsiam.PolicyStatement {
	actions := []string{
		"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
		"ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
	}
	functions := s.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("lambda"), Resource: jsii.String("function"), ResourceName: jsii.String("*"),
		ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	return []awsiam.PolicyStatement{
		allow(actions, jsii.String("*")),
		awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Effect:     awsiam.Effect_DENY,
			Actions:    jsii.Strings(actions...),
			Resources:  jsii.Strings("*"),
			Conditions: &map[string]any{"ArnLike": map[string]any{"lambda:SourceFunctionArn": functions}},
		}),
	}
}

// newFetch makes one function of the comparison.
func newFetch(s awscdk.Stack, c Config, b bucket, network *awslambda.FunctionProps, code awslambda.Code, contender string, memoryMB int, arch string) {
	// The bucket's connections are opened in INIT, by its name.
	environment := map[string]*string{"BUCKET": b.name}
	if c.Concurrency > 0 {
		environment["CONCURRENCY"] = jsii.String(strconv.Itoa(c.Concurrency))
	}
	id := fmt.Sprintf("Fetch%d%s", memoryMB, map[string]string{"arm64": "Arm", "x86_64": "X86"}[arch])
	what := fmt.Sprintf("%d MB, %s", memoryMB, arch)
	if contender == GoContender {
		environment["CLIENT"] = jsii.String(c.Client)
	} else { // whose clients are its own affair
		id += strings.ToUpper(contender[:1]) + contender[1:]
		what += ", " + contender
	}
	props := awslambda.FunctionProps{}
	statements := b.readStatements(c.Objects.Prefix)
	if network != nil {
		props = *network
		statements = append(statements, vpcStatements(s)...)
	}
	props.Description = jsii.String("Reads objects concurrently, " + what)
	props.Architecture = architecture(arch)
	props.Code = code
	props.MemorySize = jsii.Number(memoryMB)
	props.Timeout = seconds(c.Timeout)
	props.Environment = &environment
	f := newFunction(s, id, c, props, statements)
	tag(f, "memory-mb", strconv.Itoa(memoryMB))
	tag(f, "architecture", arch)
	tag(f, "contender", contender)
	output(s, id+"Arn", f.FunctionArn(), "The function with "+what)
}

// newSeeder makes the custom resource that stands for the seed objects, and
// the function behind it.
func newSeeder(s awscdk.Stack, c Config, b bucket, build string) {
	f := newFunction(s, "Seeder", c, awslambda.FunctionProps{
		Description:  jsii.String("Puts Fanout's seed objects, and empties the bucket when the stack goes"),
		Architecture: awslambda.Architecture_ARM_64(),
		Code:         awslambda.Code_FromAsset(jsii.String(filepath.Join(build, "seed", "arm64")), nil),
		MemorySize:   jsii.Number(seederMemoryMB),
		Timeout:      seconds(seederTimeout),
	}, b.seedStatements())

	o := c.Objects
	// All as text, which is what CloudFormation makes of it anyhow; a seed
	// would not survive as a JSON number.
	awscdk.NewCustomResource(s, jsii.String("Objects"), &awscdk.CustomResourceProps{
		ServiceToken:   f.FunctionArn(),
		ServiceTimeout: seconds(seederAnswerWithin),
		ResourceType:   jsii.String("Custom::FanoutObjects"),
		Properties: &map[string]any{
			"Bucket":   b.name,
			"Prefix":   o.Prefix,
			"Objects":  strconv.Itoa(o.Count),
			"MinBytes": strconv.FormatInt(o.MinBytes, 10),
			"MaxBytes": strconv.FormatInt(o.MaxBytes, 10),
			"Seed":     strconv.FormatUint(o.Seed, 10),
			"Needle":   o.Needle,
		},
	})
	output(s, "Objects", jsii.String(specJSON(o)), "The seed objects, as JSON")
}

func specJSON(spec corpus.Spec) string {
	b, err := json.Marshal(spec)
	if err != nil {
		panic(err) // numbers and text: it cannot fail
	}
	return string(b)
}

// newFunction adds to props what every function of the stack has: the runtime,
// a log group of its own that goes with the stack, and a role that lets it
// write there and do what statements say.
func newFunction(s awscdk.Stack, id string, c Config, props awslambda.FunctionProps, statements []awsiam.PolicyStatement) awslambda.Function {
	logs := awslogs.NewLogGroup(s, jsii.String(id+"Logs"), &awslogs.LogGroupProps{
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	// The CDK has a name for each number of days; the number itself will do.
	resource[awslogs.CfnLogGroup](logs).SetRetentionInDays(jsii.Number(c.LogRetention))
	accept(logs, findings{"CKV_AWS_158": "logs hold no secrets; CloudWatch encrypts them with a key of its own"})

	write := allow([]string{"logs:CreateLogStream", "logs:PutLogEvents"}, logs.LogGroupArn())
	all := append([]awsiam.PolicyStatement{write}, statements...)
	role := awsiam.NewRole(s, jsii.String(id+"Role"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
		// In the role, so that a function that has its role has its rights too:
		// a policy beside it could still be on its way.
		InlinePolicies: &map[string]awsiam.PolicyDocument{
			"Function": awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &all}),
		},
	})

	props.Runtime = awslambda.Runtime_PROVIDED_AL2023()
	props.Handler = jsii.String("bootstrap")
	props.Role = role
	props.LogGroup = logs
	props.LoggingFormat = awslambda.LoggingFormat_JSON
	f := awslambda.NewFunction(s, jsii.String(id), &props)
	known := findings{
		"CKV_AWS_115": "a reserved concurrency would take it from the account's other functions",
		"CKV_AWS_116": "whoever invokes it waits for the answer: no event is lost unseen",
		"CKV_AWS_173": "the environment names a client and a number, no secret",
		"W3005":       "the CDK makes a function wait for its role in so many words",
	}
	if props.Vpc == nil {
		known["CKV_AWS_117"] = "it needs nothing but S3; -c vpc=true puts the functions into a VPC"
	} else {
		accept(role, findings{"CKV_AWS_111": "Lambda's right to attach a function to a VPC cannot name a resource; the function's code is denied it"})
	}
	accept(f, known)
	return f
}

func allow(actions []string, resource *string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: jsii.Strings(actions...), Resources: &[]*string{resource},
	})
}

func architecture(name string) awslambda.Architecture {
	if name == "arm64" {
		return awslambda.Architecture_ARM_64()
	}
	return awslambda.Architecture_X86_64()
}

func seconds(d time.Duration) awscdk.Duration {
	return awscdk.Duration_Seconds(jsii.Number(d.Seconds()))
}

func tag(c constructs.Construct, key, value string) {
	awscdk.Tags_Of(c).Add(jsii.String(key), jsii.String(value), nil)
}

func output(s awscdk.Stack, id string, value *string, description string) {
	awscdk.NewCfnOutput(s, jsii.String(id+"Output"), &awscdk.CfnOutputProps{
		Value: value, Description: jsii.String(description),
	}).OverrideLogicalId(jsii.String(id))
}

// findings are checks of cfn-lint and checkov that a resource is known to
// fail, each with the reason why that is right here.
type findings map[string]string

// accept writes the reasons beside the resource in the template, where the two
// tools look for them.
func accept(c constructs.IConstruct, f findings) {
	var skip []map[string]string
	var ignore, reasons []string
	for _, id := range slices.Sorted(maps.Keys(f)) {
		if strings.HasPrefix(id, "CKV") {
			skip = append(skip, map[string]string{"id": id, "comment": f[id]})
		} else {
			ignore, reasons = append(ignore, id), append(reasons, id+": "+f[id])
		}
	}
	r := resource[awscdk.CfnResource](c)
	if skip != nil {
		r.AddMetadata(jsii.String("checkov"), map[string]any{"skip": skip})
	}
	if ignore != nil {
		r.AddMetadata(jsii.String("cfn-lint"), map[string]any{
			"config": map[string]any{"ignore_checks": ignore}, "comment": strings.Join(reasons, "; "),
		})
	}
}

// resource gives the CloudFormation resource that a construct stands for.
func resource[T awscdk.CfnResource](c constructs.IConstruct) T {
	if r, ok := any(c).(T); ok {
		return r
	}
	r, ok := c.Node().DefaultChild().(T)
	if !ok {
		panic(fmt.Sprintf("%s: not a %T", *c.Node().Path(), r))
	}
	return r
}

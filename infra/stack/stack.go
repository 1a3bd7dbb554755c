// Package stack defines Fanout's CloudFormation stack: the bucket, its seed
// objects, and one function for each memory size and architecture.
//
// [ParseContext] turns the CDK's context into a checked [Config], [New] makes
// the stack from it. Nothing in it has a physical name, so that two stacks can
// stand side by side, and nothing of it outlives `cdk destroy`.
//
// Resources are written as CloudFormation's documentation has them, by
// [awscdk.NewCfnResource]. The constructs of the CDK's packages for Lambda, EC2
// and S3 would make the same template, and take most of a minute to compile;
// cfn-lint, checkov and cdk-nag look at what comes out instead.
package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"fanout/functions/outputs"
)

// New adds the stack to an app. build is the folder that holds
// fetch/ARCHITECTURE/bootstrap and seed/ARCHITECTURE/bootstrap; an error says
// which of them, or of the contenders' zips, is not there.
//
// The stack's outputs are what others go by. There is one for each function,
// its ARN, under a name like Fetch1769ArmArn or Fetch512X86Arn, with another
// contender's name in it where it is not Go, Fetch512X86RustArn; Bucket, Prefix
// and Region; unless the bucket was brought along, Objects: the [corpus.Spec]
// of the seed objects as JSON, in ASCII; and, with a scan, ScanStateMachineArn
// and ScanResultsBucket. A function's memory, architecture and client are in
// its own configuration.
//
// [corpus.Spec]: https://pkg.go.dev/fanout/functions/corpus#Spec
func New(app constructs.Construct, c Config, build string) (awscdk.Stack, error) {
	for _, b := range bootstraps(c) {
		if _, err := os.Stat(filepath.Join(build, b, "bootstrap")); err != nil {
			return nil, fmt.Errorf("look for a function's build: %w", err)
		}
	}
	for _, contender := range c.Contenders {
		for arch, path := range contender.Zips {
			if err := contender.checkZip(path, arch); err != nil {
				return nil, &ContextError{
					Key: zipKey + contender.Name + "." + arch, Value: path, Reason: err.Error(),
					Allowed: "the path of a zip that " + contender.Runtime.Name + " can start on " + arch,
				}
			}
		}
	}
	s := &builder{Config: c, build: build, stack: awscdk.NewStack(app, jsii.String(c.Name), &awscdk.StackProps{
		Description: jsii.String("Fanout: concurrent S3 reads in AWS Lambda, one function for each memory size and architecture"),
		Env:         c.environment(),
	})}
	s.warn()
	s.bucket = s.newBucket()
	if c.Scan != nil {
		s.results = s.newResultsBucket()
	}
	network, err := s.newNetwork()
	if err != nil {
		return nil, err
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
			code := s.asset("Code"+idOf(contender.Name)+archID[arch], path)
			for _, memoryMB := range c.Memories {
				s.newFetch(network, code, contender, memoryMB, arch)
			}
		}
	}
	if !c.FunctionsOnly {
		s.newObjects()
	}
	if c.Scan != nil {
		s.newScan()
	}
	s.output(outputs.Bucket, s.bucket.name, "The bucket that the functions read")
	s.output(outputs.Prefix, c.Objects.Prefix, "What the names of the objects begin with")
	s.output(outputs.Region, ref("AWS::Region"), "The region that all of this is in")
	return s.stack, nil
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
	if !c.FunctionsOnly || c.Scan != nil {
		all = append(all, filepath.Join("seed", c.seederArchitecture()))
	}
	return all
}

// builder makes the resources of one stack.
type builder struct {
	Config
	stack  awscdk.Stack
	build  string // the folder
	bucket bucket
	seeder properties // where its code lies, once it is asked for

	// With a scan.
	results bucket // where it writes
	scanner string // ID of the function that it invokes
}

// Parts of a template, as CloudFormation has them in JSON.
type (
	properties = map[string]any
	list       = []any
)

// ref is what CloudFormation's Ref gives of a resource, or a pseudo parameter.
func ref(id string) properties { return properties{"Ref": id} }

// attribute is one of a resource's attributes, of its ARN for one.
func attribute(id, name string) properties { return properties{"Fn::GetAtt": list{id, name}} }

// sub fills in `${…}` in a text.
func sub(text string) properties { return properties{"Fn::Sub": text} }

// joined puts texts and references together.
func joined(parts ...any) properties { return properties{"Fn::Join": list{"", list(parts)}} }

// add makes a resource under an ID that is its logical ID, too. known are the
// checks that it is right to fail.
func (s *builder) add(id, kind string, p properties, known findings) awscdk.CfnResource {
	r := awscdk.NewCfnResource(s.stack, jsii.String(id), &awscdk.CfnResourceProps{Type: jsii.String(kind), Properties: &p})
	known.accept(r)
	return r
}

// addStored is add for what holds data, or keeps a stack from going: it is
// deleted with the stack, or as soon as another takes its place.
func (s *builder) addStored(id, kind string, p properties, known findings) {
	s.add(id, kind, p, known).ApplyRemovalPolicy(awscdk.RemovalPolicy_DESTROY, nil)
}

// tags are what every resource of the stack has, and more of its own: pairs of
// a key and a value.
func (s *builder) tags(more ...string) list {
	var all list
	for pair := range slices.Chunk(append([]string{"app", "fanout", "stack", s.Name}, more...), 2) {
		all = append(all, properties{"Key": pair[0], "Value": pair[1]})
	}
	return all
}

func (s *builder) output(id string, value any, description string) {
	text, ok := value.(string)
	if !ok {
		text = *awscdk.Token_AsString(value, nil)
	}
	awscdk.NewCfnOutput(s.stack, jsii.String(id+"Output"), &awscdk.CfnOutputProps{
		Value: jsii.String(text), Description: jsii.String(description),
	}).OverrideLogicalId(jsii.String(id))
}

// asset has a file, or a folder as a zip, uploaded to where CloudFormation
// finds it, and says where that is.
func (s *builder) asset(id, path string) properties {
	staged := awscdk.NewAssetStaging(s.stack, jsii.String(id), &awscdk.AssetStagingProps{SourcePath: jsii.String(path)})
	at := s.stack.Synthesizer().AddFileAsset(&awscdk.FileAssetSource{
		SourceHash: staged.AssetHash(), Packaging: staged.Packaging(), FileName: staged.RelativeStagedPath(s.stack),
		DisplayName: jsii.String(id),
	})
	return properties{"S3Bucket": *at.BucketName, "S3Key": *at.ObjectKey}
}

// newAccountMemoryMB is the largest function that an account has that never
// asked for more (docs.aws.amazon.com/lambda/latest/dg/troubleshooting-deployment.html).
const newAccountMemoryMB = 3008

// warn says at synthesis what AWS may refuse only at deployment.
func (s *builder) warn() {
	if slices.Max(s.Memories) > newAccountMemoryMB {
		awscdk.Annotations_Of(s.stack).AddWarningV2(jsii.String("fanout:memory"), jsii.String(fmt.Sprintf(
			"memories above %[1]d MB: a new AWS account is refused them, with \"'MemorySize' value failed to satisfy constraint: "+
				"Member must have value less than or equal to %[1]d\"; AWS Support raises the limit. "+
				"docs/deploy.md has this and other quotas", newAccountMemoryMB)))
	}
	if warning := s.Objects.Shape.CutWarning(); warning != "" && !s.FunctionsOnly {
		awscdk.Annotations_Of(s.stack).AddWarningV2(jsii.String("fanout:shape"), jsii.String(warning))
	}
}

// idOf makes a name the end of an ID: rust, Rust.
func idOf(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

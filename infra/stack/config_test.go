package stack

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

func TestParseContextDefaults(t *testing.T) {
	// What the CDK adds of its own must not be taken for a slip of the pen.
	c, err := ParseContext(map[string]any{
		"@aws-cdk/core:newStyleStackSynthesis": true, "aws:cdk:enable-path-metadata": true,
		"availability-zones:account=1:region=eu-central-1": []any{"a"}, "cli/version": "2",
	}, nil, testAccount)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Memories, []int{128, 256, 512, 1024, 1769, 3008}) || !slices.Equal(c.Architectures, []string{"arm64", "x86_64"}) {
		t.Errorf("memories %v, architectures %v", c.Memories, c.Architectures)
	}
	if c.Objects != corpus.Default() || c.Name != "Fanout" || c.Client != "lean" || c.Concurrency != 0 {
		t.Errorf("%+v", c)
	}
	if len(c.Contenders) != 1 || c.Contenders[0].Name != "go" || c.Contenders[0].Zips != nil {
		t.Errorf("contenders %+v", c.Contenders)
	}
	if c.Timeout != 2*time.Minute || c.LogRetention != 7 || c.VPC || c.Express || c.FunctionsOnly || c.Scan != nil {
		t.Errorf("%+v", c)
	}
}

func TestParseContext(t *testing.T) {
	tests := []struct {
		name    string
		context string // as JSON, like cdk.json's
		ok      func(Config) bool
	}{
		// every value is text
		{"command line", `{"memories":"128, 1769","architectures":"x86_64","concurrency":"64","timeout":"900","logRetention":"1"}`,
			func(c Config) bool {
				return slices.Equal(c.Memories, []int{128, 1769}) && slices.Equal(c.Architectures, []string{"x86_64"}) &&
					c.Concurrency == 64 && c.Timeout == 15*time.Minute && c.LogRetention == 1
			}},
		{"cdk.json", `{"memories":[128,"1769"],"architectures":["arm64"],"concurrency":1,"timeout":1,"logRetention":3653}`, // numbers and arrays
			func(c Config) bool {
				return slices.Equal(c.Memories, []int{128, 1769}) && slices.Equal(c.Architectures, []string{"arm64"}) &&
					c.Concurrency == 1 && c.Timeout == time.Second && c.LogRetention == 3653
			}},
		{"one memory as a number", `{"memories":10240}`, // the upper end, and no list
			func(c Config) bool { return slices.Equal(c.Memories, []int{10240}) }},
		// the ends of the ranges
		{"objects",
			`{"objects":"10000","minBytes":"13","maxBytes":"13","seed":"18446744073709551615","needle":"MyMagicString","prefix":"a/b/"}`,
			func(c Config) bool {
				return c.Objects == corpus.Spec{Count: 10000, MinBytes: 13, MaxBytes: 13, Seed: 1<<64 - 1, Needle: "MyMagicString", Prefix: "a/b/"}
			}},
		{"sizes of a formula", `{"lognormal":"12000,400000"}`,
			func(c Config) bool {
				figures, ok := c.Objects.Shape.Lognormal()
				return ok && figures == "12000,400000" && c.Objects.Validate() == nil
			}},
		{"sizes of a formula, as a list", `{"lognormal":[100,2000]}`,
			func(c Config) bool { return c.Objects.Shape.Name() == "lognormal 100,2000" }},
		{"sizes of a file", `{"shape":"testdata/sizes.txt","objects":10}`,
			func(c Config) bool { return c.Objects.Shape.Name() == "sizes.txt" && c.Objects.Validate() == nil }},
		{"a needle with spaces", `{"needle":" x "}`, // its ends are part of it
			func(c Config) bool { return c.Objects.Needle == " x " }},
		{"a needle longer than the default sizes", `{"needle":"` + strings.Repeat("n", 1001) + `"}`, // the defaults give way
			func(c Config) bool { return c.Objects.MinBytes == 1001 && c.Objects.Validate() == nil }},
		{"minBytes above the default maxBytes", `{"minBytes":"60000"}`, // nobody asked for 50,000
			func(c Config) bool { return c.Objects.MaxBytes == 60000 }},
		{"null", `{"memories":null}`, // the way to leave a key of cdk.json out
			func(c Config) bool { return len(c.Memories) == 6 }},
		{"flags off", `{"vpc":"false","express":false,"functionsOnly":"false"}`, // text that is not empty is not yet true
			func(c Config) bool { return !c.VPC && !c.Express && !c.FunctionsOnly }},
		{"express", `{"express":"true","zone":"use1-az4"}`,
			func(c Config) bool { return c.Express && c.DirectoryBucket() && c.Zone == "use1-az4" }},
		{"express with a key",
			`{"express":true,"zone":"use1-az6","emptyBucket":"true",
			  "bucketKey":"arn:aws:kms:us-east-1:111111111111:key/mrk-0123456789abcdef0123456789abcdef"}`,
			func(c Config) bool { return strings.Contains(c.BucketKey, "key/mrk-") && c.EmptyBucket }},
		{"concurrency as run takes it", `{"concurrency":"auto"}`, // the default by its name
			func(c Config) bool { return c.Concurrency == 0 }},
		{"a bucket brought along, all of it", `{"functionsOnly":"true","bucketName":"mine"}`, // a prefix that nobody named would hide its objects
			func(c Config) bool { return c.Objects == corpus.Spec{} }},
		{"a VPC to look up", `{"vpcId":"vpc-0123abcd"}`,
			func(c Config) bool { return c.VPCID == "vpc-0123abcd" && c.SubnetIDs == nil && c.environment() != nil }},
		// good for any account
		{"a VPC by all its IDs",
			`{"vpcId":"vpc-0123abcd","subnetIds":["subnet-0123abcd","subnet-4567abcd"],"securityGroupIds":"sg-0123abcd"}`,
			func(c Config) bool {
				return len(c.SubnetIDs) == 2 && len(c.SecurityGroupIDs) == 1 && c.environment() == nil
			}},
		{"a directory bucket in a VPC's subnets", `{"vpcId":"vpc-0123abcd","subnetIds":"subnet-0123abcd","express":true,"zone":"use1-az4"}`,
			func(c Config) bool { return c.directoryZone() == "use1-az4" }},
		{"roles that are bounded", `{"permissionsBoundary":"arn:aws-us-gov:iam::111111111111:policy/a/b"}`, // another partition
			func(c Config) bool { return c.PermissionsBoundary != "" }},
		{"a bucket brought along", `{"functionsOnly":"true","bucketName":"my.bucket-1","prefix":""}`, // all of it
			func(c Config) bool {
				return c.FunctionsOnly && c.BucketName == "my.bucket-1" && c.Objects == corpus.Spec{} && !c.DirectoryBucket()
			}},
		{"a contender on the one architecture", `{"contenders":"go, rust","architectures":"x86_64","contenderZip.rust":"r.zip"}`,
			func(c Config) bool {
				return len(c.Contenders) == 2 && c.Contenders[1].Name == "rust" && c.Contenders[1].Zips["x86_64"] == "r.zip"
			}},
		{"a contender alone, on one architecture of two", `{"contenders":["rust"],"contenderZip.rust.arm64":"a.zip"}`, // Go is no must
			func(c Config) bool {
				return len(c.Contenders) == 1 && c.Contenders[0].on("arm64") && !c.Contenders[0].on("x86_64")
			}},
		{"contenders of managed runtimes", // each with what its language calls a handler, one package for both architectures
			`{"contenders":"go,python,node,java","contenderZip.python":"p.zip","contenderRuntime.python":"python3.13",
			  "contenderHandler.python":"handler.handler","contenderZip.node.any":"n.zip","contenderRuntime.node":"nodejs24.x",
			  "contenderHandler.node":"index.handler","contenderZip.java":"j.jar","contenderRuntime.java":"java25",
			  "contenderHandler.java":"fanout.Handler::handleRequest"}`,
			func(c Config) bool {
				python, node, java := c.Contenders[1], c.Contenders[2], c.Contenders[3]
				return python.Runtime.Name == "python3.13" && python.Handler == "handler.handler" && python.Zips["arm64"] == "p.zip" &&
					python.Zips["x86_64"] == "p.zip" && node.Zips["arm64"] == "n.zip" && node.Handler == "index.handler" &&
					java.Zips["x86_64"] == "j.jar" && java.Runtime.Language == lambda.Java
			}},
		{"a package with native code for one, and one for any", // the one for it is taken
			`{"contenders":"python","contenderZip.python.arm64":"a.zip","contenderZip.python.any":"p.zip","contenderRuntime.python":"python3.14",
			  "contenderHandler.python":"a/b.c"}`,
			func(c Config) bool {
				return c.Contenders[0].Zips["arm64"] == "a.zip" && c.Contenders[0].Zips["x86_64"] == "p.zip"
			}},
		{"a managed runtime on one architecture of two", // native, and not built for the other
			`{"contenders":"python","contenderZip.python.arm64":"a.zip","contenderRuntime.python":"python3.14","contenderHandler.python":"a.b"}`,
			func(c Config) bool { return c.Contenders[0].on("arm64") && !c.Contenders[0].on("x86_64") }},
		{"a script for any architecture", `{"contenders":"sh","contenderZip.sh.any":"s.zip"}`, // looked into later
			func(c Config) bool {
				return c.Contenders[0].Zips["arm64"] == "s.zip" && c.Contenders[0].Zips["x86_64"] == "s.zip" && !c.Contenders[0].Runtime.Managed()
			}},
		{"the runtime that is anyhow", `{"contenders":"rust","contenderZip.rust.arm64":"a.zip","contenderRuntime.rust":"provided.al2023"}`,
			func(c Config) bool {
				return c.Contenders[0].Runtime.Name == "provided.al2023" && c.Contenders[0].Handler == ""
			}},
		{"a scan", `{"scan":"true"}`, // by what README calls balanced
			func(c Config) bool { return *c.Scan == Scan{128, "arm64", "EXPRESS", "", 30} }},
		{"a scan where there is no such function", `{"scan":true,"memories":"1769,512","architectures":"x86_64"}`, // the smallest takes its place
			func(c Config) bool { return *c.Scan == Scan{512, "x86_64", "EXPRESS", "", 30} }},
		{"a scan of an inventory",
			`{"scan":"true","functionsOnly":true,"bucketName":"mine","scanMemory":512,"scanArchitecture":"x86_64","scanExecution":"STANDARD",
			  "scanInventory":"s3://inventories/mine/daily/","scanRetention":"90"}`,
			func(c Config) bool { return *c.Scan == Scan{512, "x86_64", "STANDARD", "inventories/mine/daily/", 90} }},
		{"a scan of an inventory in a bucket of its own", `{"scan":"true","scanInventory":"s3://inventories/"}`, // all of it
			func(c Config) bool { return c.Scan.Inventory == "inventories/" }},
		{"no scan", `{"scan":"false"}`, func(c Config) bool { return c.Scan == nil }}, // text that is not empty is not yet true
		{"a directory bucket brought along", `{"functionsOnly":true,"bucketName":"mine--use1-az4--x-s3","prefix":"p/"}`, // told by its name
			func(c Config) bool { return c.DirectoryBucket() && c.Objects.Prefix == "p/" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var context map[string]any
			if err := json.Unmarshal([]byte(test.context), &context); err != nil {
				t.Fatal(err)
			}
			c, err := ParseContext(context, nil, testAccount)
			if err != nil || !test.ok(c) {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}

// numbers lists n whole numbers from first on.
func numbers(first, n int) string {
	var all []string
	for i := range n {
		all = append(all, strconv.Itoa(first+i))
	}
	return strings.Join(all, ",")
}

func TestParseContextRefuses(t *testing.T) {
	tests := []struct {
		context string // as JSON
		message string // the whole
		hint    string // part of it
	}{
		// Lambda's range, with the list as it was given.
		{`{"memories":"128,99999"}`, `context memories=128,99999: 99999 is out of range`, "from 128 to 10240"},
		{`{"memories":[127]}`, `context memories=[127]: 127 is out of range`, "from 128 to 10240"},
		// Two functions would have the same ID, and panic in the CDK.
		{`{"memories":"128,256,128"}`, `context memories=128,256,128: 128 is listed twice`, "different"},
		{`{"memories":"128,,256"}`, `context memories=128,,256: "" is not a whole number`, "as in 128,1769"},
		{`{"memories":128.5}`, `context memories=128.5: not such a list of numbers`, "whole numbers"},
		{`{"memories":[]}`, `context memories=[]: not such a list of numbers`, "up to 64"},
		{`{"memories":[[128]]}`, `context memories=[[128]]: not such a list of numbers`, "up to 64"},
		// AWS says arm64, other tools aarch64.
		{`{"architectures":"arm64,aarch64"}`, `context architectures=arm64,aarch64: "aarch64" is not known`, "arm64, x86_64"},
		{`{"architectures":["arm64","arm64"]}`, `context architectures=["arm64","arm64"]: "arm64" is listed twice`, "each once"},
		{`{"architectures":{}}`, `context architectures={}: not a list of names`, "arm64, x86_64"},
		// More than the seeder puts in time: refused before anything is deployed.
		{`{"objects":"10001"}`, `context objects=10001: out of range`, "from 1 to 10000"},
		{`{"objects":"0"}`, `context objects=0: out of range`, "from 1 to 10000"},
		{`{"objects":"1e3"}`, `context objects=1e3: not a whole number`, "from 1 to 10000"},
		{`{"objects":10000,"maxBytes":"5368709120"}`, "", "at most 10737418240 bytes in all"},
		{`{"minBytes":"12"}`, `context minBytes=12: out of range`, "the needle's length, here 13"},
		{`{"maxBytes":"999"}`, `context maxBytes=999: out of range`, "minBytes, here 1000"},
		{`{"maxBytes":"5368709121"}`, `context maxBytes=5368709121: out of range`, "5368709120"},
		{`{"lognormal":"12000"}`, "", "such as 12000,400000"},
		{`{"lognormal":"1,2"}`, `context lognormal=1,2: shape lognormal 1,2: no size is at least the needle's length, 13`,
			"such as 12000,400000"},
		{`{"lognormal":"1000000,1000000000","objects":10000}`, "", "bytes in all"},
		{`{"lognormal":"100,2000","maxBytes":"5000"}`, `context maxBytes=5000: means nothing with lognormal`, "leave out one of them"},
		{`{"lognormal":"100,2000","shape":"testdata/sizes.txt"}`, `context lognormal=100,2000: means nothing with shape`, "one of them"},
		{`{"shape":"testdata/none.json"}`, "", "list-objects-v2"},
		{`{"shape":7}`, "", "a file with sizes"},
		{`{"functionsOnly":"true","bucketName":"mine","shape":"f"}`, `context shape=f: means nothing with functionsOnly`, "never seeded"},
		// A JSON number this big has been rounded on its way here.
		{`{"seed":18446744073709551615}`, `context seed=18446744073709552000: not such a number`, "as text above"},
		{`{"seed":"-1"}`, `context seed=-1: not such a number`, "from 0 to"},
		{`{"needle":""}`, `context needle=: 0 bytes long`, "1 to"},
		{`{"bandwidth":"625"}`, `context bandwidth=625: not known`, "flat"},
		{`{"bandwidth":"quota","vpc":true}`,
			`context bandwidth=quota: AWS grants more bandwidth only to functions outside a VPC`, "flat, or no vpc"},
		{`{"bandwidth":"quota","vpcId":"vpc-0123abcd","subnetIds":["subnet-0123abcd"]}`,
			`context bandwidth=quota: AWS grants more bandwidth only to functions outside a VPC`, "flat, or no vpc"},
		{`{"concurrency":"0"}`, `context concurrency=0: out of range`, "auto, which lets the function choose"},
		{`{"concurrency":"1025"}`, `context concurrency=1025: out of range`, "from 1 to 1024"},
		{`{"client":"fast"}`, `context client=fast: not known`, "lean, tuned, stock"},
		{`{"timeout":"901"}`, `context timeout=901: out of range`, "from 1 to 900"},
		{`{"timeout":"60s"}`, `context timeout=60s: not a whole number`, "whole seconds"},
		{`{"logRetention":"2"}`, `context logRetention=2: not a number of days that CloudWatch Logs keeps`, "1, 3, 5, 7"},
		// Wildcards would widen the role, dollar signs would mean variables there.
		{`{"prefix":"*/"}`, `context prefix=*/: '*' is not allowed in it`, "names of folders"},
		{`{"prefix":"a?/"}`, `context prefix=a?/: '?' is not allowed in it`, "letters, digits"},
		{`{"prefix":"${aws:username}/"}`, `context prefix=${aws:username}/: '$' is not allowed in it`, "letters, digits"},
		// Each by its name: what is wrong is easily overlooked.
		{`{"prefix":"my data/"}`, `context prefix=my data/: a space is not allowed in it`, "letters, digits"},
		{`{"prefix":" a/"}`, `context prefix= a/: a space is not allowed in it`, "letters, digits"},
		{`{"prefix":"a//b/"}`, `context prefix=a//b/: two adjacent slashes, a folder without a name`, "a slash at its end"},
		{`{"prefix":"/a/"}`, `context prefix=/a/: begins with a slash, which would be a folder without a name`, "a slash at its end"},
		{`{"prefix":"/"}`, `context prefix=/: begins with a slash, which would be a folder without a name`, "a slash at its end"},
		{`{"prefix":"s3://b/"}`, `context prefix=s3://b/: two adjacent slashes, a folder without a name`, "a slash at its end"},
		{`{"prefix":"a:b/"}`, `context prefix=a:b/: ':' is not allowed in it`, "letters, digits"},
		{`{"prefix":"ä/"}`, `context prefix=ä/: 'ä' is not allowed in it`, "letters, digits"},
		{`{"prefix":"objects"}`, `context prefix=objects: does not end in a slash`, "a slash at its end"},
		{`{"prefix":""}`, `context prefix=: empty, which only functionsOnly may have`, "names of folders"},
		{`{"prefix":7}`, `context prefix=7: not text`, "names of folders"},
		{`{"prefix":"` + strings.Repeat("a", 1024) + `/"}`, "", "1,024 bytes"},
		{`{"vpc":"yes"}`, `context vpc=yes: not a yes or a no`, "true, false"},
		{`{"stackName":"9"}`, `context stackName=9: not a valid value`, "a letter"},
		{`{"express":"true"}`, `context zone=null: missing, and express needs it`, "use1-az4"},
		// a zone's name means another zone in each account
		{
			`{"express":"true","zone":"us-east-1a"}`,
			`context zone=us-east-1a: not a valid value`, "use1-az4",
		},
		{`{"zone":"use1-az4"}`, `context zone=use1-az4: means nothing without express`, "express=true"},
		{`{"functionsOnly":"true"}`, `context bucketName=null: missing, and functionsOnly needs it`, "3 to 63"},
		{`{"functionsOnly":"true","bucketName":"My_Bucket"}`, `context bucketName=My_Bucket: 'M' is not allowed in it`, "a-z"},
		{`{"functionsOnly":"true","bucketName":"a..b"}`, `context bucketName=a..b: two adjacent dots`, "3 to 63"},
		{`{"functionsOnly":"true","bucketName":"my bucket"}`, `context bucketName=my bucket: ' ' is not allowed in it`, "a-z"},
		{`{"functionsOnly":"true","bucketName":"ab"}`, `context bucketName=ab: 2 characters long`, "3 to 63"},
		{`{"functionsOnly":"true","bucketName":""}`, `context bucketName=: not a valid value`, "3 to 63"},
		{`{"functionsOnly":"true","bucketName":"-ab"}`, `context bucketName=-ab: its ends must be letters or digits`, "3 to 63"},
		{`{"functionsOnly":"true","bucketName":"10.0.0.1"}`, `context bucketName=10.0.0.1: looks like an IP address`, "3 to 63"},
		{
			`{"functionsOnly":"true","bucketName":"s3://mine"}`,
			`context bucketName=s3://mine: a bucket's name is meant, without scheme or ARN`, "3 to 63",
		},
		{
			`{"functionsOnly":"true","bucketName":"arn:aws:s3:::mine"}`,
			`context bucketName=arn:aws:s3:::mine: a bucket's name is meant, without scheme or ARN`, "3 to 63",
		},
		{
			`{"functionsOnly":"true","bucketName":"mine","emptyBucket":"true"}`,
			`context emptyBucket=true: an existing bucket is never emptied`, "without functionsOnly",
		},
		// An alias is no resource in a role's policy: every GET would be refused.
		{`{"bucketKey":"alias/mine"}`, `context bucketKey=alias/mine: not a valid value`, "not an alias"},
		{
			`{"bucketKey":"arn:aws:kms:us-east-1:111111111111:alias/mine"}`,
			`context bucketKey=arn:aws:kms:us-east-1:111111111111:alias/mine: not a valid value`, "not an alias",
		},
		{`{"permissionsBoundary":"bounds"}`, `context permissionsBoundary=bounds: not a valid value`, "policy/NAME"},
		{`{"vpcId":"my-vpc"}`, `context vpcId=my-vpc: not a valid value`, "vpc-"},
		{`{"vpcId":"vpc-0123abcd","vpc":"true"}`, `context vpcId=vpc-0123abcd: vpc=true makes a VPC of its own`, "one of the two"},
		{`{"subnetIds":"subnet-0123abcd"}`, `context subnetIds=subnet-0123abcd: means nothing without vpcId`, "vpcId=ID"},
		{`{"securityGroupIds":"sg-0123abcd"}`, `context securityGroupIds=sg-0123abcd: means nothing without vpcId`, "vpcId=ID"},
		{`{"vpcId":"vpc-0123abcd","subnetIds":"subnet-1"}`, `context subnetIds=subnet-1: "subnet-1" is no such ID`, "up to 16"},
		{
			`{"vpcId":"vpc-0123abcd","subnetIds":"subnet-0123abcd,subnet-0123abcd"}`,
			`context subnetIds=subnet-0123abcd,subnet-0123abcd: "subnet-0123abcd" is listed twice`, "up to 16",
		},
		// A function in another zone would measure the way between the zones.
		{
			`{"vpcId":"vpc-0123abcd","express":"true","zone":"use1-az4"}`,
			`context subnetIds=null: missing: the subnets must be in the directory bucket's zone, use1-az4`, "AvailabilityZoneId",
		},
		{
			`{"vpcId":"vpc-0123abcd","functionsOnly":true,"bucketName":"mine--use1-az4--x-s3"}`,
			`context subnetIds=null: missing: the subnets must be in the directory bucket's zone, use1-az4`, "AvailabilityZoneId",
		},
		// else a second bucket would be made, and that one read
		{
			`{"bucketName":"mine"}`,
			`context bucketName=mine: means nothing without functionsOnly`, "functionsOnly=true",
		},
		{`{"functionsOnly":"true","bucketName":"mine","objects":"5"}`, `context objects=5: means nothing with functionsOnly`, "never seeded"},
		{
			`{"functionsOnly":"true","bucketName":"mine","express":"true","zone":"use1-az4"}`,
			`context express=true: functionsOnly creates no bucket`, "--x-s3",
		},
		// Nobody else's package is known.
		{
			`{"contenders":"go,rust"}`,
			`context contenders=go,rust: no package named for "rust"`, "contenderZip.rust.arm64=PATH or contenderZip.rust.x86_64=PATH",
		},
		{
			`{"contenders":"rust","architectures":"arm64"}`,
			`context contenders=rust: no package named for "rust"`, "contenderZip.rust=PATH, a zip that contains a bootstrap for arm64",
		},
		// one zip cannot be both
		{
			`{"contenders":"rust","contenderZip.rust":"r.zip"}`,
			`context contenderZip.rust=r.zip: for which of arm64 and x86_64?`, "for that architecture, or contenderZip.rust.any=PATH for all",
		},
		{
			`{"contenders":"rust","architectures":"arm64","contenderZip.rust":"build/rust"}`,
			`context contenderZip.rust=build/rust: not a zip`, "bootstrap for arm64",
		},
		{`{"contenders":"rust","architectures":"arm64","contenderZip.rust":7}`, `context contenderZip.rust=7: not a zip`, "path of a zip"},
		// would be left out unseen
		{
			`{"contenderZip.rust":"r.zip"}`,
			`context contenderZip.rust=r.zip: means nothing with these contenders and architectures`, "contenderZip.NAME",
		},
		{`{"contenders":"rust","architectures":"arm64","contenderZip.rust.arm64":"a.zip","contenderZip.rust.x86_64":"x.zip"}`,
			`context contenderZip.rust.x86_64=x.zip: means nothing with these contenders and architectures`, "of those"},
		{
			`{"contenderZip.go.arm64":"g.zip"}`,
			`context contenderZip.go.arm64=g.zip: means nothing with these contenders and architectures`, "go has none",
		},
		{`{"contenders":"Rust"}`, `context contenders=Rust: "Rust" is no such name`, "small letters"}, // an output's name could not be read back
		// Fetch128ArmLogs is a log group already: the CDK would panic.
		{
			`{"contenders":"go,logs"}`,
			`context contenders=go,logs: "logs" is what the stack calls a part of each function`, "not arn, logs, output, role",
		},
		{
			`{"contenders":"go,role"}`,
			`context contenders=go,role: "role" is what the stack calls a part of each function`, "not arn, logs, output, role",
		},
		{`{"contenders":"go,go"}`, `context contenders=go,go: "go" is listed twice`, "each once"},
		{`{"contenders":{}}`, `context contenders={}: not a list of names`, "names of"},
		// What there is in Lambda, by its name there.
		{
			`{"contenders":"python","contenderZip.python":"p.zip","contenderRuntime.python":"python3","contenderHandler.python":"a.b"}`,
			`context contenderRuntime.python=python3: not known`, "python3.13",
		},
		{
			`{"contenders":"python","contenderZip.python":"p.zip","contenderRuntime.python":["python3.13"]}`,
			`context contenderRuntime.python=["python3.13"]: not known`, "nodejs24.x",
		},
		{
			`{"contenders":"python","contenderZip.python":"p.zip","contenderRuntime.python":"python3.13"}`,
			`context contenderHandler.python=null: runtime python3.13 needs a handler, such as module.function`, "module.function",
		},
		{
			`{"contenders":"python","contenderZip.python":"p.zip","contenderRuntime.python":"python3.13","contenderHandler.python":"handler"}`,
			`context contenderHandler.python=handler: handler "handler": must be like module.function`, "module.function",
		},
		{
			`{"contenders":"python","contenderZip.python":"p.zip","contenderRuntime.python":"python3.13","contenderHandler.python":7}`,
			`context contenderHandler.python=7: not a name`, "module.function",
		},
		// It would not be looked at: a bootstrap reads none of it.
		{
			`{"contenders":"rust","contenderZip.rust.arm64":"r.zip","contenderHandler.rust":"a.b"}`,
			`context contenderHandler.rust=a.b: means nothing without a managed runtime`, "contenderRuntime.rust, such as python3.13",
		},
		{
			`{"contenders":"python","contenderRuntime.python":"python3.13","contenderHandler.python":"a.b"}`,
			`context contenders=python: no package named for "python"`,
			"contenderZip.python=PATH, a zip that contains the code for arm64 and x86_64",
		},
		{
			`{"contenders":"python","contenderZip.python":"p.jar","contenderRuntime.python":"python3.13","contenderHandler.python":"a.b"}`,
			`context contenderZip.python=p.jar: not a zip`, "contains the code for arm64 and x86_64",
		},
		// Nobody else's, and go brings its own.
		{
			`{"contenderRuntime.go":"python3.13"}`,
			`context contenderRuntime.go=python3.13: means nothing with these contenders and architectures`,
			"contenderRuntime.NAME of those; go has none",
		},
		{
			`{"contenders":"go,rust","contenderZip.rust.arm64":"r.zip","contenderHandler.rsut":"a.b"}`,
			`context contenderHandler.rsut=a.b: means nothing with these contenders and architectures`, "contenderHandler.NAME of those",
		},
		{
			`{"contenders":"go,rust","contenderZip.rust.arm64":"r.zip","contenderRuntime.ru-st":"java25"}`, // not another tool's
			`context contenderRuntime.ru-st=java25: means nothing with these contenders and architectures`, "contenderRuntime.NAME of those",
		},
		// Two packages for the same.
		{
			`{"contenders":"python","contenderZip.python":"p.zip","contenderZip.python.any":"q.zip","contenderRuntime.python":"python3.13",
			  "contenderHandler.python":"a.b"}`,
			`context contenderZip.python=p.zip: means nothing with these contenders and architectures`, "contenderZip.NAME.ARCHITECTURE",
		},
		{`{"scan":"yes"}`, `context scan=yes: not a yes or a no`, "true, false"},
		{`{"scanMemory":"512"}`, `context scanMemory=512: means nothing without scan`, "scan=true"},
		{`{"scan":"false","scanExecution":"EXPRESS"}`, `context scanExecution=EXPRESS: means nothing without scan`, "scan=true"},
		// Others are measured with; these scan.
		{
			`{"scan":"true","scanMemory":"640"}`,
			`context scanMemory=640: the stack has no function of that size`, "one of the stack's memories, 128, 256, 512, 1024, 1769, 3008",
		},
		{`{"scan":"true","scanMemory":"512MB"}`, `context scanMemory=512MB: not a whole number`, "memories, 128, 256"},
		{
			`{"scan":"true","architectures":"arm64","scanArchitecture":"x86_64"}`,
			`context scanArchitecture=x86_64: not known`, "allowed: arm64",
		},
		{`{"scan":"true","scanExecution":"express"}`, `context scanExecution=express: not known`, "EXPRESS, STANDARD"},
		{
			`{"scan":"true","contenders":"rust","contenderZip.rust.arm64":"r.zip"}`,
			`context scan=true: the contenders are without go, and only its functions can scan`, "contenders with go",
		},
		// A job that can be redriven needs its parts.
		{`{"scan":"true","scanRetention":"14"}`, `context scanRetention=14: out of range`, "days from 15"},
		// The manifest is named when a scan starts; here it is where they are.
		{
			`{"scan":"true","scanInventory":"s3://b-1/mine/daily/2026-11-25T01-00Z/manifest.json"}`,
			`context scanInventory=s3://b-1/mine/daily/2026-11-25T01-00Z/manifest.json: does not end in a slash`, "s3://BUCKET/PREFIX/",
		},
		{`{"scan":"true","scanInventory":"mine/daily/"}`, `context scanInventory=mine/daily/: no such place`, "s3://BUCKET/PREFIX/"},
		{`{"scan":"true","scanInventory":"s3://mine/*/"}`, `context scanInventory=s3://mine/*/: '*' is not allowed in it`, "s3://BUCKET"},
		{`{"scan":"true","scanInventory":"s3://10.0.0.1/a/"}`, `context scanInventory=s3://10.0.0.1/a/: looks like an IP address`, "s3://BUCKET"},
		{`{"scan":"true","scanInventory":7}`, `context scanInventory=7: no such place`, "s3://BUCKET/PREFIX/"},
		// More than CloudFormation takes.
		{
			`{"contenders":"go,rust","memories":[` + numbers(128, 64) + `],"contenderZip.rust.arm64":"a.zip"}`,
			`context contenders=go,rust: 256 functions with these memories and architectures`, "at most 128",
		},
		// Would deploy twelve functions instead of one.
		{`{"memory":"128"}`, `context memory=128: no such key`, "maxBytes, memories, minBytes"},
		// As other tools write keys, which are otherwise theirs.
		{`{"bucket-name":"mine"}`, `context bucket-name=mine: no such key; did you mean bucketName?`, "bucketKey, bucketName"},
		{`{"log_retention":"7"}`, `context log_retention=7: no such key; did you mean logRetention?`, "logRetention"},
		{`{"Memories":"128"}`, `context Memories=128: no such key; did you mean memories?`, "memories"},
	}
	for _, test := range tests {
		t.Run(test.context[:min(len(test.context), 60)], func(t *testing.T) {
			var context map[string]any
			if err := json.Unmarshal([]byte(test.context), &context); err != nil {
				t.Fatal(err)
			}
			c, err := ParseContext(context, nil, testAccount)
			var refused *ContextError
			if !errors.As(err, &refused) {
				t.Fatalf("%+v, %v; want a ContextError", c, err)
			}
			if test.message != "" && err.Error() != test.message || !strings.Contains(refused.Hint(), test.hint) {
				t.Errorf("%v\n%s\nwant %s\n%s", err, refused.Hint(), test.message, test.hint)
			}
		})
	}
}

// What there is not in a region is refused before anything is deployed there.
func TestParseContextPlace(t *testing.T) {
	for _, test := range []struct {
		region, context string
		message, hint   string // "": allowed
	}{
		{"us-east-1", `{"express":true,"zone":"use1-az4"}`, "", ""},
		{"ap-northeast-1", `{"express":true,"zone":"apne1-az4"}`, "", ""},
		{"", `{"express":true,"zone":"apne1-az4"}`, "", ""}, // nobody knows: AWS will say
		{"us-west-2", `{"express":true,"zone":"usw2-lax1-az1"}`, "", ""},
		{"us-east-1", `{"express":true,"zone":"use2-az1"}`, "context zone=use2-az1: zone use2-az1 is not in us-east-1", "use1-az1"},
		{"us-east-1", `{"express":true,"zone":"use10-az1"}`, "context zone=use10-az1: zone use10-az1 is not in us-east-1", "use1-az1"},
		{"eu-central-1", `{"express":true,"zone":"euc1-az1"}`,
			"context zone=euc1-az1: S3 Express One Zone is not in eu-central-1", "eu-north-1, eu-west-1"},
		{"cn-north-1", `{"express":true,"zone":"cnn1-az1"}`, "context zone=cnn1-az1: S3 Express One Zone is not in cn-north-1", "us-east-1"},
		{"us-gov-west-1", `{"express":true,"zone":"usgw1-az1"}`,
			"context zone=usgw1-az1: S3 Express One Zone is not in us-gov-west-1", "us-east-1"},
		{"us-east-1", `{"functionsOnly":true,"bucketName":"mine--usw2-az1--x-s3"}`,
			"context bucketName=mine--usw2-az1--x-s3: zone usw2-az1 is not in us-east-1", "use1-az1"},
		{"us-iso-east-1", `{}`, "context architectures=null: Lambda has no arm64 in us-iso-east-1", "architectures=x86_64"},
		{"eu-isoe-west-1", `{"architectures":"arm64"}`,
			"context architectures=arm64: Lambda has no arm64 in eu-isoe-west-1", "architectures=x86_64"},
		{"us-iso-east-1", `{"architectures":"x86_64"}`, "", ""},
		{"cn-north-1", `{}`, "", ""},
		// The subnets of a VPC are looked up where the credentials lead to.
		{"", `{"vpcId":"vpc-0123abcd"}`,
			"context vpcId=vpc-0123abcd: its subnets cannot be looked up: no credentials in the environment, or no region",
			"subnetIds=ID"},
		{"", `{"vpcId":"vpc-0123abcd","subnetIds":"subnet-0123abcd"}`, "", ""},
	} {
		var context map[string]any
		if err := json.Unmarshal([]byte(test.context), &context); err != nil {
			t.Fatal(err)
		}
		_, err := ParseContext(context, nil, Account{ID: "111111111111", Region: test.region})
		var refused *ContextError
		switch {
		case test.message == "" && err != nil:
			t.Errorf("%s in %q: %v", test.context, test.region, err)
		case test.message != "" && (!errors.As(err, &refused) || err.Error() != test.message || !strings.Contains(refused.Hint(), test.hint)):
			t.Errorf("%s in %q: %v, want %s, %s", test.context, test.region, err, test.message, test.hint)
		}
	}
}

func TestZonePrefix(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1": "use1", "us-west-2": "usw2", "eu-central-1": "euc1", "ap-northeast-3": "apne3", "ap-southeast-2": "apse2",
		"ap-south-1": "aps1", "eu-north-1": "eun1", "sa-east-1": "sae1", "us-gov-west-1": "usgw1", "cn-northwest-1": "cnnw1",
	} {
		if got := zonePrefix(region); got != want {
			t.Errorf("%s: %s, want %s", region, got, want)
		}
	}
}

// FuzzParseContext: whatever the context is, what comes out can be deployed or
// is refused with a hint.
func FuzzParseContext(f *testing.F) {
	f.Add([]byte(`{"memories":"128,1769","architectures":["arm64"],"objects":10,"seed":"7","prefix":"a/","vpc":true}`))
	f.Add([]byte(`{"functionsOnly":true,"bucketName":"mine--use1-az4--x-s3","timeout":60,"concurrency":"64"}`))
	f.Add([]byte(`{"express":"true","zone":"use1-az4","maxBytes":1e300,"needle":null}`))
	f.Add([]byte(`{"":""}`)) // a key may be anything
	f.Add([]byte(`{"vpcId":"vpc-0123abcd","subnetIds":["subnet-0123abcd"],"securityGroupIds":"sg-0123abcd","concurrency":"auto"}`))
	f.Add([]byte(`{"bucketName":"a..b","functionsOnly":"true","prefix":"ä //","permissionsBoundary":"arn:aws:iam::aws:policy/x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var context map[string]any
		if json.Unmarshal(b, &context) != nil {
			return
		}
		c, err := ParseContext(context, nil, testAccount)
		if err != nil {
			var refused *ContextError
			if !errors.As(err, &refused) || refused.Reason == "" || refused.Allowed == "" {
				t.Errorf("%s: %#v", b, err)
			}
			return
		}
		for _, memoryMB := range c.Memories {
			if lambda.CheckMemory(memoryMB) != nil {
				t.Errorf("%s gave %d MB", b, memoryMB)
			}
		}
		if !c.FunctionsOnly && (c.Objects.Validate() != nil || c.Objects.TotalBytes() > MaxCorpusBytes) {
			t.Errorf("%s gave objects %+v", b, c.Objects)
		}
		if strings.ContainsAny(c.Objects.Prefix, "*?$: ") || len(c.Memories) == 0 || len(c.Architectures) == 0 {
			t.Errorf("%s gave %+v", b, c)
		}
	})
}

// Keys of the CDK and of other tools are left alone, wherever they come from,
// and ours are not mistaken for theirs.
func TestOthersContext(t *testing.T) {
	dir := t.TempDir()
	user := filepath.Join(dir, ".cdk.json")
	for path, text := range map[string]string{
		filepath.Join(dir, "cdk.context.json"): `{"acknowledged-issue-numbers":[12345],"cliTelemetry":false,"memory":"128"}`,
		user:                                   `{"app":"x","context":{"companyStage":"test"}}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cdk := CDKContext(dir, user)
	for _, test := range []struct {
		name, key string
		refused   bool
	}{
		{"a look-up's", "availability-zones:account=1:region=eu-central-1", false},
		{"a feature flag", "@aws-cdk/core:newStyleStackSynthesis", false},
		{"what cdk acknowledge writes", "acknowledged-issue-numbers", false},
		{"what cdk cli-telemetry writes", "cli-telemetry", false},
		{"in cdk.context.json, of any shape", "cliTelemetry", false},
		{"in the user's own settings", "companyStage", false},
		{"nowhere else: a slip of the pen", "objekts", true},
		{"ours with a hyphen", "function-only", false}, // not like one of ours: another tool's
		{"a contender that is not deployed", "contenderZip.no-such", true},
	} {
		_, err := ParseContext(map[string]any{test.key: "x"}, cdk, testAccount)
		if (err != nil) != test.refused {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	// Not there, or not JSON: none.
	if err := os.WriteFile(user, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if none := CDKContext(t.TempDir(), user); len(none) != 0 {
		t.Errorf("%v", none)
	}
}

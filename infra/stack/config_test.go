package stack

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"fanout/functions/corpus"
)

func TestParseContextDefaults(t *testing.T) {
	// What the CDK adds of its own must not be taken for a slip of the pen.
	c, err := ParseContext(map[string]any{
		"@aws-cdk/core:newStyleStackSynthesis": true, "aws:cdk:enable-path-metadata": true,
		"availability-zones:account=1:region=eu-central-1": []any{"a"}, "cli/version": "2",
	})
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
	if c.Timeout != 2*time.Minute || c.LogRetention != 7 || c.VPC || c.Express || c.FunctionsOnly {
		t.Errorf("%+v", c)
	}
}

func TestParseContext(t *testing.T) {
	tests := []struct {
		name    string
		context string // as JSON, like cdk.json's
		ok      func(Config) bool
	}{
		{"command line", `{"memories":"128, 1769","architectures":"x86_64","concurrency":"64","timeout":"900","logRetention":"1"}`, // every value is text
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
		{"objects", `{"objects":"10000","minBytes":"13","maxBytes":"13","seed":"18446744073709551615","needle":"MyMagicString","prefix":"a/b/"}`, // the ends of the ranges
			func(c Config) bool {
				return c.Objects == corpus.Spec{Count: 10000, MinBytes: 13, MaxBytes: 13, Seed: 1<<64 - 1, Needle: "MyMagicString", Prefix: "a/b/"}
			}},
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
		{"express in a local zone", `{"express":true,"zone":"usw2-lax1-az1"}`,
			func(c Config) bool { return c.Zone == "usw2-lax1-az1" }},
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
		{"a directory bucket brought along", `{"functionsOnly":true,"bucketName":"mine--use1-az4--x-s3","prefix":"p/"}`, // told by its name
			func(c Config) bool { return c.DirectoryBucket() && c.Objects.Prefix == "p/" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var context map[string]any
			if err := json.Unmarshal([]byte(test.context), &context); err != nil {
				t.Fatal(err)
			}
			c, err := ParseContext(context)
			if err != nil || !test.ok(c) {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
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
		{`{"memories":"128,256,128"}`, `context memories=128,256,128: 128 is there twice`, "different"},
		{`{"memories":"128,,256"}`, `context memories=128,,256: "" is not a whole number`, "as in 128,1769"},
		{`{"memories":128.5}`, `context memories=128.5: not such a list of numbers`, "whole numbers"},
		{`{"memories":[]}`, `context memories=[]: not such a list of numbers`, "up to 64"},
		{`{"memories":[[128]]}`, `context memories=[[128]]: not such a list of numbers`, "up to 64"},
		// AWS says arm64, other tools aarch64.
		{`{"architectures":"arm64,aarch64"}`, `context architectures=arm64,aarch64: "aarch64" is not known`, "arm64, x86_64"},
		{`{"architectures":["arm64","arm64"]}`, `context architectures=["arm64","arm64"]: "arm64" is there twice`, "each once"},
		{`{"architectures":{}}`, `context architectures={}: not a list of names`, "arm64, x86_64"},
		// More than the seeder puts in time: refused before anything is deployed.
		{`{"objects":"10001"}`, `context objects=10001: out of range`, "from 1 to 10000"},
		{`{"objects":"0"}`, `context objects=0: out of range`, "from 1 to 10000"},
		{`{"objects":"1e3"}`, `context objects=1e3: not a whole number`, "from 1 to 10000"},
		{`{"objects":10000,"maxBytes":"5368709120"}`, "", "at most 10737418240 bytes in all"},
		{`{"minBytes":"12"}`, `context minBytes=12: out of range`, "the needle's length, here 13"},
		{`{"maxBytes":"999"}`, `context maxBytes=999: out of range`, "minBytes, here 1000"},
		{`{"maxBytes":"5368709121"}`, `context maxBytes=5368709121: out of range`, "5368709120"},
		// A JSON number this big has been rounded on its way here.
		{`{"seed":18446744073709551615}`, `context seed=18446744073709552000: not such a number`, "as text above"},
		{`{"seed":"-1"}`, `context seed=-1: not such a number`, "from 0 to"},
		{`{"needle":""}`, `context needle=: 0 bytes long`, "1 to"},
		{`{"concurrency":"0"}`, `context concurrency=0: out of range`, "from 1 to 1024"},
		{`{"concurrency":"1025"}`, `context concurrency=1025: out of range`, "from 1 to 1024"},
		{`{"client":"fast"}`, `context client=fast: not known`, "lean, tuned, stock"},
		{`{"timeout":"901"}`, `context timeout=901: out of range`, "from 1 to 900"},
		{`{"timeout":"60s"}`, `context timeout=60s: not a whole number`, "whole seconds"},
		{`{"logRetention":"2"}`, `context logRetention=2: not a number of days that CloudWatch Logs keeps`, "1, 3, 5, 7"},
		// Wildcards would widen the role, dollar signs would mean variables there.
		{`{"prefix":"*/"}`, `context prefix=*/: not such a prefix`, "without *"},
		{`{"prefix":"${aws:username}/"}`, `context prefix=${aws:username}/: not such a prefix`, "and $"},
		{`{"prefix":"objects"}`, `context prefix=objects: not such a prefix`, "end in a slash"},
		{`{"prefix":""}`, `context prefix=: not such a prefix`, "only with functionsOnly"},
		{`{"prefix":"` + strings.Repeat("a", 1024) + `/"}`, "", "1,024 bytes"},
		{`{"vpc":"yes"}`, `context vpc=yes: not a yes or a no`, "true, false"},
		{`{"stackName":"9"}`, `context stackName=9: not a valid value`, "a letter"},
		{`{"express":"true"}`, `context zone=null: missing, and express needs it`, "use1-az4"},
		{`{"express":"true","zone":"us-east-1a"}`, `context zone=us-east-1a: not a valid value`, "use1-az4"}, // a zone's name means another zone in each account
		{`{"zone":"use1-az4"}`, `context zone=use1-az4: means nothing without express`, "express=true"},
		{`{"functionsOnly":"true"}`, `context bucketName=null: missing, and functionsOnly needs it`, "3 to 63"},
		{`{"functionsOnly":"true","bucketName":"My_Bucket"}`, `context bucketName=My_Bucket: not a valid value`, "a-z"},
		{`{"bucketName":"mine"}`, `context bucketName=mine: means nothing without functionsOnly`, "functionsOnly=true"}, // else a second bucket would be made, and that one read
		{`{"functionsOnly":"true","bucketName":"mine","objects":"5"}`, `context objects=5: means nothing with functionsOnly`, "never seeded"},
		{`{"functionsOnly":"true","bucketName":"mine","express":"true","zone":"use1-az4"}`, `context express=true: there is no bucket to make with functionsOnly`, "--x-s3"},
		// Nobody else's package is known.
		{`{"contenders":"go,rust"}`, `context contenders=go,rust: no package named for "rust"`, "contenderZip.rust.arm64=PATH or contenderZip.rust.x86_64=PATH"},
		{`{"contenders":"rust","architectures":"arm64"}`, `context contenders=rust: no package named for "rust"`, "contenderZip.rust=PATH, a zip that holds a bootstrap for arm64"},
		{`{"contenders":"rust","contenderZip.rust":"r.zip"}`, `context contenderZip.rust=r.zip: for which of arm64 and x86_64?`, "contenderZip.rust.arm64=PATH"}, // one zip cannot be both
		{`{"contenders":"rust","architectures":"arm64","contenderZip.rust":"build/rust"}`, `context contenderZip.rust=build/rust: not a zip`, "bootstrap for arm64"},
		{`{"contenders":"rust","architectures":"arm64","contenderZip.rust":7}`, `context contenderZip.rust=7: not a zip`, "path of a zip"},
		{`{"contenderZip.rust":"r.zip"}`, `context contenderZip.rust=r.zip: means nothing with these contenders and architectures`, "contenderZip.NAME"}, // would be left out unseen
		{`{"contenders":"rust","architectures":"arm64","contenderZip.rust.arm64":"a.zip","contenderZip.rust.x86_64":"x.zip"}`,
			`context contenderZip.rust.x86_64=x.zip: means nothing with these contenders and architectures`, "of those"},
		{`{"contenderZip.go.arm64":"g.zip"}`, `context contenderZip.go.arm64=g.zip: means nothing with these contenders and architectures`, "go has none"},
		{`{"contenders":"Rust"}`, `context contenders=Rust: "Rust" is no such name`, "small letters"}, // an output's name could not be read back
		{`{"contenders":"go,go"}`, `context contenders=go,go: "go" is there twice`, "each once"},
		{`{"contenders":{}}`, `context contenders={}: not a list of names`, "names of"},
		// More than CloudFormation takes.
		{`{"contenders":"go,rust","memories":[128,129,130,131,132,133,134,135,136,137,138,139,140,141,142,143,144,145,146,147,148,149,150,151,152,153,154,155,156,157,158,159,160,161,162,163,164,165,166,167,168,169,170,171,172,173,174,175,176,177,178,179,180,181,182,183,184,185,186,187,188,189,190,191],"contenderZip.rust.arm64":"a.zip"}`, `context contenders=go,rust: 256 functions with these memories and architectures`, "at most 128"},
		// Would deploy twelve functions instead of one.
		{`{"memory":"128"}`, `context memory=128: no such key`, "maxBytes, memories, minBytes"},
	}
	for _, test := range tests {
		t.Run(test.context[:min(len(test.context), 60)], func(t *testing.T) {
			var context map[string]any
			if err := json.Unmarshal([]byte(test.context), &context); err != nil {
				t.Fatal(err)
			}
			c, err := ParseContext(context)
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

// FuzzParseContext: whatever the context is, what comes out can be deployed or
// is refused with a hint.
func FuzzParseContext(f *testing.F) {
	f.Add([]byte(`{"memories":"128,1769","architectures":["arm64"],"objects":10,"seed":"7","prefix":"a/","vpc":true}`))
	f.Add([]byte(`{"functionsOnly":true,"bucketName":"mine--use1-az4--x-s3","timeout":60,"concurrency":"64"}`))
	f.Add([]byte(`{"express":"true","zone":"use1-az4","maxBytes":1e300,"needle":null}`))
	f.Add([]byte(`{"":""}`)) // a key may be anything
	f.Fuzz(func(t *testing.T, b []byte) {
		var context map[string]any
		if json.Unmarshal(b, &context) != nil {
			return
		}
		c, err := ParseContext(context)
		if err != nil {
			var refused *ContextError
			if !errors.As(err, &refused) || refused.Reason == "" || refused.Allowed == "" {
				t.Errorf("%s: %#v", b, err)
			}
			return
		}
		for _, memoryMB := range c.Memories {
			if memoryMB < MinMemoryMB || memoryMB > MaxMemoryMB {
				t.Errorf("%s gave %d MB", b, memoryMB)
			}
		}
		if !c.FunctionsOnly && (c.Objects.Validate() != nil || c.Objects.TotalBytes() > MaxCorpusBytes) {
			t.Errorf("%s gave objects %+v", b, c.Objects)
		}
		if strings.ContainsAny(c.Objects.Prefix, "*?$") || len(c.Memories) == 0 || len(c.Architectures) == 0 {
			t.Errorf("%s gave %+v", b, c)
		}
	})
}

package stack

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"fanout/functions/corpus"
	"fanout/functions/lambda"
	"fanout/functions/outputs"
)

// bucket is what the rest of the stack needs to know of the bucket, whatever
// its kind and whoever made it.
type bucket struct {
	name, arn any
	arnText   string // the ARN as cdk-nag shows it
	directory bool
	key       string // ARN of the KMS key of its objects; "": none of one's own
}

// kind ends the IDs of the bucket, and of all that belongs to one bucket and
// no other: the seeder, its role and the objects. A change of what kind of
// bucket there is then makes all of these anew and takes the old ones away,
// with the rights to do so, after the update. It is empty for the default
// kind.
func (c Config) kind() string {
	var kind string
	if c.Express {
		kind = idOf(strings.ReplaceAll(c.Zone, "-", ""))
	}
	if c.BucketKey != "" {
		sum := sha256.Sum256([]byte(c.BucketKey))
		kind += "Kms" + hex.EncodeToString(sum[:4])
	}
	return kind
}

func (s *builder) newBucket() bucket {
	id := "Bucket" + s.kind()
	b := bucket{name: ref(id), arn: attribute(id, "Arn"), arnText: "<" + id + ".Arn>", directory: s.DirectoryBucket(), key: s.BucketKey}
	switch {
	case s.FunctionsOnly && b.directory:
		b.name, b.arn = s.BucketName, sub("arn:${AWS::Partition}:s3express:${AWS::Region}:${AWS::AccountId}:bucket/"+s.BucketName)
	case s.FunctionsOnly:
		b.name, b.arn = s.BucketName, sub("arn:${AWS::Partition}:s3:::"+s.BucketName)
		b.arnText = "arn:<AWS::Partition>:s3:::" + s.BucketName
	case s.Express:
		// A directory bucket is closed to the public and open to TLS alone
		// whatever one says: that cannot be turned off.
		p := properties{"DataRedundancy": "SingleAvailabilityZone", "LocationName": s.Zone}
		if s.BucketKey != "" {
			p["BucketEncryption"] = s.encryption()
		}
		s.addStored(id, "AWS::S3Express::DirectoryBucket", p, nil)
	default:
		s.addStored(id, "AWS::S3::Bucket", properties{
			"BucketEncryption":               s.encryption(),
			"PublicAccessBlockConfiguration": closed(),
			"Tags":                           s.tags(),
		}, findings{
			"CKV_AWS_18":      noAccessLog,
			"AwsSolutions-S1": noAccessLog,
			"CKV_AWS_21":      "the objects can be made again from the seed at any time",
		})
		s.addTLSPolicy("BucketPolicy"+s.kind(), b)
	}
	return b
}

// closed is a bucket's PublicAccessBlockConfiguration.
func closed() properties {
	return properties{"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true}
}

// addTLSPolicy closes a bucket to requests without TLS.
func (s *builder) addTLSPolicy(id string, b bucket) {
	s.add(id, "AWS::S3::BucketPolicy", properties{
		"Bucket": b.name,
		"PolicyDocument": policy(properties{
			"Effect": "Deny", "Principal": properties{"AWS": "*"}, "Action": "s3:*",
			"Resource": list{b.arn, b.under("*")}, "Condition": properties{"Bool": properties{"aws:SecureTransport": "false"}},
		}),
	}, nil)
}

const noAccessLog = "the objects are made up; a log of each GET would cost more than the GETs that are measured"

// encryption is with S3's own keys, unless there is a key of one's own; S3 then
// asks KMS once in a while and not for each object.
func (c Config) encryption() properties {
	rule := properties{"ServerSideEncryptionByDefault": properties{"SSEAlgorithm": "AES256"}}
	if c.BucketKey != "" {
		rule = properties{
			"ServerSideEncryptionByDefault": properties{"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": c.BucketKey},
			"BucketKeyEnabled":              true,
		}
	}
	return properties{"ServerSideEncryptionConfiguration": list{rule}}
}

// readStatements let a function list the bucket under a prefix and get the
// objects there. A directory bucket knows no narrower right than a session
// with the whole bucket, here one that only reads.
func (b bucket) readStatements(prefix string) []statement {
	if b.directory {
		return []statement{b.session("ReadOnly")}
	}
	list := allow(b.arn, "s3:ListBucket")
	if prefix != "" {
		list["Condition"] = properties{"StringLike": properties{"s3:prefix": prefix + "*"}}
	}
	return []statement{list, allow(b.under(prefix+"*"), "s3:GetObject")}
}

// seedStatements let the seeder see and replace everything in the bucket, all
// versions included: it has to leave the bucket empty in the end. It gets
// objects to see their mark.
func (b bucket) seedStatements() []statement {
	if b.directory {
		return []statement{b.session("ReadWrite")}
	}
	return []statement{
		allow(b.arn, "s3:ListBucket", "s3:ListBucketVersions"),
		allow(b.under("*"), "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"),
	}
}

// keyStatements let a function use the bucket's key, for S3 and nothing else.
// To write takes a right more; a session with a directory bucket takes both.
func (b bucket) keyStatements(write bool) []statement {
	if b.key == "" {
		return nil
	}
	actions := []string{"kms:Decrypt"}
	if write || b.directory {
		actions = append(actions, "kms:GenerateDataKey")
	}
	services := list{sub("s3.${AWS::Region}.${AWS::URLSuffix}")}
	if b.directory {
		services = append(services, sub("s3express.${AWS::Region}.${AWS::URLSuffix}"))
	}
	st := allow(b.key, actions...)
	st["Condition"] = properties{"StringEquals": properties{"kms:ViaService": services}}
	return []statement{st}
}

// wildcard is the finding that a role may do something with all objects whose
// keys match. Rights to a directory bucket have none.
func (b bucket) wildcard(keys, reason string) findings {
	if b.directory {
		return findings{}
	}
	return findings{"AwsSolutions-IAM5[Resource::" + b.arnText + "/" + keys + "]": reason}
}

// under is the ARN of the objects whose keys match.
func (b bucket) under(keys string) any { return joined(b.arn, "/"+keys) }

func (b bucket) session(mode string) statement {
	st := allow(b.arn, "s3express:CreateSession")
	st["Condition"] = properties{"StringEquals": properties{"s3express:SessionMode": mode}}
	return st
}

// The seeder's limits. CloudFormation waits longer than the function may run,
// so that what the seeder has to say about running out of time still arrives.
const (
	seederMemoryMB     = lambda.VCPUMemoryMB // most of its work is checksums and TLS
	seederTimeout      = 10 * time.Minute
	seederAnswerWithin = 15 * time.Minute
)

// newObjects makes the custom resource that stands for the seed objects, and
// the function behind it.
func (s *builder) newObjects() {
	arch, id := s.seederArchitecture(), "Seeder"+s.kind()
	s.newFunction(id, function{
		description: "Puts Fanout's seed objects, and takes them away when the stack goes",
		arch:        arch,
		code:        s.seederCode(),
		memoryMB:    seederMemoryMB,
		timeout:     seederTimeout,
		statements:  append(s.bucket.seedStatements(), s.bucket.keyStatements(true)...),
		known: s.bucket.wildcard("*", "the seeder leaves the stack's own bucket empty in the end, whatever the keys; "+
			"it has rights to no other bucket"),
	})
	o := s.Objects
	// All as text, which is what CloudFormation makes of it anyhow; a seed
	// would not survive as a JSON number. CloudFormation does not keep what is
	// not ASCII in every place, so that the needle is in JSON.
	p := properties{
		"ServiceToken":   attribute(id, "Arn"),
		"ServiceTimeout": strconv.Itoa(int(seederAnswerWithin.Seconds())),
		"Bucket":         s.bucket.name,
		"Prefix":         o.Prefix,
		"Objects":        strconv.Itoa(o.Count),
		"MinBytes":       strconv.FormatInt(o.MinBytes, 10),
		"MaxBytes":       strconv.FormatInt(o.MaxBytes, 10),
		"Seed":           strconv.FormatUint(o.Seed, 10),
		"NeedleJSON":     asciiJSON(o.Needle),
		"EmptyBucket":    strconv.FormatBool(s.EmptyBucket),
	}
	if !o.Shape.IsZero() {
		p["ShapeJSON"] = asciiJSON(o.Shape)
	}
	s.addStored("SeedObjects"+s.kind(), "Custom::FanoutObjects", p, nil)
	s.output(outputs.Objects, specJSON(o), "The seed objects, as JSON")
}

// seederCode is the asset of the seeder, which may be deployed more than once.
func (s *builder) seederCode() properties {
	if s.seeder == nil {
		s.seeder = s.asset("CodeSeeder", filepath.Join(s.build, "seed", s.seederArchitecture()))
	}
	return s.seeder
}

func specJSON(spec corpus.Spec) string { return asciiJSON(spec) }

// asciiJSON gives v as JSON of ASCII alone: DescribeStacks answers with a
// question mark for everything else.
func asciiJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers and text: it cannot fail
	}
	var ascii strings.Builder
	for _, r := range string(b) {
		if r < 0x7f {
			ascii.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&ascii, `\u%04x`, unit)
		}
	}
	return ascii.String()
}

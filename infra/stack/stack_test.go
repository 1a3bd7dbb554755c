package stack

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"fanout/functions/corpus"
	"fanout/functions/lambda"
	"fanout/functions/scan"
)

var (
	update    = flag.Bool("update", false, "write the golden templates anew")
	templates = flag.String("templates", "", "folder that TestNothingStays writes the template of every combination of flags to")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if _, err := exec.LookPath("node"); err != nil {
		fmt.Fprintln(os.Stderr, "node not found: the CDK app's tests need Node 22 or newer: https://nodejs.org")
		os.Exit(1)
	}
	os.Exit(run(m))
}

// run is m.Run with the CDK's files cleared away.
func run(m *testing.M) (code int) {
	remove, err := ContainRuntime()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}

// template is a synthesised template, as far as the tests look into it.
type template struct {
	Resources map[string]resourceJSON `json:"Resources"`
	Outputs   map[string]struct {
		Value any `json:"Value"`
	} `json:"Outputs"`
}

type resourceJSON struct {
	Type                string         `json:"Type"`
	Properties          map[string]any `json:"Properties"`
	DependsOn           any            `json:"DependsOn"`
	DeletionPolicy      string         `json:"DeletionPolicy"`
	UpdateReplacePolicy string         `json:"UpdateReplacePolicy"`
}

var testAccount = Account{ID: "111111111111", Region: "us-east-1"}

// bootstrapsFor makes a build folder with bootstraps that are none.
func bootstrapsFor(t *testing.T) string {
	t.Helper()
	build := t.TempDir()
	for _, name := range []string{"fetch/arm64", "fetch/x86_64", "seed/arm64", "seed/x86_64"} {
		dir := filepath.Join(build, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "bootstrap"), []byte("this is "+name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return build
}

// synth makes a stack from a context, with bootstraps that are none, and gives
// the template as JSON. The CDK's own context is that of cdk.json, as it is
// when `cdk` runs the app.
func synth(t *testing.T, context map[string]any) []byte {
	t.Helper()
	build := bootstrapsFor(t)
	c, err := ParseContext(context, nil, testAccount)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("../../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var cdk struct {
		Context map[string]any `json:"context"`
	}
	if err := json.Unmarshal(b, &cdk); err != nil {
		t.Fatal(err)
	}
	app := awscdk.NewApp(&awscdk.AppProps{
		AnalyticsReporting: jsii.Bool(false), Context: &cdk.Context, Outdir: jsii.String(t.TempDir()),
	})
	s, err := New(app, c, build)
	if err != nil {
		t.Fatal(err)
	}
	b, err = json.MarshalIndent(assertions.Template_FromStack(s, nil).ToJSON(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, b []byte) template {
	t.Helper()
	var tpl template
	if err := json.Unmarshal(b, &tpl); err != nil {
		t.Fatal(err)
	}
	return tpl
}

// of gives the IDs of all resources of one type.
func (tpl template) of(kind string) []string {
	var ids []string
	for id, r := range tpl.Resources {
		if r.Type == kind {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// compact gives a part of a template as JSON, for comparing and for reading.
func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// referred finds what an {"Fn::GetAtt": [ID, …]} or {"Ref": ID} refers to.
func referred(v any) string {
	m, _ := v.(map[string]any)
	if id, ok := m["Ref"].(string); ok {
		return id
	}
	if pair, ok := m["Fn::GetAtt"].([]any); ok {
		id, _ := pair[0].(string)
		return id
	}
	return ""
}

// statements gives a role's policy.
func (tpl template) statements(role string) string {
	policies, _ := tpl.Resources[role].Properties["Policies"].([]any)
	if len(policies) != 1 {
		return compact(policies)
	}
	policy, _ := policies[0].(map[string]any)
	document, _ := policy["PolicyDocument"].(map[string]any)
	return compact(document["Statement"])
}

// The default stack: every function, and all that a function needs.
func TestFunctions(t *testing.T) {
	b := synth(t, map[string]any{"concurrency": "64", "bandwidth": "quota", "client": "stock", "timeout": "60", "logRetention": "3"})
	tpl := parse(t, b)

	seen := map[string]string{} // memory and architecture to ID
	for _, id := range tpl.of("AWS::Lambda::Function") {
		p := tpl.Resources[id].Properties
		if p["Runtime"] != "provided.al2023" || p["Handler"] != "bootstrap" {
			t.Errorf("%s: runtime %v, handler %v", id, p["Runtime"], p["Handler"])
		}
		logging, _ := p["LoggingConfig"].(map[string]any)
		if logging["LogFormat"] != "JSON" {
			t.Errorf("%s: log format %v", id, logging["LogFormat"])
		}
		logs := tpl.Resources[referred(logging["LogGroup"])]
		if logs.Type != "AWS::Logs::LogGroup" || logs.Properties["RetentionInDays"] != 3.0 {
			t.Errorf("%s logs to %v", id, logs)
		}
		role := referred(p["Role"])
		var want string
		if strings.HasPrefix(id, "Seeder") {
			want = `[{"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Effect":"Allow","Resource":{"Fn::GetAtt":["SeederLogs","Arn"]}},` +
				`{"Action":["s3:ListBucket","s3:ListBucketVersions"],"Effect":"Allow","Resource":{"Fn::GetAtt":["Bucket","Arn"]}},` +
				`{"Action":["s3:DeleteObject","s3:DeleteObjectVersion","s3:GetObject","s3:GetObjectVersion","s3:PutObject"],` +
				`"Effect":"Allow","Resource":{"Fn::Join":["",[{"Fn::GetAtt":["Bucket","Arn"]},"/*"]]}}]`
		} else {
			key := fmt.Sprintf("%v %v", p["MemorySize"], compact(p["Architectures"]))
			if seen[key] != "" {
				t.Errorf("%s is there twice", key)
			}
			seen[key] = id
			const environment = `{"Variables":{"BANDWIDTH":"quota","BUCKET":{"Ref":"Bucket"},"CLIENT":"stock","CONCURRENCY":"64"}}`
			if got := compact(p["Environment"]); got != environment || p["Timeout"] != 60.0 {
				t.Errorf("%s: environment %s, timeout %v", id, got, p["Timeout"])
			}
			want = `[{"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Effect":"Allow","Resource":{"Fn::GetAtt":["` + id + `Logs","Arn"]}},` +
				`{"Action":"s3:ListBucket","Condition":{"StringLike":{"s3:prefix":"objects/*"}},` +
				`"Effect":"Allow","Resource":{"Fn::GetAtt":["Bucket","Arn"]}},` +
				`{"Action":"s3:GetObject","Effect":"Allow","Resource":{"Fn::Join":["",[{"Fn::GetAtt":["Bucket","Arn"]},"/objects/*"]]}}]`
		}
		if got := tpl.statements(role); got != want {
			t.Errorf("%s may\n%s\nwant\n%s", id, got, want)
		}
		if managed := tpl.Resources[role].Properties["ManagedPolicyArns"]; managed != nil {
			t.Errorf("%s has managed policies besides: %v", role, managed)
		}
	}

	for _, memoryMB := range defaultMemories {
		for _, arch := range architectures {
			id := seen[fmt.Sprintf(`%d ["%s"]`, memoryMB, arch)]
			output := map[string]string{"arm64": "Arm", "x86_64": "X86"}[arch]
			if got := referred(tpl.Outputs["Fetch"+strconv.Itoa(memoryMB)+output+"Arn"].Value); id == "" || got != id {
				t.Errorf("%d MB on %s: function %q, output of %q", memoryMB, arch, id, got)
			}
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d functions, want 12: %v", len(seen), seen)
	}
	if policies := tpl.of("AWS::IAM::Policy"); policies != nil {
		t.Errorf("policies beside the roles: %v", policies)
	}
}

// packed makes a zip that holds this file, for everyone to execute.
func packed(t *testing.T, name string, content []byte) string {
	t.Helper()
	return packedAs(t, name, content, 0o755)
}

// packedAs makes a zip that holds this file under this mode; 0: without Unix
// modes, as Windows packs.
func packedAs(t *testing.T, name string, content []byte, mode fs.FileMode) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	header := &zip.FileHeader{Name: name, Method: zip.Deflate}
	if mode != 0 {
		header.SetMode(mode)
	}
	f, err := w.CreateHeader(header)
	if err == nil {
		_, err = f.Write(content)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "package.zip")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Another contender stands beside Go where a package for it is named, with the
// same rights and no client of Go's.
func TestContenders(t *testing.T) {
	path := packed(t, "bootstrap", []byte("#!/bin/sh"))
	tpl := parse(t, synth(t, map[string]any{
		"memories": "128", "contenders": "go,rust", "contenderZip.rust.x86_64": path, "concurrency": "8",
	}))
	got := map[string]string{}
	for name, output := range tpl.Outputs {
		if !strings.HasSuffix(name, "Arn") {
			continue
		}
		id := referred(output.Value)
		p := tpl.Resources[id].Properties
		for _, pair := range p["Tags"].([]any) {
			if tag := pair.(map[string]any); tag["Key"] == "contender" {
				got[name] = fmt.Sprint(tag["Value"], " ", compact(p["Architectures"]), " ", compact(p["Environment"].(map[string]any)["Variables"]))
			}
		}
	}
	want := map[string]string{
		"Fetch128ArmArn":     `go ["arm64"] {"BUCKET":{"Ref":"Bucket"},"CLIENT":"lean","CONCURRENCY":"8"}`,
		"Fetch128X86Arn":     `go ["x86_64"] {"BUCKET":{"Ref":"Bucket"},"CLIENT":"lean","CONCURRENCY":"8"}`,
		"Fetch128X86RustArn": `rust ["x86_64"] {"BUCKET":{"Ref":"Bucket"},"CONCURRENCY":"8"}`,
	}
	if !maps.Equal(got, want) {
		t.Errorf("functions\n%v\nwant\n%v", got, want)
	}
	own := tpl.Resources[referred(tpl.Outputs["Fetch128X86Arn"].Value)]
	other := tpl.Resources[referred(tpl.Outputs["Fetch128X86RustArn"].Value)]
	rights := func(f resourceJSON) string {
		return strings.ReplaceAll(tpl.statements(referred(f.Properties["Role"])), "X86RustLogs", "X86Logs")
	}
	if rights(own) != rights(other) {
		t.Errorf("rights\n%s\nwant\n%s", rights(other), rights(own))
	}
	if compact(own.Properties["Code"]) == compact(other.Properties["Code"]) {
		t.Error("both have the same code")
	}
}

// elfFor is the least that is an executable for x86_64, or with a loader one that
// is linked dynamically.
func elfFor(t *testing.T, loader string) []byte {
	t.Helper()
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phoff: 64, Phentsize: 56,
		Shentsize: 64,
	}
	segment := elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 64 + 56, Filesz: uint64(len(loader) + 1)}
	if loader != "" {
		header.Phnum = 1
	}
	var b bytes.Buffer
	if err := errors.Join(binary.Write(&b, binary.LittleEndian, header), binary.Write(&b, binary.LittleEndian, segment)); err != nil {
		t.Fatal(err)
	}
	b.WriteString(loader + "\x00")
	return b.Bytes()
}

// A package is refused exactly if Lambda could not start it.
func TestCheckZip(t *testing.T) {
	for _, test := range []struct {
		name, path, reason string // no reason: it is good
	}{
		{"linked statically", packed(t, "bootstrap", elfFor(t, "")), ""},
		{"zipped from within its folder", packed(t, "./bootstrap", elfFor(t, "")), ""},
		{"with glibc", packed(t, "bootstrap", elfFor(t, "/lib64/ld-linux-x86-64.so.2")), ""},
		{"with a loader of its own", packed(t, "bootstrap", elfFor(t, "/var/task/ld.so")), ""},
		{"built on Alpine", packed(t, "bootstrap", elfFor(t, "/lib/ld-musl-x86_64.so.1")), "ld-musl-x86_64.so.1, which Lambda does not have"},
		{"another processor's loader", packed(t, "bootstrap", elfFor(t, "/lib/ld-linux-aarch64.so.1")), "which Lambda does not have"},
		{"built by Nix", packed(t, "bootstrap", elfFor(t, "/nix/store/x-glibc/lib/ld-linux-x86-64.so.2")), "which Lambda does not have"},
	} {
		err := Contender{Name: "rust"}.checkZip(test.path, lambda.X86)
		if test.reason == "" && err != nil || test.reason != "" && (err == nil || !strings.Contains(err.Error(), test.reason)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.reason)
		}
	}
}

// What Lambda would only say at the first invocation is said before anything is
// deployed.
func TestContenderZips(t *testing.T) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	other := map[string]string{"amd64": "arm64", "arm64": "x86_64"}[runtime.GOARCH]
	for _, test := range []struct {
		name, path, reason string
	}{
		{"not there", filepath.Join(t.TempDir(), "gone.zip"), "no such file"},
		{"another name", packed(t, "main", []byte("#!/bin/sh")), "no bootstrap in it"}, // what cargo and go call it by themselves
		{"another processor", packed(t, "bootstrap", self), "its bootstrap is for EM_"},
		{"not executable", packedAs(t, "bootstrap", []byte("#!/bin/sh\n"), 0o644), "cannot be executed by everyone (-rw-r--r--): chmod 755"},
		{"executable by its owner alone", packedAs(t, "bootstrap", []byte("#!/bin/sh\n"), 0o700), "cannot be executed by everyone"},
		{"packed on Windows", packedAs(t, "bootstrap", []byte("#!/bin/sh\n"), 0), "cannot be executed by everyone"},
		{"a link", packedAs(t, "bootstrap", []byte("handler"), fs.ModeSymlink|0o777), "not a regular file"},
		{"a folder of that name", packed(t, "bootstrap/main", []byte("#!/bin/sh\n")), "no bootstrap in it"},
		{"in a folder", packed(t, "release/bootstrap", []byte("#!/bin/sh\n")), "no bootstrap in it"},
		{"empty", packed(t, "bootstrap", nil), "its bootstrap is empty"},
		{"for Windows", packed(t, "bootstrap", []byte("MZ\x90\x00")), "neither a Linux executable nor a script"},
		{"for macOS", packed(t, "bootstrap", []byte("\xcf\xfa\xed\xfe\x07\x00\x00\x01")), "neither a Linux executable nor a script"},
		{"text without an interpreter", packed(t, "bootstrap", []byte("echo hello\n")), "neither a Linux executable nor a script"},
		{"Windows line ends", packed(t, "bootstrap", []byte("#!/bin/sh\r\necho\r\n")), "Windows line ends"},
		{"no interpreter", packed(t, "bootstrap", []byte("#!\n")), "names no interpreter"},
		{"too large", packed(t, "bootstrap", make([]byte, maxPackageBytes+1)), "more than 250 MB unpacked"},
	} {
		c, err := ParseContext(map[string]any{
			"architectures": other, "contenders": "rust", "contenderZip.rust": test.path, "functionsOnly": true, "bucketName": "mine",
		}, nil, testAccount)
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir())}), c, t.TempDir())
		var refused *ContextError
		if !errors.As(err, &refused) || !strings.Contains(refused.Reason, test.reason) || refused.Value != test.path {
			t.Errorf("%s: %v, want %q", test.name, err, test.reason)
		}
	}
}

// Nothing may outlive the stack, and nothing may have a name that a second
// stack would want as well. It is what make template-lint gets its templates
// from.
func TestNothingStays(t *testing.T) {
	for i, context := range allFlags(t) {
		t.Run(compact(context), func(t *testing.T) {
			b := synth(t, context)
			if *templates != "" {
				if err := os.WriteFile(filepath.Join(*templates, fmt.Sprintf("%02d.template.json", i)), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			ascii(t, b)
			tpl := parse(t, b)
			for id, r := range tpl.Resources {
				switch r.Type {
				case "AWS::S3::Bucket", "AWS::S3Express::DirectoryBucket", "AWS::Logs::LogGroup", "Custom::FanoutObjects", "Custom::FanoutResults":
					if r.DeletionPolicy != "Delete" || r.UpdateReplacePolicy != "Delete" {
						t.Errorf("%s (%s): deletion %q, replacement %q", id, r.Type, r.DeletionPolicy, r.UpdateReplacePolicy)
					}
				default:
					if r.DeletionPolicy == "Retain" {
						t.Errorf("%s (%s) is retained", id, r.Type)
					}
				}
				for _, name := range []string{"BucketName", "FunctionName", "RoleName", "LogGroupName", "GroupName", "PolicyName", "StateMachineName"} {
					// a policy that is in a role has its name there
					if v, ok := r.Properties[name]; ok && r.Type != "AWS::IAM::Policy" {
						t.Errorf("%s (%s) has the physical %s %v", id, r.Type, name, v)
					}
				}
			}
		})
	}
}

// The seeder and run learn the distribution of sizes as one table, which is
// small beside a template.
func TestObjectsShape(t *testing.T) {
	for _, context := range []map[string]any{
		{"lognormal": "12000,400000"},
		{"shape": "testdata/sizes.txt"},
	} {
		tpl := parse(t, synth(t, context))
		objects := tpl.Resources["SeedObjects"].Properties
		var spec, known corpus.Spec
		var shape corpus.Shape
		text, _ := objects["ShapeJSON"].(string)
		if err := json.Unmarshal([]byte(text), &shape); err != nil || len(text) > 2048 {
			t.Errorf("%v: ShapeJSON of %d bytes: %v", context, len(text), err)
		}
		if err := json.Unmarshal([]byte(tpl.Outputs["Objects"].Value.(string)), &known); err != nil {
			t.Error(err)
		}
		spec = corpus.Default().WithShape(shape)
		if known != spec || spec.Validate() != nil || objects["MinBytes"] != fmt.Sprint(spec.MinBytes) ||
			objects["MaxBytes"] != fmt.Sprint(spec.MaxBytes) {
			t.Errorf("%v: seeder has %s, output %s", context, spec, known)
		}
	}
}

func TestBucketAndObjects(t *testing.T) {
	tpl := parse(t, synth(t, map[string]any{"objects": "5", "seed": "18446744073709551615", "prefix": "p/"}))
	buckets := tpl.of("AWS::S3::Bucket")
	if len(buckets) != 1 {
		t.Fatalf("buckets %v", buckets)
	}
	p := tpl.Resources[buckets[0]].Properties
	const closed = `{"BlockPublicAcls":true,"BlockPublicPolicy":true,"IgnorePublicAcls":true,"RestrictPublicBuckets":true}`
	if got := compact(p["PublicAccessBlockConfiguration"]); got != closed {
		t.Errorf("public access: %s", got)
	}
	if got := compact(p["BucketEncryption"]); !strings.Contains(got, "AES256") {
		t.Errorf("encryption: %s", got)
	}
	policy := compact(tpl.Resources[tpl.of("AWS::S3::BucketPolicy")[0]].Properties)
	if !strings.Contains(policy, `"Condition":{"Bool":{"aws:SecureTransport":"false"}},"Effect":"Deny"`) {
		t.Errorf("bucket policy: %s", policy)
	}

	objects := tpl.Resources["SeedObjects"]
	if objects.Type != "Custom::FanoutObjects" || referred(objects.Properties["Bucket"]) != buckets[0] {
		t.Errorf("objects: %+v", objects)
	}
	if !strings.HasPrefix(referred(objects.Properties["ServiceToken"]), "Seeder") {
		t.Errorf("objects are made by %v", objects.Properties["ServiceToken"])
	}
	// CloudFormation must wait longer than the function may run.
	seeder := tpl.Resources[referred(objects.Properties["ServiceToken"])].Properties
	if got := compact(objects.Properties["ServiceTimeout"]); got != `"900"` || seeder["Timeout"] != 600.0 {
		t.Errorf("service time-out %s, the seeder's own %v", got, seeder["Timeout"])
	}
	for name, want := range map[string]string{
		"Objects": "5", "Seed": "18446744073709551615", "Prefix": "p/", "MinBytes": "1000", "MaxBytes": "50000",
		"NeedleJSON": `"MyMagicString"`, "EmptyBucket": "false",
	} {
		if got := objects.Properties[name]; got != want {
			t.Errorf("objects' %s is %v, want %s", name, got, want)
		}
	}
	const spec = `{"objects":5,"min_bytes":1000,"max_bytes":50000,"seed":18446744073709551615,"needle":"MyMagicString","prefix":"p/"}`
	if got := tpl.Outputs["Objects"].Value; got != spec {
		t.Errorf("output Objects: %v", got)
	}
	if got := referred(tpl.Outputs["Bucket"].Value); got != buckets[0] {
		t.Errorf("output Bucket: %v", got)
	}
	if got := compact(tpl.Outputs["Region"].Value); got != `{"Ref":"AWS::Region"}` {
		t.Errorf("output Region: %s", got)
	}
	if got := tpl.Outputs["Prefix"].Value; got != "p/" {
		t.Errorf("output Prefix: %v", got)
	}
}

func TestTags(t *testing.T) {
	tpl := parse(t, synth(t, map[string]any{"memories": "512", "architectures": "arm64", "stackName": "Second"}))
	for id, r := range tpl.Resources {
		if r.Type == "AWS::S3::BucketPolicy" || r.Type == "Custom::FanoutObjects" {
			continue // cannot be tagged, and cost nothing
		}
		tags := compact(r.Properties["Tags"])
		if !strings.Contains(tags, `{"Key":"app","Value":"fanout"}`) || !strings.Contains(tags, `{"Key":"stack","Value":"Second"}`) {
			t.Errorf("%s (%s): tags %s", id, r.Type, tags)
		}
		if isFetch := strings.HasPrefix(id, "Fetch512Arm") && r.Type == "AWS::Lambda::Function"; isFetch &&
			(!strings.Contains(tags, `{"Key":"memory-mb","Value":"512"}`) || !strings.Contains(tags, `{"Key":"architecture","Value":"arm64"}`)) {
			t.Errorf("%s: tags %s", id, tags)
		}
	}
}

// A bucket that was brought along is read and nothing else.
func TestFunctionsOnly(t *testing.T) {
	tests := []struct {
		name, bucket, prefix string
		read                 string // the role's statements after the log's
	}{
		{"under a prefix", "mine", "p/",
			`{"Action":"s3:ListBucket","Condition":{"StringLike":{"s3:prefix":"p/*"}},` +
				`"Effect":"Allow","Resource":{"Fn::Sub":"arn:${AWS::Partition}:s3:::mine"}},` +
				`{"Action":"s3:GetObject","Effect":"Allow","Resource":{"Fn::Join":["",[{"Fn::Sub":"arn:${AWS::Partition}:s3:::mine"},"/p/*"]]}}`},
		{"all of it", "mine", "", `{"Action":"s3:ListBucket","Effect":"Allow","Resource":{"Fn::Sub":"arn:${AWS::Partition}:s3:::mine"}},` +
			`{"Action":"s3:GetObject","Effect":"Allow","Resource":{"Fn::Join":["",[{"Fn::Sub":"arn:${AWS::Partition}:s3:::mine"},"/*"]]}}`},
		{"a directory bucket", "mine--use1-az4--x-s3", "p/",
			`{"Action":"s3express:CreateSession","Condition":{"StringEquals":{"s3express:SessionMode":"ReadOnly"}},"Effect":"Allow",` +
				`"Resource":{"Fn::Sub":"arn:${AWS::Partition}:s3express:${AWS::Region}:${AWS::AccountId}:bucket/mine--use1-az4--x-s3"}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tpl := parse(t, synth(t, map[string]any{
				"functionsOnly": "true", "bucketName": test.bucket, "prefix": test.prefix, "memories": "128", "architectures": "x86_64",
			}))
			kinds := map[string]int{}
			for _, r := range tpl.Resources {
				kinds[r.Type]++
			}
			if want := map[string]int{"AWS::Lambda::Function": 1, "AWS::IAM::Role": 1, "AWS::Logs::LogGroup": 1}; !maps.Equal(kinds, want) {
				t.Errorf("resources %v, want %v", kinds, want)
			}
			got := tpl.statements(tpl.of("AWS::IAM::Role")[0])
			want := `[{"Action":["logs:CreateLogStream","logs:PutLogEvents"],` +
				`"Effect":"Allow","Resource":{"Fn::GetAtt":["Fetch128X86Logs","Arn"]}},` + test.read + `]`
			if got != want {
				t.Errorf("the role may\n%s\nwant\n%s", got, want)
			}
			if got := tpl.Outputs["Bucket"].Value; got != test.bucket {
				t.Errorf("output Bucket: %v", got)
			}
		})
	}
}

func TestExpress(t *testing.T) {
	tpl := parse(t, synth(t, map[string]any{"express": "true", "zone": "use1-az4", "memories": "128", "architectures": "arm64"}))
	if n := len(tpl.of("AWS::S3::Bucket")); n != 0 {
		t.Errorf("%d general-purpose buckets", n)
	}
	buckets := tpl.of("AWS::S3Express::DirectoryBucket")
	if len(buckets) != 1 {
		t.Fatalf("directory buckets %v", buckets)
	}
	p := tpl.Resources[buckets[0]].Properties
	if p["LocationName"] != "use1-az4" || p["DataRedundancy"] != "SingleAvailabilityZone" {
		t.Errorf("directory bucket: %v", p)
	}
	for _, role := range tpl.of("AWS::IAM::Role") {
		mode := map[bool]string{true: "ReadWrite", false: "ReadOnly"}[strings.HasPrefix(role, "Seeder")]
		want := `{"Action":"s3express:CreateSession","Condition":{"StringEquals":{"s3express:SessionMode":"` + mode + `"}},` +
			`"Effect":"Allow","Resource":{"Fn::GetAtt":["BucketUse1az4","Arn"]}}]`
		if got := tpl.statements(role); !strings.HasSuffix(got, want) || strings.Contains(got, `"s3:`) {
			t.Errorf("%s may %s, want %s", role, got, want)
		}
	}
}

func TestVPC(t *testing.T) {
	for _, express := range []string{"false", "true"} {
		t.Run("express="+express, func(t *testing.T) {
			context := map[string]any{"vpc": "true", "express": express, "memories": "128", "architectures": "arm64"}
			service, action, count := ".s3", "s3:GetObject", 2
			if express == "true" {
				context["zone"] = "use1-az4"
				service, action, count = ".s3express", "s3express:CreateSession", 1 // in the bucket's zone
			}
			tpl := parse(t, synth(t, context))
			for _, kind := range []string{"AWS::EC2::NatGateway", "AWS::EC2::InternetGateway", "AWS::EC2::EIP"} {
				if ids := tpl.of(kind); ids != nil {
					t.Errorf("%s: a way out of the VPC", ids)
				}
			}
			subnets := tpl.of("AWS::EC2::Subnet")
			for _, id := range subnets {
				if tpl.Resources[id].Properties["MapPublicIpOnLaunch"] != false {
					t.Errorf("%s is public", id)
				}
				if zone := tpl.Resources[id].Properties["AvailabilityZoneId"]; express == "true" && zone != "use1-az4" {
					t.Errorf("%s is in zone %v", id, zone)
				}
			}
			endpoints := tpl.of("AWS::EC2::VPCEndpoint")
			if len(endpoints) != 1 {
				t.Fatalf("endpoints %v", endpoints)
			}
			p := tpl.Resources[endpoints[0]].Properties
			name := compact(p["ServiceName"])
			tables, _ := p["RouteTableIds"].([]any)
			if !strings.HasSuffix(name, service+`"}`) || p["VpcEndpointType"] != "Gateway" || len(tables) != len(tpl.of("AWS::EC2::RouteTable")) {
				t.Errorf("endpoint %v to %s, in %d route tables", p["VpcEndpointType"], name, len(tables))
			}
			if policy := compact(p["PolicyDocument"]); !strings.Contains(policy, action) || strings.Contains(policy, `"Action":"*"`) {
				t.Errorf("endpoint's policy: %s", policy)
			}
			for _, id := range tpl.of("AWS::Lambda::Function") {
				network, _ := tpl.Resources[id].Properties["VpcConfig"].(map[string]any)
				in, _ := network["SubnetIds"].([]any)
				// The seeder stays outside: it has to reach CloudFormation.
				if want := map[bool]int{true: 0, false: count}[strings.HasPrefix(id, "Seeder")]; len(in) != want {
					t.Errorf("%s is in %d subnets, want %d", id, len(in), want)
				}
				if network == nil {
					continue
				}
				got := tpl.statements(referred(tpl.Resources[id].Properties["Role"]))
				if !strings.Contains(got, `"ec2:CreateNetworkInterface"`) || !strings.Contains(got, `"lambda:SourceFunctionArn"`) {
					t.Errorf("%s may %s", id, got)
				}
			}
		})
	}
}

// allFlags gives a context for each combination of the flags that make other
// resources, small.
func allFlags(t *testing.T) []map[string]any {
	var all []map[string]any
	for _, network := range []map[string]any{
		{},
		{"vpc": "true"},
		{"vpcId": "vpc-0123456789abcdef0", "subnetIds": "subnet-0123456789abcdef0"},
		{"vpcId": "vpc-0123456789abcdef0", "subnetIds": "subnet-0123456789abcdef0", "securityGroupIds": "sg-0123456789abcdef0"},
	} {
		for _, bucket := range []map[string]any{
			{},
			{"bucketKey": testKey, "emptyBucket": "true"},
			{"express": "true", "zone": "use1-az4"},
			{"express": "true", "zone": "use1-az4", "bucketKey": testKey},
			{"functionsOnly": "true", "bucketName": "mine", "permissionsBoundary": "arn:aws:iam::111111111111:policy/bounds"},
			{"functionsOnly": "true", "bucketName": "mine", "prefix": "a/b/", "bucketKey": testKey},
			{"functionsOnly": "true", "bucketName": "mine--use1-az4--x-s3"},
			{"functionsOnly": "true", "bucketName": "mine--use1-az4--x-s3", "bucketKey": testKey},
			{"contenders": "go,other", "contenderZip.other": packed(t, "bootstrap", []byte("#!/bin/sh"))},
			{
				"contenders": "go,python", "contenderZip.python": packed(t, "app.py", []byte("def handler(event, context): ...")),
				"contenderRuntime.python": "python3.14", "contenderHandler.python": "app.handler", // the newest, as cdk-nag wants it
			},
			{"scan": "true"},
			{"scan": "true", "express": "true", "zone": "use1-az4"},
			{
				"scan": "true", "functionsOnly": "true", "bucketName": "mine", "prefix": "a/b/", "bucketKey": testKey, "scanExecution": "STANDARD",
				"scanInventory": "s3://inventories/mine/", "permissionsBoundary": "arn:aws:iam::111111111111:policy/bounds",
			},
		} {
			context := map[string]any{"memories": "128", "architectures": "arm64"}
			maps.Copy(context, network)
			maps.Copy(context, bucket)
			all = append(all, context)
		}
	}
	return all
}

// A build that is not there must not become an empty function.
func TestNoBuild(t *testing.T) {
	c, err := ParseContext(nil, nil, testAccount)
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(awscdk.NewApp(nil), c, t.TempDir())
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "fetch/arm64/bootstrap") {
		t.Errorf("error %v, want that the bootstrap is missing", err)
	}
}

var assetRE = regexp.MustCompile(`[0-9a-f]{64}`)

// goldens are the contexts whose templates are kept, by file.
var goldens = map[string]map[string]any{
	"default":    nil,
	"bucket-key": {"memories": "128", "architectures": "arm64", "bucketKey": testKey},
	"brought-bucket-key": {
		"memories": "128", "architectures": "arm64", "functionsOnly": "true", "bucketName": "mine", "bucketKey": testKey,
	},
	"scan": {"memories": "128,512", "architectures": "arm64", "scan": "true"},
	"brought-scan": {
		"memories": "512", "architectures": "x86_64", "functionsOnly": "true", "bucketName": "mine", "bucketKey": testKey,
		"scan": "true", "scanExecution": "STANDARD", "scanInventory": "s3://inventories/mine/",
	},
	"vpc-id": {
		"memories": "128", "architectures": "arm64", "vpcId": "vpc-0123456789abcdef0", "subnetIds": "subnet-0123456789abcdef0",
	},
	"vpc-looked-up": {
		"memories": "128", "architectures": "arm64", "vpcId": "vpc-0123456789abcdef0", "securityGroupIds": "sg-0123456789abcdef0",
	},
}

// TestGolden shows every change of a template in a review. Hashes of what was
// built are left out: they change with every line of Go. So is the definition of
// the state machine, which TestScan compares with its file.
func TestGolden(t *testing.T) {
	for name, context := range goldens {
		t.Run(name, func(t *testing.T) {
			file := "testdata/" + name + ".template.json"
			got := append(assetRE.ReplaceAll(synth(t, context), []byte("HASH")), '\n')
			got = bytes.ReplaceAll(got, []byte(`"DefinitionString": `+compact(scan.Definition())), []byte(`"DefinitionString": "DEFINITION"`))
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) == string(want) {
				return
			}
			g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
			for i := range g {
				if i >= len(w) || g[i] != w[i] {
					t.Fatalf("%s differs from line %d on:\n got %s\nwant %s\nlook at the change, then: go test ./infra/stack -update",
						file, i+1, g[i], w[min(i, len(w)-1)])
				}
			}
			t.Fatalf("%s has %d lines more than the template", file, len(w)-len(g))
		})
	}
}

const testKey = "arn:aws:kms:us-east-1:111111111111:key/11111111-2222-3333-4444-555555555555"

// Whatever belongs to one bucket has another ID where the bucket has to be
// another one: CloudFormation then makes all of it anew, and has the old
// seeder, with its rights to the old bucket, take its objects away.
func TestAnotherBucketIsAnotherSeeder(t *testing.T) {
	kinds := []string{"AWS::S3::Bucket", "AWS::S3Express::DirectoryBucket", "Custom::FanoutObjects"}
	seen := map[string]string{}
	for _, context := range []map[string]any{
		{},
		{"express": "true", "zone": "use1-az4"},
		{"express": "true", "zone": "use1-az5"},
		{"bucketKey": testKey},
		{"bucketKey": strings.Replace(testKey, "2222", "6666", 1)},
		{"express": "true", "zone": "use1-az4", "bucketKey": testKey},
	} {
		own := maps.Clone(context)
		own["memories"], own["architectures"] = "128", "arm64"
		tpl := parse(t, synth(t, own))
		n := 0
		for id, r := range tpl.Resources {
			if !slices.Contains(kinds, r.Type) && !strings.HasPrefix(id, "Seeder") {
				continue
			}
			n++
			if seen[id] != "" {
				t.Errorf("%s has the %s of %s", compact(context), id, seen[id])
			}
			seen[id] = compact(context)
		}
		if n != 5 { // the bucket, the objects, and the seeder with its role and log
			t.Errorf("%s: %d resources that belong to the bucket", compact(context), n)
		}
	}
	// What does not call for another bucket leaves all of it in place.
	one := parse(t, synth(t, nil))
	other := parse(t, synth(t, map[string]any{"prefix": "x/", "vpc": "true", "emptyBucket": "true", "memories": "512"}))
	for _, id := range []string{"Bucket", "Seeder", "SeederRole", "SeedObjects"} {
		if one.Resources[id].Type == "" || one.Resources[id].Type != other.Resources[id].Type {
			t.Errorf("%s is a %q and a %q", id, one.Resources[id].Type, other.Resources[id].Type)
		}
	}
}

// ascii fails where a template has what is not ASCII: CloudFormation answers
// with a question mark for it.
func ascii(t *testing.T, template []byte) {
	t.Helper()
	for i, c := range template {
		if c >= 0x7f {
			t.Errorf("byte %#x in ...%s...", c, template[max(0, i-60):min(len(template), i+20)])
			return
		}
	}
}

// A needle that is not ASCII survives, as JSON.
func TestNeedle(t *testing.T) {
	const needle = "Ångström 日本語 \U0001F50E \x7f"
	b := synth(t, map[string]any{"memories": "128", "architectures": "arm64", "needle": needle})
	ascii(t, b)
	tpl := parse(t, b)
	var spec corpus.Spec
	output, _ := tpl.Outputs["Objects"].Value.(string)
	if err := json.Unmarshal([]byte(output), &spec); err != nil || spec.Needle != needle {
		t.Errorf("output %s: %q, %v", output, spec.Needle, err)
	}
	var property string
	text, _ := tpl.Resources["SeedObjects"].Properties["NeedleJSON"].(string)
	if err := json.Unmarshal([]byte(text), &property); err != nil || property != needle {
		t.Errorf("property %s: %q, %v", text, property, err)
	}
}

// A key of one's own is used for S3 only, to read, and by the seeder to write.
func TestBucketKey(t *testing.T) {
	via := `"Condition":{"StringEquals":{"kms:ViaService":[{"Fn::Sub":"s3.${AWS::Region}.${AWS::URLSuffix}"}]}},` +
		`"Effect":"Allow","Resource":"` + testKey + `"}]`
	both := strings.Replace(via, `URLSuffix}"}`, `URLSuffix}"},{"Fn::Sub":"s3express.${AWS::Region}.${AWS::URLSuffix}"}`, 1)
	for _, test := range []struct {
		name    string
		context map[string]any
		read    string // what the functions' last statement allows
		write   string // … and the seeder's; "": there is none
	}{
		{"own bucket", map[string]any{}, `{"Action":"kms:Decrypt",` + via, `{"Action":["kms:Decrypt","kms:GenerateDataKey"],` + via},
		{"brought bucket", map[string]any{"functionsOnly": true, "bucketName": "mine"}, `{"Action":"kms:Decrypt",` + via, ""},
		{"brought directory bucket", map[string]any{"functionsOnly": true, "bucketName": "mine--use1-az4--x-s3"},
			`{"Action":["kms:Decrypt","kms:GenerateDataKey"],` + both, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.context["bucketKey"], test.context["memories"], test.context["architectures"] = testKey, "128", "arm64"
			tpl := parse(t, synth(t, test.context))
			if got := tpl.statements("Fetch128ArmRole"); !strings.HasSuffix(got, test.read) {
				t.Errorf("a function may %s, want %s", got, test.read)
			}
			for id, r := range tpl.Resources {
				seeder := strings.HasPrefix(id, "SeederKms") && r.Type == "AWS::IAM::Role"
				if test.write != "" && seeder && !strings.HasSuffix(tpl.statements(id), test.write) {
					t.Errorf("the seeder may %s, want %s", tpl.statements(id), test.write)
				}
				if r.Type == "AWS::S3::Bucket" && !strings.Contains(compact(r.Properties["BucketEncryption"]), `"KMSMasterKeyID":"`+testKey+`"`) {
					t.Errorf("bucket: %s", compact(r.Properties["BucketEncryption"]))
				}
			}
		})
	}
}

// A policy that bounds roles bounds all of them.
func TestPermissionsBoundary(t *testing.T) {
	const bounds = "arn:aws:iam::111111111111:policy/team/bounds"
	tpl := parse(t, synth(t, map[string]any{"permissionsBoundary": bounds, "memories": "128,512"}))
	roles := tpl.of("AWS::IAM::Role")
	for _, id := range roles {
		if got := tpl.Resources[id].Properties["PermissionsBoundary"]; got != bounds {
			t.Errorf("%s is bounded by %v", id, got)
		}
	}
	if len(roles) != 5 {
		t.Errorf("roles %v", roles)
	}
}

// `cdk` answers with a VPC's subnets in the context; those with a way to the
// internet gateway are left out.
func TestLookedUpVPC(t *testing.T) {
	group := func(kind string, ids ...string) map[string]any {
		var subnets []any
		for _, id := range ids {
			subnets = append(subnets, map[string]any{"subnetId": id, "availabilityZone": "us-east-1a", "routeTableId": "rtb-1"})
		}
		return map[string]any{"name": kind, "type": kind, "subnets": subnets}
	}
	for _, test := range []struct {
		name   string
		groups []any
		want   string // of the function's SubnetIds; "": refused
	}{
		{"private and isolated", []any{group("Public", "subnet-1"), group("Private", "subnet-2", "subnet-3"), group("Isolated", "subnet-4")},
			`["subnet-2","subnet-3","subnet-4"]`},
		{"public ones only", []any{group("Public", "subnet-1")}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := ParseContext(map[string]any{
				"vpcId": "vpc-0123456789abcdef0", "memories": "128", "architectures": "arm64", "functionsOnly": true, "bucketName": "mine",
			}, nil, testAccount)
			if err != nil {
				t.Fatal(err)
			}
			app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir()), Context: &map[string]any{
				"vpc-provider:account=111111111111:filter.vpc-id=vpc-0123456789abcdef0:region=us-east-1:returnAsymmetricSubnets=true": map[string]any{
					"vpcId": "vpc-0123456789abcdef0", "availabilityZones": []any{}, "subnetGroups": test.groups,
				},
			}})
			s, err := New(app, c, bootstrapsFor(t))
			if test.want == "" {
				var refused *ContextError
				if !errors.As(err, &refused) || refused.Key != "vpcId" {
					t.Errorf("error %v, want that there is no private subnet", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(assertions.Template_FromStack(s, nil).ToJSON())
			if err != nil {
				t.Fatal(err)
			}
			network, _ := parse(t, b).Resources["Fetch128Arm"].Properties["VpcConfig"].(map[string]any)
			if got := compact(network["SubnetIds"]); got != test.want {
				t.Errorf("subnets %s, want %s", got, test.want)
			}
		})
	}
}

// Big functions are warned of, since a new account is refused them, and sizes that
// are cut.
func TestWarning(t *testing.T) {
	sizes := filepath.Join(t.TempDir(), "sizes.txt")
	if err := os.WriteFile(sizes, []byte(strings.Repeat("1000\n", 999)+"5000000000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const refusal, cut = "less than or equal to 3008", "shape sizes.txt: 1 of 1000 sizes cut to 5 GiB"
	for _, row := range []struct {
		name    string
		context map[string]any
		says    string
		want    bool
	}{
		{"as large as a new account has", map[string]any{"memories": "3008"}, refusal, false},
		{"larger", map[string]any{"memories": "3009"}, refusal, true},
		{"no shape", map[string]any{}, cut, false},
		{"a shape with a size that is too large", map[string]any{"shape": sizes, "objects": "20"}, cut, true},
	} {
		c, err := ParseContext(row.context, nil, testAccount)
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		s, err := New(awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir())}), c, bootstrapsFor(t))
		if err != nil {
			t.Fatal(err)
		}
		warnings := assertions.Annotations_FromStack(s).FindWarning(jsii.String("*"), assertions.Match_StringLikeRegexp(jsii.String(row.says)))
		if got := len(*warnings) > 0; got != row.want {
			t.Errorf("%s: warned %t, want %t", row.name, got, row.want)
		}
	}
}

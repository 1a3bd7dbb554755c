package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"fanout/functions/scan"
)

// The state machine is the text of the repository; only what CloudFormation
// fills in is beside it.
func TestScan(t *testing.T) {
	for _, execution := range []string{scan.Express, scan.Standard} {
		b := synth(t, map[string]any{"scan": "true", "scanMemory": "512", "scanArchitecture": "x86_64", "scanExecution": execution})
		if strings.Contains(string(b), "arn:aws:") {
			t.Error("an ARN of one partition only")
		}
		tpl := parse(t, b)
		p := tpl.Resources["Scan"].Properties
		if p["DefinitionString"] != scan.Definition() || p["Definition"] != nil || p["StateMachineType"] != "STANDARD" {
			t.Errorf("definition %v", p["DefinitionString"])
		}
		want := `{"ExecutionType":"` + execution + `","FetchFunction":{"Fn::GetAtt":["Fetch512X86","Arn"]},"Partition":{"Ref":"AWS::Partition"}}`
		if got := compact(p["DefinitionSubstitutions"]); got != want {
			t.Errorf("substitutions %s, want %s", got, want)
		}
		names := slices.Sorted(maps.Keys(scan.Substitutions{}.Map()))
		if given, _ := p["DefinitionSubstitutions"].(map[string]any); !slices.Equal(slices.Sorted(maps.Keys(given)), names) {
			t.Errorf("substitutions for %v, want %v", given, names)
		}
		for name, want := range map[string]string{"ScanStateMachineArn": "Scan", "ScanResultsBucket": "ResultsBucket", "Bucket": "Bucket"} {
			if got := referred(tpl.Outputs[name].Value); got != want {
				t.Errorf("output %s is of %q, want %s", name, got, want)
			}
		}
		logging := compact(p["LoggingConfiguration"])
		const to = `{"Destinations":[{"CloudWatchLogsLogGroup":{"LogGroupArn":{"Fn::GetAtt":["ScanLogs","Arn"]}}}],` +
			`"IncludeExecutionData":false,"Level":"ERROR"}`
		if logging != to {
			t.Errorf("logging %s", logging)
		}
		if got := tpl.Resources["ScanLogs"].Properties["RetentionInDays"]; got != 7.0 {
			t.Errorf("the log is kept for %v days", got)
		}
		// Else it would write while its results are taken away.
		if got := compact(tpl.Resources["Scan"].DependsOn); got != `["Results"]` {
			t.Errorf("the state machine depends on %s", got)
		}
	}
}

// The labels in the role's rights are those of the text.
func TestScanLabels(t *testing.T) {
	var text struct {
		States map[string]struct{ Label string }
	}
	if err := json.Unmarshal([]byte(scan.Definition()), &text); err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, state := range text.States {
		if state.Label != "" {
			labels = append(labels, state.Label)
		}
	}
	if !slices.Equal(slices.Sorted(slices.Values(labels)), slices.Sorted(slices.Values(scanLabels))) {
		t.Errorf("labels %v, rights for %v", labels, scanLabels)
	}
}

// Statements of the state machine's role that several stacks have.
const (
	scanResultsRight = `{"Action":["s3:AbortMultipartUpload","s3:GetObject","s3:ListMultipartUploadParts","s3:PutObject"],"Effect":"Allow",` +
		`"Resource":{"Fn::Join":["",[{"Fn::GetAtt":["ResultsBucket","Arn"]},"/jobs/*"]]}}`
	scanLogRight = `{"Action":["logs:CreateLogDelivery","logs:DeleteLogDelivery","logs:DescribeLogGroups","logs:DescribeResourcePolicies",` +
		`"logs:GetLogDelivery","logs:ListLogDeliveries","logs:PutResourcePolicy","logs:UpdateLogDelivery"],"Effect":"Allow","Resource":"*"}`
	viaS3 = `"Condition":{"StringEquals":{"kms:ViaService":[{"Fn::Sub":"s3.${AWS::Region}.${AWS::URLSuffix}"}]}},` +
		`"Effect":"Allow","Resource":"` + testKey + `"}`
	invokeRight = `{"Action":"lambda:InvokeFunction","Effect":"Allow","Resource":{"Fn::GetAtt":["Fetch128Arm","Arn"]}}`
)

// The state machine's role may list one bucket under one prefix, or read one
// inventory, and invoke one function; the function gets no right to the machine.
func TestScanRole(t *testing.T) {
	for _, test := range []struct {
		name    string
		context map[string]any
		want    []string
	}{
		{"own bucket", nil, []string{
			`{"Action":"s3:ListBucket","Condition":{"StringLike":{"s3:prefix":"objects/*"}},` +
				`"Effect":"Allow","Resource":{"Fn::GetAtt":["Bucket","Arn"]}}`, invokeRight, scanResultsRight, scanLogRight,
		}},
		{"a whole bucket that was brought along", map[string]any{"functionsOnly": "true", "bucketName": "mine"}, []string{
			`{"Action":"s3:ListBucket","Effect":"Allow","Resource":{"Fn::Sub":"arn:${AWS::Partition}:s3:::mine"}}`,
			invokeRight, scanResultsRight, scanLogRight,
		}},
		{"an inventory", map[string]any{
			"functionsOnly": "true", "bucketName": "mine", "prefix": "p/", "scanInventory": "s3://inventories/mine/",
		}, []string{
			`{"Action":"s3:ListBucket","Condition":{"StringLike":{"s3:prefix":"p/*"}},` +
				`"Effect":"Allow","Resource":{"Fn::Sub":"arn:${AWS::Partition}:s3:::mine"}}`,
			`{"Action":"s3:GetObject","Effect":"Allow","Resource":{"Fn::Sub":"arn:${AWS::Partition}:s3:::inventories/mine/*"}}`,
			invokeRight, scanResultsRight, scanLogRight,
		}},
		// its results are multipart uploads, which take more than to put
		{"a key", map[string]any{"bucketKey": testKey}, []string{
			`{"Action":"s3:ListBucket","Condition":{"StringLike":{"s3:prefix":"objects/*"}},` +
				`"Effect":"Allow","Resource":{"Fn::GetAtt":["BucketKms` + "%s" + `","Arn"]}}`, invokeRight, scanResultsRight,
			`{"Action":["kms:Decrypt","kms:Encrypt","kms:GenerateDataKey"],` + viaS3, scanLogRight,
		}},
		{"a directory bucket", map[string]any{"express": "true", "zone": "use1-az4"}, []string{
			`{"Action":"s3express:CreateSession","Condition":{"StringEquals":{"s3express:SessionMode":"ReadOnly"}},"Effect":"Allow",` +
				`"Resource":{"Fn::GetAtt":["BucketUse1az4","Arn"]}}`, invokeRight, scanResultsRight, scanLogRight,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			context := map[string]any{"scan": "true", "memories": "128", "architectures": "arm64"}
			maps.Copy(context, test.context)
			tpl := parse(t, synth(t, context))
			want := "[" + strings.Join(test.want, ",") + "]"
			if strings.Contains(want, "%s") {
				want = fmt.Sprintf(want, strings.TrimPrefix(referred(tpl.Outputs["Bucket"].Value), "BucketKms"))
			}
			if got := tpl.statements("ScanRole"); got != want {
				t.Errorf("the state machine may\n%s\nwant\n%s", got, want)
			}
			trust := compact(tpl.Resources["ScanRole"].Properties["AssumeRolePolicyDocument"])
			const account = `"aws:SourceAccount":{"Ref":"AWS::AccountId"}`
			if !strings.Contains(trust, `"Service":"states.amazonaws.com"`) || !strings.Contains(trust, account) {
				t.Errorf("the role is taken by %s", trust)
			}
		})
	}
}

// What the state machine may do with itself, and nothing with any other.
func TestScanSelf(t *testing.T) {
	tpl := parse(t, synth(t, map[string]any{"scan": "true", "memories": "128", "architectures": "arm64"}))
	own := func(names string) string {
		return `{"Fn::Sub":"arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:` + names + `"}`
	}
	children := own("execution:${Scan.Name}/ReadListing:*") + "," + own("execution:${Scan.Name}/ReadInventory:*")
	want := `[{"Action":"states:StartExecution","Effect":"Allow","Resource":{"Ref":"Scan"}},` +
		`{"Action":["states:DescribeExecution","states:StopExecution"],"Effect":"Allow","Resource":[` +
		own("execution:${Scan.Name}:*") + "," + children + `]},` +
		`{"Action":"states:RedriveExecution","Effect":"Allow","Resource":[` + children + `]},` +
		`{"Action":"states:DescribeMapRun","Effect":"Allow","Resource":` + own("mapRun:${Scan.Name}/*") + `}]`
	policies := tpl.of("AWS::IAM::Policy")
	if len(policies) != 1 {
		t.Fatalf("policies %v", policies)
	}
	p := tpl.Resources[policies[0]].Properties
	document, _ := p["PolicyDocument"].(map[string]any)
	if got := compact(document["Statement"]); got != want {
		t.Errorf("rights to itself\n%s\nwant\n%s", got, want)
	}
	if got := compact(p["Roles"]); got != `[{"Ref":"ScanRole"}]` {
		t.Errorf("the policy is of %s", got)
	}
}

// One function scans: it may write results, and take as long as Lambda lets it.
// The others stay what they are.
func TestScanFunction(t *testing.T) {
	for _, key := range []string{"", testKey} {
		context := map[string]any{"memories": "128,512", "architectures": "x86_64", "timeout": "30"}
		if key != "" {
			context["bucketKey"] = key
		}
		without := parse(t, synth(t, context))
		context["scan"], context["scanMemory"] = "true", "512"
		with := parse(t, synth(t, context))
		for _, id := range []string{"Fetch128X86", "Fetch128X86Role", "Fetch128X86Logs", "Fetch512X86Logs"} {
			if got, want := compact(with.Resources[id]), compact(without.Resources[id]); got != want {
				t.Errorf("%s is\n%s\nwithout a scan\n%s", id, got, want)
			}
		}
		if got := with.Resources["Fetch512X86"].Properties["Timeout"]; got != 900.0 {
			t.Errorf("the function that scans may take %v s", got)
		}
		more := `,{"Action":"s3:ListBucket","Condition":{"StringLike":{"s3:prefix":"jobs/*"}},"Effect":"Allow",` +
			`"Resource":{"Fn::GetAtt":["ResultsBucket","Arn"]}},` +
			`{"Action":["s3:GetObject","s3:PutObject"],"Effect":"Allow",` +
			`"Resource":{"Fn::Join":["",[{"Fn::GetAtt":["ResultsBucket","Arn"]},"/jobs/*"]]}}`
		want := strings.TrimSuffix(without.statements("Fetch512X86Role"), "]") + more + "]"
		if key != "" { // to write takes a right more
			read := `,{"Action":"kms:Decrypt",` + viaS3
			want = strings.Replace(want, read, "", 1)
			want = strings.TrimSuffix(want, "]") + `,{"Action":["kms:Decrypt","kms:GenerateDataKey"],` + viaS3 + "]"
		}
		if got := with.statements("Fetch512X86Role"); got != want {
			t.Errorf("the function that scans may\n%s\nwant\n%s", got, want)
		}
	}
}

// The results are in a bucket of their own, as closed as the other, and go with
// the stack; nobody gets rights to the bucket that is read for it.
func TestScanResults(t *testing.T) {
	for _, context := range []map[string]any{
		{},
		{"functionsOnly": "true", "bucketName": "mine"},
		{"bucketKey": testKey, "emptyBucket": "true"},
		{"express": "true", "zone": "use1-az4"},
	} {
		t.Run(compact(context), func(t *testing.T) {
			all := map[string]any{"scan": "true", "memories": "128", "architectures": "arm64", "scanRetention": "20"}
			maps.Copy(all, context)
			tpl := parse(t, synth(t, all))
			p := tpl.Resources["ResultsBucket"].Properties
			const closed = `{"BlockPublicAcls":true,"BlockPublicPolicy":true,"IgnorePublicAcls":true,"RestrictPublicBuckets":true}`
			if got := compact(p["PublicAccessBlockConfiguration"]); got != closed {
				t.Errorf("public access: %s", got)
			}
			encryption := `"SSEAlgorithm":"AES256"`
			if context["bucketKey"] != nil {
				encryption = `"KMSMasterKeyID":"` + testKey + `"`
			}
			if got := compact(p["BucketEncryption"]); !strings.Contains(got, encryption) {
				t.Errorf("encryption: %s", got)
			}
			const rules = `{"Rules":[{"AbortIncompleteMultipartUpload":{"DaysAfterInitiation":15},"ExpirationInDays":20,"Id":"Jobs",` +
				`"Prefix":"jobs/","Status":"Enabled"}]}`
			if got := compact(p["LifecycleConfiguration"]); got != rules {
				t.Errorf("lifecycle: %s", got)
			}
			policy := tpl.Resources["ResultsBucketPolicy"].Properties
			const tls = `{"Bool":{"aws:SecureTransport":"false"}}`
			if referred(policy["Bucket"]) != "ResultsBucket" || !strings.Contains(compact(policy), tls) {
				t.Errorf("bucket policy: %s", compact(policy))
			}

			results := tpl.Resources["Results"].Properties
			seeder := referred(results["ServiceToken"])
			if referred(results["Bucket"]) != "ResultsBucket" || results["Prefix"] != scan.JobsPrefix || seeder != "ResultsSeeder" {
				t.Errorf("results: %v", results)
			}
			if want := fmt.Sprint(context["emptyBucket"] != nil); results["EmptyBucket"] != want {
				t.Errorf("results' EmptyBucket is %v, want %s", results["EmptyBucket"], want)
			}
			want := `[{"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Effect":"Allow",` +
				`"Resource":{"Fn::GetAtt":["ResultsSeederLogs","Arn"]}},` +
				`{"Action":["s3:ListBucket","s3:ListBucketVersions"],"Effect":"Allow","Resource":{"Fn::GetAtt":["ResultsBucket","Arn"]}},` +
				`{"Action":["s3:DeleteObject","s3:DeleteObjectVersion"],"Effect":"Allow",` +
				`"Resource":{"Fn::Join":["",[{"Fn::GetAtt":["ResultsBucket","Arn"]},"/*"]]}}]`
			if got := tpl.statements("ResultsSeederRole"); got != want {
				t.Errorf("who takes them away may\n%s\nwant\n%s", got, want)
			}
			if network := tpl.Resources["ResultsSeeder"].Properties["VpcConfig"]; network != nil {
				t.Errorf("who takes them away cannot answer from %v", network)
			}
		})
	}
}

// A function in a VPC reaches the results, too, and only their part of S3.
func TestScanVPC(t *testing.T) {
	const results = `{"Action":["s3:GetObject","s3:PutObject"],"Effect":"Allow","Principal":{"AWS":"*"},` +
		`"Resource":{"Fn::Join":["",[{"Fn::GetAtt":["ResultsBucket","Arn"]},"/jobs/*"]]}}`
	for _, test := range []struct {
		context map[string]any
		want    []string
	}{
		{map[string]any{}, []string{"Endpoints3"}},
		{map[string]any{"express": "true", "zone": "use1-az4"}, []string{"Endpoints3", "Endpoints3express"}},
	} {
		context := map[string]any{"scan": "true", "vpc": "true", "memories": "128", "architectures": "arm64"}
		maps.Copy(context, test.context)
		tpl := parse(t, synth(t, context))
		if got := tpl.of("AWS::EC2::VPCEndpoint"); !slices.Equal(got, test.want) {
			t.Errorf("%s: endpoints %v, want %v", compact(context), got, test.want)
		}
		if got := compact(tpl.Resources["Endpoints3"].Properties["PolicyDocument"]); !strings.Contains(got, results) {
			t.Errorf("%s: the endpoint lets through %s", compact(context), got)
		}
	}
}

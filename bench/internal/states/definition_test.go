package states

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"fanout/functions/scan"
)

// one is a definition with one state.
func one(state string) string { return `{"StartAt":"S","States":{"S":` + state + `}}` }

// mapped is a distributed Map with more fields.
func mapped(more string) string {
	return one(`{"Type":"Map","End":true,"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"EXPRESS"},
		"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}` + more + `}`)
}

func task(more string) string {
	return one(`{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke",
		"Parameters":{"FunctionName":"f","Payload.$":"$"},"End":true` + more + `}`)
}

// What would not run here as the service runs it is refused, and the refusal
// names the field.
func TestRefused(t *testing.T) {
	for _, tc := range []struct{ name, text, at string }{
		{"no JSON", `{`, "/"},
		{"an array", `[]`, "/"},
		{"a field of its own", `{"StartAt":"S","States":{"S":{"Type":"Succeed"}},"Extra":1}`, "/Extra"},
		{"JSONata", `{"QueryLanguage":"JSONata","StartAt":"S","States":{"S":{"Type":"Succeed"}}}`, "/QueryLanguage"},
		{"JSONata in a state", one(`{"Type":"Pass","End":true,"QueryLanguage":"JSONata"}`), "/States/S/QueryLanguage"},
		{"a field twice", `{"StartAt":"S","States":{"S":{"Type":"Succeed"},"S":{"Type":"Succeed"}}}`, "/States/S"},
		{"a field of a list's object twice", task(`,"Retry":[{"ErrorEquals":["a"]},{"ErrorEquals":["a"],"ErrorEquals":["b"]}]`),
			"/States/S/Retry[1]/ErrorEquals"},
		{"a task's token", one(`{"Type":"Pass","End":true,"InputPath":"$$.Task.Token"}`), "/States/S/InputPath"},
		{"no field of the context", one(`{"Type":"Pass","End":true,"Parameters":{"a.$":"$$.Execution.Nmae"}}`), "/States/S/Parameters/a.$"},
		{"no states", `{"StartAt":"S","States":{}}`, "/States"},
		{"a state that is no object", `{"StartAt":"S","States":{"S":1}}`, "/States/S"},
		{"no type", one(`{"End":true}`), "/States/S/Type"},
		{"Wait", one(`{"Type":"Wait","Seconds":1,"End":true}`), "/States/S/Type"},
		{"Parallel", one(`{"Type":"Parallel","Branches":[],"End":true}`), "/States/S/Type"},
		{"variables", one(`{"Type":"Pass","Assign":{"a":1},"End":true}`), "/States/S/Assign"},
		{"neither Next nor End", one(`{"Type":"Pass"}`), "/States/S/Next"},
		{"both", one(`{"Type":"Pass","Next":"S","End":true}`), "/States/S/Next"},
		{"a state nobody comes to", `{"StartAt":"S","States":{"S":{"Type":"Succeed"},"T":{"Type":"Succeed"}}}`, "/States/T"},
		{"a name of 81", `{"StartAt":"S","States":{"S":{"Type":"Succeed"},"` + strings.Repeat("n", 81) + `":{"Type":"Succeed"}}}`, "/States/nnn"},
		{"ResultPath into the context", one(`{"Type":"Pass","End":true,"ResultPath":"$$.a"}`), "/States/S/ResultPath"},
		{"ResultPath into an array", one(`{"Type":"Pass","End":true,"ResultPath":"$.a[0]"}`), "/States/S/ResultPath"},
		{"a wildcard", one(`{"Type":"Pass","End":true,"InputPath":"$.a[*]"}`), "/States/S/InputPath"},
		{"a filter", one(`{"Type":"Pass","End":true,"OutputPath":"$.a[?(@.b>1)]"}`), "/States/S/OutputPath"},
		{"a slice", one(`{"Type":"Pass","End":true,"InputPath":"$.a[0:1]"}`), "/States/S/InputPath"},
		{"deep scan", one(`{"Type":"Pass","End":true,"InputPath":"$..a"}`), "/States/S/InputPath"},
		{"no path", one(`{"Type":"Pass","End":true,"Parameters":{"a":{"b.$":"c"}}}`), "/States/S/Parameters/a/b.$"},
		{"a path that is a number", one(`{"Type":"Pass","End":true,"Parameters":{"a":[{"b.$":1}]}}`), "/States/S/Parameters/a[0]/b.$"},
		{"a field twice", one(`{"Type":"Pass","End":true,"Parameters":{"a":1,"a.$":"$"}}`), "/States/S/Parameters/a.$"},
		{"another intrinsic function", one(`{"Type":"Pass","End":true,"Parameters":{"a.$":"States.UUID()"}}`), "/States/S/Parameters/a.$"},
		{"too few arguments", one(`{"Type":"Pass","End":true,"Parameters":{"a.$":"States.Format('{}{}', $)"}}`), "/States/S/Parameters/a.$"},
		{"Fail with Error and ErrorPath", one(`{"Type":"Fail","Error":"a","ErrorPath":"$"}`), "/States/S/ErrorPath"},
		{"a Choice without rules", one(`{"Type":"Choice","Choices":[]}`), "/States/S/Choices"},
		{"a Choice with Next", one(`{"Type":"Choice","Choices":[{"Variable":"$","IsPresent":true,"Next":"S"}],"Next":"S"}`), "/States/S/Next"},
		{"a rule without a variable", one(`{"Type":"Choice","Choices":[{"IsPresent":true,"Next":"S"}]}`), "/States/S/Choices[0]/Variable"},
		{"a rule without a comparison", one(`{"Type":"Choice","Choices":[{"Variable":"$","Next":"S"}]}`), "/States/S/Choices[0]/Variable"},
		{"timestamps", one(`{"Type":"Choice","Choices":[{"Variable":"$","TimestampEquals":"2016-03-14T01:59:00Z","Next":"S"}]}`),
			"/States/S/Choices[0]"},
		{"a number as a string", one(`{"Type":"Choice","Choices":[{"Variable":"$","NumericEquals":"1","Next":"S"}]}`),
			"/States/S/Choices[0]/NumericEquals"},
		{"Next inside And", one(`{"Type":"Choice","Choices":[{"And":[{"Variable":"$","IsNull":true,"Next":"S"}],"Next":"S"}]}`),
			"/States/S/Choices[0]/And[0]/Next"},
		{"another service", one(`{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage","Parameters":{},"End":true}`),
			"/States/S/Resource"},
		{"a function's ARN", one(`{"Type":"Task","Resource":"arn:aws:lambda:r:1:function:f","Parameters":{},"End":true}`), "/States/S/Resource"},
		{"a callback", one(`{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Parameters":{},"End":true}`),
			"/States/S/Resource"},
		{"an asynchronous invocation", one(`{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true,
			"Parameters":{"FunctionName":"f","InvocationType":"Event"}}`), "/States/S/Parameters/InvocationType"},
		{"no function", one(`{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{},"End":true}`),
			"/States/S/Parameters/FunctionName"},
		{"a heartbeat", task(`,"HeartbeatSeconds":1`), "/States/S/HeartbeatSeconds"},
		{"no time at all", task(`,"TimeoutSeconds":0`), "/States/S/TimeoutSeconds"},
		{"half a second", task(`,"TimeoutSeconds":1.5`), "/States/S/TimeoutSeconds"},
		{"States.ALL beside others", task(`,"Retry":[{"ErrorEquals":["States.ALL","a"]}]`), "/States/S/Retry[0]/ErrorEquals"},
		{"States.ALL before others", task(`,"Retry":[{"ErrorEquals":["States.ALL"]},{"ErrorEquals":["a"]}]`), "/States/S/Retry[0]/ErrorEquals"},
		{"Retry of no error", task(`,"Retry":[{"ErrorEquals":[]}]`), "/States/S/Retry[0]/ErrorEquals"},
		{"a backoff that shrinks", task(`,"Retry":[{"ErrorEquals":["a"],"BackoffRate":0.5}]`), "/States/S/Retry[0]/BackoffRate"},
		{"another jitter", task(`,"Retry":[{"ErrorEquals":["a"],"JitterStrategy":"HALF"}]`), "/States/S/Retry[0]/JitterStrategy"},
		{"MaxDelaySeconds beyond a year", task(`,"Retry":[{"ErrorEquals":["a"],"MaxDelaySeconds":31622401}]`),
			"/States/S/Retry[0]/MaxDelaySeconds"},
		{"Catch that leads nowhere", task(`,"Catch":[{"ErrorEquals":["a"],"Next":"T"}]`), "/States/S/Catch[0]/Next"},
		{"Iterator", one(`{"Type":"Map","End":true,"Iterator":{}}`), "/States/S/ItemProcessor"},
		{"an inline Map with a reader",
			one(`{"Type":"Map","End":true,"ItemReader":{},"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}}`),
			"/States/S/ItemReader"},
		{"no kind of children", strings.Replace(mapped(""), `,"ExecutionType":"EXPRESS"`, "", 1),
			"/States/S/ItemProcessor/ProcessorConfig/ExecutionType"},
		{"a Map in a Map", strings.Replace(mapped(""), `{"P":{"Type":"Pass","End":true}}`, `{"P":`+
			strings.TrimSuffix(strings.TrimPrefix(mapped(""), `{"StartAt":"S","States":{"S":`), "}}")+`}`, 1),
			"/States/S/ItemProcessor/States/P/ItemProcessor/ProcessorConfig/Mode"},
		{"a label with a space", mapped(`,"Label":"a b"`), "/States/S/Label"},
		{"a label of 41", mapped(`,"Label":"` + strings.Repeat("l", 41) + `"`), "/States/S/Label"},
		{"101%", mapped(`,"ToleratedFailurePercentage":101`), "/States/S/ToleratedFailurePercentage"},
		{"a number and a path", mapped(`,"MaxConcurrency":1,"MaxConcurrencyPath":"$.a"`), "/States/S/MaxConcurrency"},
		{"batches of anything", mapped(`,"ItemBatcher":{}`), "/States/S/ItemBatcher/MaxItemsPerBatch"},
		{"batches of 256 KiB and a byte", mapped(`,"ItemBatcher":{"MaxInputBytesPerBatch":262145}`),
			"/States/S/ItemBatcher/MaxInputBytesPerBatch"},
		{"a reader and a path",
			mapped(`,"ItemsPath":"$.a","ItemReader":{"Resource":"arn:aws:states:::s3:listObjectsV2","Parameters":{"Bucket":"b"}}`),
			"/States/S/ItemsPath"},
		{"a reader of nothing", mapped(`,"ItemReader":{"Resource":"arn:aws:states:::s3:listObjectsV2"}`), "/States/S/ItemReader/Parameters"},
		{"a file in CSV", mapped(`,"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"CSV"},
			"Parameters":{"Bucket":"b","Key":"k"}}`), "/States/S/ItemReader/ReaderConfig/InputType"},
		{"a file in Parquet", mapped(`,"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"PARQUET"},
			"Parameters":{"Bucket":"b","Key":"k"}}`), "/States/S/ItemReader/ReaderConfig/InputType"},
		{"Athena's manifest",
			mapped(`,"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"ManifestType":"ATHENA_DATA","InputType":"CSV"},
			"Parameters":{"Bucket":"b","Key":"k"}}`), "/States/S/ItemReader/ReaderConfig/ManifestType"},
		// docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
		{"an inventory's type twice", mapped(`,"ItemReader":{"Resource":"arn:aws:states:::s3:getObject",
			"ReaderConfig":{"ManifestType":"S3_INVENTORY","InputType":"MANIFEST"},"Parameters":{"Bucket":"b","Key":"k"}}`),
			"/States/S/ItemReader/ReaderConfig/InputType"},
		{"objects' contents", mapped(`,"ItemReader":{"Resource":"arn:aws:states:::s3:listObjectsV2",
			"ReaderConfig":{"InputType":"JSON","Transformation":"LOAD_AND_FLATTEN"},"Parameters":{"Bucket":"b"}}`),
			"/States/S/ItemReader/ReaderConfig/Transformation"},
		{"a writer's format", mapped(`,"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","WriterConfig":{"OutputType":"JSONL"},
			"Parameters":{"Bucket":"b"}}`), "/States/S/ResultWriter/WriterConfig"},
		{"a definition of more than 1 MiB", strings.Repeat(" ", 1<<20) + passText, "/"},
	} {
		_, err := parse(tc.text)
		var wrong *definitionError
		if !errors.As(err, &wrong) || !strings.HasPrefix(wrong.at, tc.at) {
			t.Errorf("%s: %v, want it at %s", tc.name, err, tc.at)
		}
	}
}

// What runs is taken, with each partition's ARNs.
func TestTaken(t *testing.T) {
	texts := []string{
		passText, taskText, mapped(""),
		mapped(`,"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"ManifestType":"S3_INVENTORY"},
			"Parameters":{"Bucket":"b","Key.$":"$.k"}}`),
		mapped(`,"ItemBatcher":{"MaxInputBytesPerBatch":262144},"ToleratedFailureCount":0,"MaxConcurrency":10000`),
	}
	for _, partition := range []string{"aws", "aws-cn", "aws-us-gov"} {
		for _, kind := range []string{scan.Express, scan.Standard} {
			texts = append(texts, scan.Substitutions{FetchFunction: "f", Partition: partition, ExecutionType: kind}.Substitute())
		}
	}
	for _, text := range texts {
		if _, err := parse(text); err != nil {
			t.Errorf("%v in %s", err, text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(scanText())
	f.Add(passText)
	f.Add(mapped(`,"ItemBatcher":{"MaxItemsPerBatch":1},"Catch":[{"ErrorEquals":["States.ALL"],"Next":"S"}]`))
	f.Add(one(`{"Type":"Choice","Choices":[{"And":[{"Variable":"$.a","IsPresent":true},
		{"Not":{"Variable":"$.b","NumericGreaterThanPath":"$.c"}}],"Next":"S"}]}`))
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parse(text)
		if err != nil {
			var wrong *definitionError
			if !errors.As(err, &wrong) || wrong.at == "" || wrong.code == "" {
				t.Errorf("%#v", err)
			}
			return
		}
		if m.states[m.startAt] == nil {
			t.Error("it starts at no state")
		}
	})
}

// A path that was read leads somewhere or says that it does not.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"$", "$$.Execution.Name", "$.a.b[0]['c d'].e", `$["x"]`, "$.a[*]", "$..a", "$.a[?(@.b)]"} {
		f.Add(p, `{"a":{"b":[{"c d":{"e":1}}]},"x":null}`)
	}
	f.Fuzz(func(t *testing.T, text, input string) {
		p, err := parsePath(text)
		if err != nil {
			return
		}
		v, err := decodeValue([]byte(input))
		if err != nil {
			return
		}
		found, err := p.in(v)
		again, there, err2 := p.has(v)
		if (err == nil) != there || err2 != nil || there && string(encodeValue(found)) != string(encodeValue(again)) {
			t.Errorf("%v, %v, %v: %v", err, there, err2, found)
		}
	})
}

// Reference paths: docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-paths.html.
func TestPaths(t *testing.T) {
	input,
		err := decodeValue([]byte(`{"foo":123,"bar":["a","b","c"],"car":{"cdr":true,"with space":{"x.y":"z"}},
		"n":null,"big":12345678901234567890}`))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"$.foo":                      "123",
		"$.bar":                      `["a","b","c"]`,
		"$.bar[1]":                   `"b"`,
		"$.car.cdr":                  "true",
		"$['car']['with space']":     `{"x.y":"z"}`,
		`$.car["with space"]['x.y']`: `"z"`,
		"$.n":                        "null",
		"$.big":                      "12345678901234567890",
		"$.bar[3]":                   "error",
		"$.foo.x":                    "error",
		"$.nothing":                  "error",
	} {
		p, err := parsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		got := "error"
		if v, err := p.in(input); err == nil {
			got = string(encodeValue(v))
		} else if f := asFailure(err); f.Name != errRuntime || !strings.Contains(f.Cause,
			fmt.Sprintf("The JSONPath '%s' could not be found in the input", text)) {
			t.Errorf("%s: %v", text, err)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

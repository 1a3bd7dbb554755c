package scan

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"fanout/functions/fetch"
)

var update = flag.Bool("update", false, "write the golden file")

var times = regexp.MustCompile(`"(started|ended|cpu_ms)":[0-9.e-]+`)

// TestWire pins what a job leaves in its bucket, byte for byte but for times: other
// versions, and other programs, read it.
func TestWire(t *testing.T) {
	j := newJob(t)
	j.h.groupsAbove = 0
	j.objects["b/a b"], j.objects["b/é<&>\u0001"], j.objects["b/z"] = "noise", "one\ntwo needle\n", ""
	j.fail["b/z"] = &fetch.Error{Type: fetch.SlowDown, Message: "get s3://b/z: S3 answered 503 SlowDown"}
	payload := strings.Replace(batchOf(`"needle"`, "a b", "é<&>\u0001", "z", "nope", ""), `"find"`, `"locate":true,"matches":"all","find"`, 1)
	var text strings.Builder
	show := func(name string, body []byte) {
		text.WriteString(name + "\n" + times.ReplaceAllString(string(body), `"$1":0`) + "\n\n")
	}
	ask := func(name, request string) {
		t.Helper()
		show(name+" request", []byte(request))
		answer, err := j.h.Invoke(t.Context(), []byte(request))
		if err != nil {
			answer = []byte(errorType(err) + ": " + errorMessage(err))
		}
		show(name+" answer", answer)
	}
	ask("batch", payload)
	show("part", []byte(j.objects[j.parts()[0]]))
	j.child("SUCCEEDED", payload)
	digit := strings.TrimPrefix(j.parts()[0], "r/jobs/j/parts/")[:1]
	ask("group", `{"merge":{"group":"`+digit+`","job":"j","results":{"bucket":"r"}}}`)
	show("group's file", []byte(j.objects["r/jobs/j/groups/"+digit+".json"]))
	ask("merge that is not complete", j.mergeOf(5))
	j = newJob(t)
	j.objects["b/a b"], j.objects["b/é<&>\u0001"] = "noise", "one\ntwo needle\n"
	if _, err := j.h.Invoke(t.Context(), []byte(strings.Replace(payload, `,{"Key":"z"},{"Key":"nope"},{"Key":""}`, "", 1))); err != nil {
		t.Fatal(err)
	}
	ask("merge", j.mergeOf(2))
	show("result.json", []byte(j.objects["r/jobs/j/result.json"]))
	const golden = "testdata/wire.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || text.String() != string(want) {
		t.Errorf("%v\n%s", err, text.String())
	}
}

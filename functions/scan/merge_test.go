package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fanout/functions/fetch"
)

// TestMerge: whatever happened to a job's batches, Merge ends with the digest of all
// objects, or says by name that something is unread. And it does so again when it is
// asked again.
func TestMerge(t *testing.T) {
	denied := &fetch.Error{Type: fetch.AccessDenied, Message: "get s3://b/p/00003"}
	batches := func(j *job, keys []string, size int) {
		for batch := range slices.Chunk(keys, size) {
			j.batch("SUCCEEDED", batch...)
		}
	}
	for _, tc := range []struct {
		name     string
		do       func(j *job, keys []string) // the batches, and what goes wrong
		parts    int
		matched  int64
		repaired int64
		message  string // of Scan.Incomplete; empty: complete
	}{
		{name: "all went well", parts: 5, matched: 10, do: func(j *job, keys []string) { batches(j, keys, 20) }},
		{name: "many small batches", parts: 100, matched: 10, do: func(j *job, keys []string) { batches(j, keys, 1) }},
		{name: "a batch was tried twice", parts: 5, matched: 10, do: func(j *job, keys []string) {
			batches(j, keys, 20)
			j.batch("FAILED", keys[:20]...) // timed out, but its function had written the part
			j.files["FAILED"], j.total = nil, 100
		}},
		{name: "keys that failed can be read now", parts: 5, matched: 10, repaired: 3, do: func(j *job, keys []string) {
			for _, i := range []int{3, 17, 99} {
				j.fail["b/"+keys[i]] = &fetch.Error{Type: fetch.SlowDown, Message: "slow"}
			}
			batches(j, keys, 20)
			clear(j.fail)
		}},
		{name: "a key stays unread", message: `1 of 100 keys were not read; first "p/00003": AccessDenied: get s3://b/p/00003; redrive`,
			do: func(j *job, keys []string) {
				j.fail["b/p/00003"] = denied
				batches(j, keys, 20)
			}},
		{name: "many keys stay unread", message: `20 of 100 keys were not read; first "p/0000`, do: func(j *job, keys []string) {
			for _, key := range keys[:20] {
				j.fail["b/"+key] = denied
			}
			batches(j, keys, 10)
		}},
		{name: "an item that is no key", message: `1 of 101 keys were not read; first "": InvalidKey`, do: func(j *job, keys []string) {
			batches(j, append(keys, ""), 20)
		}},
		{name: "a failed child", parts: 6, matched: 10, repaired: 20, do: func(j *job, keys []string) {
			batches(j, keys[:80], 20)
			j.child("FAILED", batchOf(`"needle"`, keys[80:90]...))
			j.child("FAILED", batchOf(`"needle"`, keys[90:]...))
			j.total = 100
		}},
		{name: "a child that did not start", parts: 5, matched: 10, repaired: 20, do: func(j *job, keys []string) {
			batches(j, keys[:80], 20)
			j.child("PENDING", batchOf(`"needle"`, keys[80:]...))
			j.total = 100
		}},
		{name: "a child that succeeded, and its part is lost", parts: 5, matched: 10, repaired: 20, do: func(j *job, keys []string) {
			batches(j, keys, 20)
			delete(j.objects, j.parts()[2])
		}},
		{name: "all parts are lost", parts: 10, matched: 10, repaired: 100, do: func(j *job, keys []string) {
			batches(j, keys, 10)
			for _, name := range j.parts() {
				delete(j.objects, name)
			}
		}},
		{name: "a part that cannot be parsed", parts: 5, matched: 10, repaired: 20, do: func(j *job, keys []string) {
			batches(j, keys, 20)
			j.objects[j.parts()[1]] = `{"keys":20,`
		}},
		{name: "a part that contradicts itself", parts: 5, matched: 10, repaired: 20, do: func(j *job, keys []string) {
			batches(j, keys, 20)
			j.objects[j.parts()[1]] = strings.Replace(j.objects[j.parts()[1]], `"objects":20`, `"objects":19`, 1)
		}},
		{name: "a redriven child is in two files", parts: 5, matched: 10, repaired: 20, do: func(j *job, keys []string) {
			batches(j, keys, 20)
			delete(j.objects, j.parts()[0])
			j.files["FAILED"] = slices.Clone(j.files["SUCCEEDED"][:3])
		}},
		{name: "two batches of the same keys", parts: 7, matched: 12, do: func(j *job, keys []string) {
			batches(j, keys, 20)
			batches(j, keys[:20], 20)
			batches(j, keys[:0], 20)
			j.batch("SUCCEEDED", "p/00000")
		}},
		{name: "two batches of the same keys, and no part", parts: 6, matched: 12, repaired: 20, do: func(j *job, keys []string) {
			batches(j, keys, 20)
			batches(j, keys[:20], 20)
			delete(j.objects, j.ackOf(keys[:20]))
		}},
		{name: "lost and nowhere to be found", message: "20 of 100 keys were not read; 20 of them are in batches without a part",
			do: func(j *job, keys []string) {
				batches(j, keys, 20)
				delete(j.objects, j.parts()[0])
				clear(j.files)
			}},
		{name: "more keys than items", message: "the parts of job j hold 100 keys, but its Map Run had 99 items",
			do: func(j *job, keys []string) {
				batches(j, keys, 20)
				j.total--
			}},
		{name: "nothing to read", do: func(j *job, _ []string) { j.digestOf = []string{} }},
		{name: "things that are no parts", parts: 5, matched: 10, do: func(j *job, keys []string) {
			batches(j, keys, 20)
			for _, name := range []string{"", "README.md", "0123.json", "ABCDEF0123456789ABCDEF0123456789.json"} {
				j.objects["r/jobs/j/parts/"+name] = "x"
			}
			j.objects["r/jobs/j2/parts/0123456789abcdef0123456789abcdef.json"] = "x"
		}},
	} {
		for _, groups := range []bool{false, true} {
			name := tc.name
			if groups {
				name += ", in groups"
			}
			t.Run(name, func(t *testing.T) {
				j := newJob(t)
				keys := j.fill(100)
				j.digestOf = keys
				tc.do(j, keys)
				if groups {
					j.h.groupsAbove = -1
					j.mergeGroups()
				}
				if strings.HasPrefix(tc.name, "two batches") {
					j.digestOf = append(slices.Clone(keys), keys[:20]...)
					if j.total == 121 {
						j.digestOf = append(j.digestOf, keys[0])
					}
				}
				r, err := j.merge()
				if tc.message != "" {
					j.wantIncomplete(err, tc.message)
					_, err = j.merge() // tried again, it says the same
					j.wantIncomplete(err, tc.message)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				j.wantResult(r, tc.parts, tc.matched, tc.repaired)
				if want := int64(len(j.digestOf) - j.distinct()); r.Repeated != want {
					t.Errorf("%d keys are counted again, want %d", r.Repeated, want)
				}
				if r, err = j.merge(); err != nil {
					t.Fatal(err)
				}
				j.wantResult(r, tc.parts, tc.matched, 0)
			})
		}
	}
}

// distinct is how many keys the parts have that are there, each part once.
func (j *job) distinct() (n int) {
	for _, name := range j.parts() {
		if p, err := DecodePart([]byte(j.objects[name])); err == nil {
			n += p.Keys
		}
	}
	return n
}

func (j *job) ackOf(keys []string) string {
	var b Batch
	for _, key := range keys {
		b.Items = append(b.Items, Item{key})
	}
	return "r/" + partName("j", b.hash())
}

// mergeGroups asks for each group as the state machine does.
func (j *job) mergeGroups() {
	j.t.Helper()
	for _, digit := range digits {
		_, err := j.h.Invoke(j.t.Context(), fmt.Appendf(nil, `{"merge":{"group":"%c","job":"j","results":{"bucket":"r"}}}`, digit))
		if err != nil {
			j.t.Fatal(err)
		}
	}
}

func (j *job) wantIncomplete(err error, message string) {
	j.t.Helper()
	if errorType(err) != Incomplete || !strings.Contains(fmt.Sprint(errorMessage(err)), message) {
		j.t.Errorf("error %v, want %s: …%s…", errorMessage(err), Incomplete, message)
	}
	if _, ok := j.objects["r/jobs/j/result.json"]; ok {
		j.t.Error("a result of what is not complete")
	}
}

func (j *job) wantResult(r Result, parts int, matched, repaired int64) {
	j.t.Helper()
	if r.Job != "j" || r.Parts != parts || r.Matched != matched || r.Repaired != repaired || len(r.Matches) != int(matched) ||
		r.Keys != int64(j.total) || r.Objects != r.Keys || r.Digest != j.digest(j.digestOf...) {
		j.t.Errorf("%+v, want %d parts, %d matched, %d repaired, digest %s", r, parts, matched, repaired, j.digest(j.digestOf...))
	}
	if !slices.IsSortedFunc(r.Matches, func(a, b Match) int { return strings.Compare(a.Key, b.Key) }) {
		j.t.Errorf("matches %+v", r.Matches)
	}
	var stored Result
	if err := json.Unmarshal([]byte(j.objects["r/jobs/j/result.json"]), &stored); err != nil || fmt.Sprint(stored) != fmt.Sprint(r) {
		j.t.Errorf("result.json %+v, %v", stored, err)
	}
}

// TestGroupsAfterRedrive: groups' files from before a repair, or from before batches that
// were redriven, do not count.
func TestGroupsAfterRedrive(t *testing.T) {
	j := newJob(t)
	j.h.groupsAbove = 0
	keys := j.fill(100)
	j.digestOf = keys
	j.fail["b/"+keys[3]] = &fetch.Error{Type: fetch.SlowDown, Message: "slow"}
	j.fail["b/"+keys[55]] = j.fail["b/"+keys[3]]
	for batch := range slices.Chunk(keys[:80], 5) {
		j.batch("SUCCEEDED", batch...)
	}
	j.mergeGroups()
	j.total = 100
	_, err := j.merge()
	j.wantIncomplete(err, "22 of 100 keys were not read; 20 of them are in batches without a part; first")
	// One of the two can be read: the merge repairs its part, and fails.
	delete(j.fail, "b/"+keys[3])
	_, err = j.merge()
	j.wantIncomplete(err, "21 of 100 keys were not read")
	// The Map Run is redriven, and the groups' files are still the old ones.
	j.total = 80
	for batch := range slices.Chunk(keys[80:], 5) {
		j.batch("SUCCEEDED", batch...)
	}
	clear(j.fail)
	r, err := j.merge()
	if err != nil {
		t.Fatal(err)
	}
	j.wantResult(r, 20, 10, 1)
	// A file that is no group's is passed over.
	bad := strings.Replace(j.objects["r/jobs/j/groups/0.json"], `"digest":"`, `"digest":"-`, 1)
	for _, text := range []string{"", "{", "{}", `{"names":1}`, bad} {
		j.objects["r/jobs/j/groups/0.json"] = text
		if r, err = j.merge(); err != nil {
			t.Fatal(err)
		}
		j.wantResult(r, 20, 10, 0)
	}
}

// TestMergeDeadline: what there is no time to read again is named, before the time is
// over.
func TestMergeDeadline(t *testing.T) {
	for _, tc := range []struct {
		name      string
		do        func(j *job, keys []string)
		errorType string
		message   string
	}{
		{"a failed key", func(j *job, keys []string) {
			j.fail["b/"+keys[3]] = &fetch.Error{Type: fetch.SlowDown, Message: "slow"}
			j.batch("SUCCEEDED", keys...)
			clear(j.fail)
			j.slow["b/"+keys[3]] = time.Hour
		}, Incomplete, `1 of 100 keys were not read; first "p/00003": DeadlineNear`},
		{"failed keys of many parts", func(j *job, keys []string) {
			for i := range 50 {
				j.fail["b/"+keys[i]] = &fetch.Error{Type: fetch.SlowDown, Message: "slow"}
				j.slow["b/"+keys[i]] = 40 * time.Second
			}
			j.slow, j.later = map[string]time.Duration{}, j.slow
			for batch := range slices.Chunk(keys, 1) {
				j.batch("SUCCEEDED", batch...)
			}
			clear(j.fail)
			j.slow = j.later
		}, Incomplete, `42 of 100 keys were not read; first`},
		{"a lost batch", func(j *job, keys []string) {
			j.batch("SUCCEEDED", keys[:50]...)
			j.child("FAILED", batchOf("null", keys[50:]...))
			j.total = 100
			j.slow["b/"+keys[99]] = time.Hour
		}, Incomplete, `1 of 100 keys were not read; first "p/00099": DeadlineNear`},
		{"two lost batches", func(j *job, keys []string) {
			j.child("FAILED", batchOf("null", keys[:50]...))
			j.child("FAILED", batchOf("null", keys[50:]...))
			j.total = 100
			j.slow["b/"+keys[0]], j.slow["b/"+keys[99]] = time.Hour, time.Hour
		}, Incomplete, `2 of 100 keys were not read; first "p/00000": DeadlineNear`},
		{"the parts themselves", func(j *job, keys []string) {
			for batch := range slices.Chunk(keys, 50) {
				j.batch("SUCCEEDED", batch...)
			}
			j.slow[j.parts()[1]] = time.Hour
		}, fetch.DeadlineNear, "1 of at least 2 parts added up"},
		{"the manifest", func(j *job, keys []string) {
			j.child("FAILED", batchOf("null", keys...))
			j.total = 100
			j.slow["r/jobs/j/acks/u/manifest.json"] = time.Hour
		}, fetch.DeadlineNear, "0 of at least 0 parts"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJob(t)
				tc.do(j, j.fill(100))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				_, err := invoke[Result](t, j.h, ctx, j.mergeOf(j.total))
				if errorType(err) != tc.errorType || !strings.Contains(errorMessage(err), tc.message) || time.Since(start) > 55*time.Second {
					t.Errorf("%s after %v, want %s", errorMessage(err), time.Since(start), tc.message)
				}
			})
		})
	}
}

// TestMergeFails: what is no key's failure ends the merge under its own name.
func TestMergeFails(t *testing.T) {
	for _, tc := range []struct {
		name    string
		request string
		change  func(j *job)
		want    string // type, and part of the message
	}{
		{"no total", `{"merge":{"job":"j","results":{"bucket":"r"},"event":{"s3_bucket_name":"b"}}}`, nil, "InvalidEvent total"},
		{"a negative total", `{"merge":{"job":"j","results":{"bucket":"r"},"event":{"s3_bucket_name":"b"},"total":-1}}`, nil,
			"InvalidEvent total"},
		{"no event", `{"merge":{"job":"j","results":{"bucket":"r"},"total":1}}`, nil, "InvalidEvent event is missing"},
		{"an event with keys", `{"merge":{"job":"j","results":{"bucket":"r"},"event":{"s3_bucket_name":"b","keys":[]},"total":1}}`, nil,
			"InvalidEvent keys or folder"},
		{"a group that is none", `{"merge":{"job":"j","results":{"bucket":"r"},"group":"g"}}`, nil, "InvalidEvent group"},
		{"two groups", `{"merge":{"job":"j","results":{"bucket":"r"},"group":"ab"}}`, nil, "InvalidEvent group"},
		{"no job", `{"merge":{"results":{"bucket":"r"},"group":"a"}}`, nil, "InvalidEvent job"},
		{"an unknown name", `{"merge":{"job":"j","results":{"bucket":"r"},"group":"a"},"x":1}`, nil, "InvalidEvent x"},
		{"a refused part", "", func(j *job) { j.fail[j.parts()[0]] = &fetch.Error{Type: fetch.AccessDenied, Message: "get part"} },
			"AccessDenied get part"},
		{"a refused result", "", func(j *job) { j.putErr = &fetch.Error{Type: fetch.AccessDenied, Message: "put result"} },
			"AccessDenied put result"},
		{"a manifest that is none", "", func(j *job) {
			j.objects["r/jobs/j/acks/u/manifest.json"] = "[]"
			delete(j.objects, j.parts()[0])
		}, Incomplete + " is not a manifest"},
		{"a list that is cut off", "", func(j *job) {
			j.objects["r/jobs/j/acks/u/SUCCEEDED_0.json"] = strings.TrimSuffix(j.objects["r/jobs/j/acks/u/SUCCEEDED_0.json"], "]")
			delete(j.objects, j.parts()[0])
		}, Incomplete + " ends too early"},
		{"a child's input that is no batch", "", func(j *job) {
			j.objects["r/jobs/j/acks/u/SUCCEEDED_0.json"] = `[{"Name":"c","Input":"{}"}]`
			delete(j.objects, j.parts()[0])
		}, Incomplete + " the input of c"},
		{"a list of something else", "", func(j *job) {
			j.objects["r/jobs/j/acks/u/SUCCEEDED_0.json"] = `{"a":[1]}`
			delete(j.objects, j.parts()[0])
		}, Incomplete + " not a JSON array"},
	} {
		j := newJob(t)
		for batch := range slices.Chunk(j.fill(20), 10) {
			j.batch("SUCCEEDED", batch...)
		}
		request := j.mergeOf(20)
		if tc.change != nil {
			tc.change(j)
		}
		if tc.request != "" {
			request = tc.request
		}
		_, err := j.h.Invoke(t.Context(), []byte(request))
		kind, message, _ := strings.Cut(tc.want, " ")
		if errorType(err) != kind || !strings.Contains(errorMessage(err), message) {
			t.Errorf("%s: %s: %s, want %s", tc.name, errorType(err), errorMessage(err), tc.want)
		}
	}
}

// TestMergeBusy: a merge reads a part again that S3 is too busy for.
func TestMergeBusy(t *testing.T) {
	j := newJob(t)
	j.batch("SUCCEEDED", j.fill(10)...)
	request := j.mergeOf(10)
	s := &busy{j.memory, map[string]int{strings.TrimPrefix(j.parts()[0], "r/"): 3}}
	r, err := invoke[Result](t, handlerOver(s), t.Context(), request)
	if err != nil || r.Objects != 10 || r.Repaired != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestAnswerIsBounded: result.json names the first 1,000 matches, of more it says how
// many; the answer has as many as the service takes.
func TestAnswerIsBounded(t *testing.T) {
	for _, tc := range []struct {
		name            string
		length          int // of a key
		stored, answers int
	}{
		{"short keys", 20, 1000, 1000},
		{"long keys", 1000, 1000, 197},
	} {
		j := newJob(t)
		var keys []string
		for i := range 1500 {
			key := fmt.Sprintf("%s%04d", strings.Repeat("<", tc.length-4), i)
			j.objects["b/"+key] = "needle"
			keys = append(keys, key)
		}
		for batch := range slices.Chunk(keys, 100) {
			j.batch("SUCCEEDED", batch...)
		}
		out, err := j.h.Invoke(t.Context(), []byte(j.mergeOf(1500)))
		if err != nil {
			t.Fatal(err)
		}
		var answer, stored Result
		if err := errors.Join(json.Unmarshal(out, &answer), json.Unmarshal([]byte(j.objects["r/jobs/j/result.json"]), &stored)); err != nil {
			t.Fatal(err)
		}
		if len(out) > maxAnswerBytes || answer.Matched != 1500 || len(answer.Matches) != tc.answers || len(stored.Matches) != tc.stored {
			t.Errorf("%s: %d bytes, %d of %d matches, %d stored", tc.name, len(out), len(answer.Matches), answer.Matched, len(stored.Matches))
		}
		for i, m := range stored.Matches {
			if m.Key != keys[i] {
				t.Fatalf("%s: match %d is %q", tc.name, i, m.Key)
			}
		}
	}
}

// TestDefinitionAgrees: the time limit and the number of items that the text has are
// those that this package reckons with.
func TestDefinitionAgrees(t *testing.T) {
	for _, want := range []string{
		fmt.Sprintf(`"TimeoutSeconds": %d,`, int(BatchTimeout.Seconds())),
		fmt.Sprintf(`"NumericGreaterThan": %d,`, groupsAbove),
	} {
		if !strings.Contains(Definition(), want) {
			t.Errorf("the definition has no %s", want)
		}
	}
}

// FuzzMergeRequest: a request that is taken is answered, or refused by name.
func FuzzMergeRequest(f *testing.F) {
	f.Add([]byte(`{"merge":{"job":"j","results":{"bucket":"r"},"event":{"s3_bucket_name":"b","find":"x"},"total":0,` +
		`"acks":{"Bucket":"r","Key":"k"}}}`))
	f.Add([]byte(`{"merge":{"job":"j","results":{"bucket":"r"},"group":"a"}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := DecodeMerge(payload)
		var typed *fetch.Error
		if err != nil {
			if !errors.As(err, &typed) || typed.Type != fetch.InvalidEvent {
				t.Fatalf("error %v", err)
			}
			return
		}
		_, err = handlerOver(newMemory()).Merge(t.Context(), r)
		if complete := r.Group != "" || *r.Total == 0; complete != (err == nil) || !complete && !errors.As(err, &typed) {
			t.Fatalf("%+v: %v", r, err)
		}
	})
}

// FuzzElements: however an array comes in, its objects are handed out as they are, each
// once; what is no array of objects is refused or ends too early.
func FuzzElements(f *testing.F) {
	f.Add([]byte(`[{"a":"}]\"{"} , {"b":[{}]}]`), 3, 5)
	f.Add([]byte(`[]`), 1, 1)
	f.Fuzz(func(t *testing.T, data []byte, size, broken int) {
		var got []json.RawMessage
		e := &elements{each: func(element []byte) (bool, error) {
			got = append(got, slices.Clone(element))
			return true, nil
		}}
		for _, try := range [][]byte{data[:min(max(broken, 0), len(data))], data} {
			e.Reset()
			for part := range slices.Chunk(try, max(size, 1)) {
				if n, err := e.Write(part); n != len(part) || err != nil {
					t.Fatal(n, err)
				}
			}
		}
		var want []json.RawMessage
		if json.Unmarshal(data, &want) != nil || slices.ContainsFunc(want, func(m json.RawMessage) bool { return m[0] != '{' }) || want == nil {
			return
		}
		if e.err != nil || !e.ended || len(got) != len(want) {
			t.Fatalf("%q: %d elements, %v; want %d", data, len(got), e.err, len(want))
		}
		for i := range want {
			if string(got[i]) != string(want[i]) {
				t.Fatalf("element %d: %q, want %q", i, got[i], want[i])
			}
		}
	})
}

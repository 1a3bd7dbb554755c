package fetch

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestDecodeEvent(t *testing.T) {
	for _, tc := range []struct {
		payload string
		message string // part of the error; empty: accepted
	}{
		{`{"s3_bucket_name":"b"}`, ""},                                                       // the least there is
		{`{"s3_bucket_name":"b","folder":"small/","find":"MyMagicString"}`, ""},              // the published event
		{`{"s3_bucket_name":"b","concurrency":1024,"client":"tuned","on_error":"fail"}`, ""}, // ours
		{`{"s3_bucket_name":"arn:aws:s3:eu-north-1:1:accesspoint/ap"}`, ""},                  // an access point
		{`{"s3_bucket_name":"b","keys":["/lead","a b+c%20","é"]}`, ""},                       // keys as they are
		{``, "ends too early"},                                            // nothing
		{`{"s3_bucket_name":`, "ends too early"},                          // cut off
		{`nonsense`, "invalid character"},                                 // malformed
		{"{\"s3_bucket_name\":\"b\",\"find\":\"\xff\"}", "not UTF-8"},     // not to be searched for as U+FFFD
		{`[]`, "cannot unmarshal array"},                                  // another type
		{`{"s3_bucket_name":"b"} {}`, "more than one"},                    // two events
		{`{"s3_bucket_name":"b","buckets":1}`, `unknown field "buckets"`}, // a typing error must show
		{`{}`, "s3_bucket_name is missing"},
		{`{"s3_bucket_name":""}`, "s3_bucket_name is missing"},
		{`{"s3_bucket_name":"b/folder"}`, "without a path"},
		{`{"s3_bucket_name":"b","concurrency":0}`, "must be 1 to 1024"},
		{`{"s3_bucket_name":"b","concurrency":-1}`, "must be 1 to 1024"},
		{`{"s3_bucket_name":"b","concurrency":5000}`, "must be 1 to 1024"},
		{`{"s3_bucket_name":"b","concurrency":"64"}`, "concurrency"},
		{`{"s3_bucket_name":"b","concurrency":1.5}`, "concurrency"},
		{`{"s3_bucket_name":"b","find":""}`, "null to count"},
		{`{"s3_bucket_name":"b","find":"` + strings.Repeat("x", MaxFindBytes+1) + `"}`, "find of 1025 bytes"},
		{`{"s3_bucket_name":"b","on_error":"ignore"}`, `on_error "ignore"`},
		{`{"s3_bucket_name":"b","keys":[""]}`, "empty key"},
		{`{"s3_bucket_name":"b","keys":["a"],"folder":"p"}`, "mutually exclusive"},
		{`{"s3_bucket_name":"b","find":"x","matches":"all","locate":true,"find_regexp":true,"decompress":true}`, ""},
		{`{"s3_bucket_name":"b","find":"x","decompress":true}`, ""}, // the first match, too
		{`{"s3_bucket_name":"b","find":"x","find_regexp":true}`, ""},
		{`{"s3_bucket_name":"b","find":"x","matches":"first"}`, `must be "all"`},
		{`{"s3_bucket_name":"b","matches":"all"}`, "need find"},
		{`{"s3_bucket_name":"b","decompress":true}`, "need find"},
		{`{"s3_bucket_name":"b","find":"x","locate":true}`, `locate needs matches "all"`},
		{`{"s3_bucket_name":"b","find":"(","find_regexp":true}`, "regular expression: error parsing regexp: missing closing )"},
		{`{"s3_bucket_name":"b","find":"(","matches":"all"}`, ""},                           // a string
		{`{"s3_bucket_name":"b","find":"a{999}b{999}","find_regexp":true}`, "at most 1000"}, // too slow
		{`{"BatchInput":{},"Items":[]}`, `unknown field "BatchInput"`},                      // package scan's
		{`{"s3_bucket_name":"b","merge":{}}`, `unknown field "merge"`},                      // not beside an event
	} {
		_, err := DecodeEvent([]byte(tc.payload))
		if tc.message == "" {
			if err != nil {
				t.Errorf("%s: %v", tc.payload, err)
			}
			continue
		}
		var typed *Error
		if !errors.As(err, &typed) || typed.Type != InvalidEvent || !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: error %v, want %s with %q", tc.payload, err, InvalidEvent, tc.message)
		}
	}
}

// Whatever comes in: an event that passes can be written and read again, an
// error is always InvalidEvent.
func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte(`{"s3_bucket_name":"b","folder":"p/","find":"x","concurrency":3,"keys":null,"on_error":"continue"}`))
	f.Add([]byte(`{"s3_bucket_name":"b","keys":["a","\u0000"]}`))
	f.Add([]byte(`{"s3_bucket_name":"b","find":"a|b","find_regexp":true,"matches":"all","locate":true,"decompress":true}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		ev, err := DecodeEvent(payload)
		if err != nil {
			var typed *Error
			if !errors.As(err, &typed) || typed.Type != InvalidEvent {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, err := json.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeEvent(again); err != nil {
			t.Fatalf("%s came from an accepted event: %v", again, err)
		}
	})
}

package lambda

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestVCPU(t *testing.T) {
	for _, tc := range []struct {
		mb   int
		want float64
	}{
		{VCPUMemoryMB, 1}, // by definition
		{MinMemoryMB, 128.0 / 1769},
		{MaxMemoryMB, 10240.0 / 1769}, // 5.79: the six are never quite reached
		{20_000, MaxVCPU},             // not a size that Lambda has
	} {
		if got := VCPU(tc.mb); got != tc.want {
			t.Errorf("%d MB: %g vCPU, want %g", tc.mb, got, tc.want)
		}
	}
}

func TestThreads(t *testing.T) {
	for _, tc := range []struct{ mb, want int }{
		{MinMemoryMB, 1},      // a fourteenth of a vCPU is still a thread
		{VCPUMemoryMB, 1},     // one vCPU
		{VCPUMemoryMB + 1, 2}, // a little more needs a second
		{3008, 2},
		{MaxMemoryMB, 6},
	} {
		if got := Threads(tc.mb); got != tc.want {
			t.Errorf("%d MB: %d threads, want %d", tc.mb, got, tc.want)
		}
	}
}

func TestBandwidth(t *testing.T) {
	for _, tc := range []struct {
		name  string
		mb    int
		quota bool
		mbit  float64
	}{
		{"flat, the least memory", MinMemoryMB, false, 625},
		{"flat, the most memory", MaxMemoryMB, false, 625},
		{"quota, below where it grows", 1769, true, 625},
		{"quota, where it begins to", QuotaFromMB, true, 625},
		{"quota, halfway", (QuotaFromMB + MaxMemoryMB) / 2, true, 1812.5},
		{"quota, the most memory", MaxMemoryMB, true, 3000},
		{"not a size that Lambda has", 20_000, true, 3000},
		{"not in Lambda", 0, true, 625},
	} {
		if got := Bandwidth(tc.mb, tc.quota) * 8 / 1e6; got != tc.mbit {
			t.Errorf("%s: %g Mbit/s, want %g", tc.name, got, tc.mbit)
		}
	}
	for how, ok := range map[string]bool{FlatBandwidth: true, QuotaBandwidth: true, "": false, "Quota": false, "600": false} {
		if err := CheckBandwidth(how); (err == nil) != ok {
			t.Errorf("%q: error %v", how, err)
		}
	}
}

func TestChecks(t *testing.T) {
	for _, mb := range []int{MinMemoryMB, 129, MaxMemoryMB} {
		if err := CheckMemory(mb); err != nil {
			t.Error(err)
		}
	}
	for _, mb := range []int{-1, 0, 127, 10_241} {
		if err := CheckMemory(mb); err == nil || !strings.Contains(err.Error(), "must be 128 to 10240 MB") {
			t.Errorf("%d MB: error %v", mb, err)
		}
	}
	for _, arch := range Architectures {
		if err := CheckArchitecture(arch); err != nil {
			t.Error(err)
		}
	}
	for _, arch := range []string{"", "amd64", "aarch64", "ARM64", "x86_64 "} {
		if err := CheckArchitecture(arch); err == nil || !strings.Contains(err.Error(), "must be x86_64 or arm64") {
			t.Errorf("%q: error %v", arch, err)
		}
	}
}

func TestDirectoryBucket(t *testing.T) {
	for _, tc := range []struct {
		name, bucket, zone string
		ok                 bool
	}{
		{"one", "photos--use1-az4--x-s3", "use1-az4", true},
		{"dashes in the base name", "my--photos--use1-az4--x-s3", "use1-az4", true},
		{"no zone", "photos--x-s3", "", true},
		{"no base name", "--use1-az4--x-s3", "", true},
		{"a general purpose bucket", "photos", "", false},
		{"the suffix alone in the middle", "a--x-s3-b", "", false},
		{"an access point of one", "point--use1-az4--xa-s3", "use1-az4", true},
		{"an access point's suffix alone", "point--xa-s3", "", true},
		{"S3 on Outposts", "bucket--op-s3", "", false},
	} {
		if zone, ok := DirectoryBucket(tc.bucket); zone != tc.zone || ok != tc.ok {
			t.Errorf("%s: %q, %v", tc.name, zone, ok)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		text string
		want Limits
	}{
		{"cgroup-v2", Limits{By: CgroupV2}},
		{"cgroup-v1; clamped to 2 vCPU", Limits{By: CgroupV1, VCPU: 2}},
		{"cgroup-v1; clamped to 0.5 vCPU", Limits{By: CgroupV1, VCPU: 0.5}},
		{"cgroup-v2; clamped to 256 MB", Limits{By: CgroupV2, MemoryMB: 256}},
		{"cgroup-v2; clamped to 0.5 vCPU and 256 MB", Limits{By: CgroupV2, VCPU: 0.5, MemoryMB: 256}},
		{"cgroup-v2; clamped to 0 vCPU and 256 MB", Limits{By: "cgroup-v2; clamped to 0 vCPU and 256 MB"}}, // not a clamp
		{"cgroup-v2; clamped to -1 MB", Limits{By: "cgroup-v2; clamped to -1 MB"}},
		{"none", Limits{By: Unlimited}},
		{"none: switched off", Limits{By: Unlimited, Reason: "switched off"}},
		{"none: mkdir /x: permission denied", Limits{By: Unlimited, Reason: "mkdir /x: permission denied"}}, // a reason with the mark in it
		{"", Limits{}}, // a deployed function's
		{"jail: something newer", Limits{By: "jail: something newer"}},                     // kept whole
		{"cgroup-v1; clamped to many vCPU", Limits{By: "cgroup-v1; clamped to many vCPU"}}, // not a number
	} {
		got := ParseLimits(tc.text)
		if got != tc.want || got.String() != tc.text {
			t.Errorf("%q: %+v, again %q", tc.text, got, got)
		}
		line, err := json.Marshal(struct {
			Limits Limits `json:"limits,omitzero"`
		}{got})
		if want := `{"limits":"` + tc.text + `"}`; err != nil || tc.text != "" && string(line) != want || tc.text == "" && string(line) != "{}" {
			t.Errorf("%q: as JSON %s, %v", tc.text, line, err)
		}
	}
}

func FuzzParseLimits(f *testing.F) {
	f.Add("none: why; clamped to 1 vCPU")
	f.Fuzz(func(t *testing.T, text string) {
		l := ParseLimits(text)
		if again := ParseLimits(l.String()); again != l {
			t.Fatalf("%q: %+v, then %+v", text, l, again)
		}
	})
}

func TestParseError(t *testing.T) {
	for _, tc := range []struct {
		name, payload string
		want          Error
	}{
		{"a runtime's", `{"errorType":"Runtime.ExitError","errorMessage":"exit status 1","stackTrace":[]}`, Error{ExitError, "exit status 1"}},
		// Older Lambda gave no type: the words are Lambda's own.
		{"an old time-out", `{"errorMessage":"2015-08-03T20:00:00.000Z 1a2b Task timed out after 3.00 seconds"}`,
			Error{TimedOut, "2015-08-03T20:00:00.000Z 1a2b Task timed out after 3.00 seconds"}},
		{"a time-out of today without its type", `{"errorMessage":"RequestId: 1a2b Error: Task timed out after 900.00 seconds"}`,
			Error{TimedOut, "RequestId: 1a2b Error: Task timed out after 900.00 seconds"}},
		{"a time-out with a type of null", `{"errorType":null,"errorMessage":"1a2b Task timed out after 3.00 seconds"}`,
			Error{TimedOut, "1a2b Task timed out after 3.00 seconds"}},
		{"an old end of the process", `{"errorMessage":"RequestId: 1a2b Process exited before completing request"}`,
			Error{ExitError, "RequestId: 1a2b Process exited before completing request"}},
		{"the same as bare text", `RequestId: 1a2b Process exited before completing request`,
			Error{ExitError, "RequestId: 1a2b Process exited before completing request"}},
		{"the same as a JSON string", `"RequestId: 1a2b Process exited before completing request"`,
			Error{ExitError, "RequestId: 1a2b Process exited before completing request"}},
		{"an end with a signal, without its type", `{"errorMessage":"RequestId: 1a2b Error: Runtime exited with error: signal: killed"}`,
			Error{ExitError, "RequestId: 1a2b Error: Runtime exited with error: signal: killed"}},
		{"a function that talks of a time-out", `{"errorMessage":"Task timed out after 3.00 seconds of the 5 it had"}`,
			Error{UnknownError, "Task timed out after 3.00 seconds of the 5 it had"}},
		{"a type stands, whatever the message", `{"errorType":"Mine","errorMessage":"Task timed out after 3.00 seconds"}`,
			Error{"Mine", "Task timed out after 3.00 seconds"}},
		{"a message that is an object", `{"errorType":"Mine","errorMessage":{"code":7}}`, Error{"Mine", `{"code":7}`}},
		{"a message of null", `{"errorType":"Mine","errorMessage":null}`, Error{"Mine", ""}},
		{"a type alone", `{"errorType":"Mine"}`, Error{"Mine", ""}},
		{"not an object", `oops`, Error{UnknownError, "oops"}},
		{"an object of another kind", `{"message":"Internal server error"}`, Error{UnknownError, `{"message":"Internal server error"}`}},
		{"a type that is a number", `{"errorType":1,"errorMessage":"m"}`, Error{UnknownError, "m"}},
		{"empty", ``, Error{UnknownError, ""}},
	} {
		if got := ParseError([]byte(tc.payload)); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func FuzzParseError(f *testing.F) {
	f.Add([]byte(`{"errorMessage":"RequestId: 1a2b Process exited before completing request"}`))
	f.Add([]byte(`{"errorType":{},"errorMessage":[1]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if e := ParseError(payload); e.Type == "" {
			t.Errorf("%q: no type", payload)
		}
	})
}

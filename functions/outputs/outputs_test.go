package outputs

import (
	"testing"

	"fanout/functions/lambda"
)

func TestFunction(t *testing.T) {
	for _, tc := range []struct {
		memoryMB        int
		arch, contender string
		want            string
	}{
		{1769, lambda.ARM, GoContender, "Fetch1769ArmArn"}, // Go's have no name of their own
		{128, lambda.X86, "rust", "Fetch128X86RustArn"},
		{10240, lambda.ARM, "c99", "Fetch10240ArmC99Arn"}, // digits are allowed
		{128, lambda.ARM, "arn", "Fetch128ArmArnArn"},     // what the names end in
		{128, lambda.X86, "arm", "Fetch128X86ArmArn"},     // what they hold
	} {
		got := Function(tc.memoryMB, tc.arch, tc.contender)
		if got != tc.want || Contender(got) != tc.contender {
			t.Errorf("%+v: %s, of %s", tc, got, Contender(got))
		}
	}
}

func TestContender(t *testing.T) {
	for output, want := range map[string]string{
		"Fetch512Arn":         GoContender, // another version's
		"SomethingOfMyOwnArn": GoContender, // somebody else's stack
		"":                    GoContender,
	} {
		if got := Contender(output); got != want {
			t.Errorf("%s: %q, want %q", output, got, want)
		}
	}
}

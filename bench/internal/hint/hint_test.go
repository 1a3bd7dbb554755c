package hint

import (
	"errors"
	"fmt"
	"testing"
)

type hinting struct{ error }

func (h hinting) Unwrap() error { return h.error }
func (hinting) Hint() string    { return "its own" }

func TestOf(t *testing.T) {
	cause := errors.New("cause")
	for _, tc := range []struct {
		name   string
		err    error
		hint   string
		status int
	}{
		{"wrong usage", Usage("read the manual", "flag: %w", cause), "read the manual", StatusUsage},
		{"a failed run", Failed("try again", "run: %w", cause), "try again", StatusFailed},
		{"wrapped", fmt.Errorf("outer: %w", Usage("read", "x: %w", cause)), "read", StatusUsage},
		{"joined", errors.Join(cause, Failed("again", "y: %w", cause)), "again", StatusFailed},
		{"another's hint", fmt.Errorf("outer: %w", hinting{cause}), "its own", StatusFailed},
		{"none", cause, "general", StatusFailed},
	} {
		next, status := Of(tc.err, "general")
		if next != tc.hint || status != tc.status || !errors.Is(tc.err, cause) {
			t.Errorf("%s: hint %q, status %d", tc.name, next, status)
		}
	}
}

package sandbox

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// Beyond the account's concurrency Lambda throttles, whichever function is
// called: docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
func TestAccountConcurrency(t *testing.T) {
	t.Parallel()
	f := startTest(t, func(c *Config) { c.Concurrency = 2 })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { _, _ = f.try(ctx, `{"mode":"sleep"}`) }) // until it is cancelled
	}
	wait(t, "two invocations run", func() bool { return f.running.Load() == 2 })
	for range 2 { // what is refused takes no place
		_, err := f.try(t.Context(), `{}`)
		var throttled *types.TooManyRequestsException
		if status, code := statusOf(t, err); status != 429 || code != "TooManyRequestsException" || !errors.As(err, &throttled) ||
			throttled.Reason != types.ThrottleReasonConcurrentInvocationLimitExceeded {
			t.Errorf("%v: want 429 and the reason", err)
		}
	}
	cancel()
	wg.Wait()
	wait(t, "their places are free", func() bool { return f.running.Load() == 0 })
	f.invoke(`{"mode":"echo"}`)
}

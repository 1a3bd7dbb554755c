package sandbox

import "net/http"

// occupy takes one of the account's places for an invocation, or refuses as
// Lambda does where all are taken
// (docs.aws.amazon.com/lambda/latest/api/API_Invoke.html).
func (s *Sandbox) occupy() error {
	if n := s.running.Add(1); s.cfg.Concurrency > 0 && n > int64(s.cfg.Concurrency) {
		s.running.Add(-1)
		return &apiError{http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded."}
	}
	return nil
}

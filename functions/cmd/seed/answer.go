package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

const (
	// answerTries and answerPause, which doubles from try to try, spread the
	// tries over some eight seconds.
	answerTries = 6
	answerPause = 250 * time.Millisecond

	// maxReasonBytes leaves the rest of the 4,096 bytes that CloudFormation
	// takes in one answer to the identifiers.
	maxReasonBytes = 1500
)

// answer tells CloudFormation how a request went, and tries again when that
// fails in a way that may pass. cfn's own Send does neither; a stack whose
// answer is lost hangs until its time-out.
func (s *seeder) answer(ctx context.Context, callback string, response *cfn.Response) error {
	body, err := json.Marshal(response)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	pause := answerPause
	for try := 1; ; try++ {
		passing, err := s.send(ctx, callback, body)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("answer CloudFormation, try %d of %d: %w", try, answerTries, err)
		if !passing || try == answerTries {
			return err
		}
		s.log.WarnContext(ctx, "will try again", "error", err.Error())
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause + rand.N(pause/4)):
		}
		pause *= 2
	}
}

// send makes one try, and says of an error whether it may pass.
func (s *seeder) send(ctx context.Context, callback string, body []byte) (passing bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, callback, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("the callback is not a URL") // err would show it, and it is a credential
	}
	response, err := s.callback.Do(request)
	if err != nil {
		return ctx.Err() == nil, withoutURL(err)
	}
	defer func() { _ = response.Body.Close() }() // only read from
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	switch code := response.StatusCode; {
	case code < 300:
		return false, nil
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooManyRequests:
		return true, fmt.Errorf("status %s", response.Status)
	default:
		return false, fmt.Errorf("status %s", response.Status)
	}
}

// withoutURL keeps the callback's address, which anybody may answer with, out
// of an error of net/http.
func withoutURL(err error) error {
	var with *url.Error
	if errors.As(err, &with) {
		return with.Err
	}
	return err
}

// reason is what a stack's events will show of an error.
func reason(err error) string {
	text := err.Error()
	if len(text) > maxReasonBytes {
		text = strings.ToValidUTF8(text[:maxReasonBytes], "") + " …"
	}
	if lambdacontext.LogStreamName != "" {
		text += " (log stream " + lambdacontext.LogStreamName + ")"
	}
	return text
}

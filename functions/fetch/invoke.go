package fetch

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-lambda-go/lambda/messages"
)

// maxAnswerBytes is the longest answer that Lambda passes on, 6 MB
// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const maxAnswerBytes = 6 << 20

// Invoke answers one event as Lambda's runtime wants it: the response as JSON,
// or an error with its type, which Lambda shows as errorType and errorMessage.
// With it a Handler is a lambda.Handler of aws-lambda-go.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	response, err := h.Handle(ctx, payload)
	if err != nil {
		return nil, WireError(err)
	}
	answer, err := json.Marshal(response)
	if err == nil && len(answer) > maxAnswerBytes {
		return nil, WireError(tooManyMatches(len(response.Matches)))
	}
	return answer, err
}

// WireError gives an error as aws-lambda-go passes it on: with its type.
func WireError(err error) error {
	wire := messages.InvokeResponse_Error{Type: "Error", Message: err.Error()}
	if typed := (*Error)(nil); errors.As(err, &typed) {
		wire.Type = typed.Type
	}
	return wire
}

// tooManyMatches is the error of an answer that n matches, or more, do not fit
// into.
func tooManyMatches(n int) *Error {
	return errorf(ResponseTooLarge, "%d matches or more do not fit into Lambda's answer of %d MB; "+
		"read fewer objects with each event (folder, keys), or scan the bucket with fanout scan, which has no such limit", n, maxAnswerBytes>>20)
}

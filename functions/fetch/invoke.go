package fetch

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-lambda-go/lambda/messages"
)

// Invoke answers one event as Lambda's runtime wants it: the response as JSON,
// or an error with its type, which Lambda shows as errorType and errorMessage.
// With it a Handler is a lambda.Handler of aws-lambda-go.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	response, err := h.Handle(ctx, payload)
	if err != nil {
		wire := messages.InvokeResponse_Error{Type: "Error", Message: err.Error()}
		if typed := (*Error)(nil); errors.As(err, &typed) {
			wire.Type = typed.Type
		}
		return nil, wire
	}
	return json.Marshal(response)
}

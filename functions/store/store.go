// Package store holds the S3 clients behind the fetch handler. [Open] gives
// one by its name; all of them answer alike and differ in what they cost.
package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"

	"fanout/functions/fetch"
)

// Names of the clients.
const (
	Stock = "stock" // aws-sdk-go-v2/service/s3 just as it comes
	Tuned = "tuned" // the same, with connections kept, no response checksums, no logs
)

// Default is the client where neither event nor function names one.
const Default = Tuned

// Names lists the clients in this build.
var Names = []string{Stock, Tuned}

// Open makes the client of that name from the process's AWS configuration
// (environment, shared files, role). An unknown name is a *[fetch.Error] of
// type InvalidEvent. Extra options go to [config.LoadDefaultConfig].
func Open(ctx context.Context, name string, options ...func(*config.LoadOptions) error) (fetch.Store, error) {
	if !Known(name) {
		return nil, &fetch.Error{
			Type:    fetch.InvalidEvent,
			Message: fmt.Sprintf("client %q: this build has %s", name, strings.Join(Names, ", ")),
		}
	}
	if name == Tuned {
		options = append(options, tunedOptions()...)
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	if name == Tuned {
		return newSDK(cfg, tunedS3), nil
	}
	return newSDK(cfg), nil
}

// Known says whether this build has the client.
func Known(name string) bool { return slices.Contains(Names, name) }

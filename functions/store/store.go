// Package store knows the S3 clients behind the fetch handler by their names:
// [Open] gives one. All of them answer alike and differ in what they cost.
//
// Lean is always there. A program that imports fanout/functions/store/sdk has
// stock and tuned too, and is 4 MB larger.
package store

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"fanout/functions/fetch"
	"fanout/functions/store/lean"
)

// Names of the clients.
const (
	Lean  = "lean"  // our own, see package lean
	Tuned = "tuned" // aws-sdk-go-v2/service/s3 with connections kept, no response checksums, no logs
	Stock = "stock" // the same just as it comes
)

// Default is the client where neither event nor function names one.
const Default = Lean

var (
	openers  = map[string]func(context.Context) (fetch.Store, error){Lean: openLean}
	settings = func(context.Context) (lean.Config, error) { return lean.ConfigFromEnv(os.Getenv) }
)

// Register adds a client to this build. It is for init functions.
func Register(name string, open func(context.Context) (fetch.Store, error)) { openers[name] = open }

// RegisterConfig sets where lean takes its settings from, instead of the
// environment alone. It is for init functions.
func RegisterConfig(load func(context.Context) (lean.Config, error)) { settings = load }

// Names lists the clients there are, the default first. A build without the
// SDK has only the first.
var Names = []string{Lean, Tuned, Stock}

// Known says whether there is a client of that name.
func Known(name string) bool { return slices.Contains(Names, name) }

// Open makes the client of that name from the process's AWS configuration
// (environment; with the SDK also shared files and roles). An unknown name is
// a *[fetch.Error] of type InvalidEvent.
func Open(ctx context.Context, name string) (fetch.Store, error) {
	open := openers[name]
	if open == nil {
		return nil, &fetch.Error{
			Type:    fetch.InvalidEvent,
			Message: fmt.Sprintf("client %q: this build has %s", name, strings.Join(available(), ", ")),
		}
	}
	return open(ctx)
}

// available lists the clients in this build.
func available() []string {
	return slices.DeleteFunc(slices.Clone(Names), func(name string) bool { return openers[name] == nil })
}

func openLean(ctx context.Context) (fetch.Store, error) {
	cfg, err := settings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	client, err := lean.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	return client, nil
}

// Command infra is Fanout's CDK app: cdk.json names it, and the `cdk` command
// runs it to get the CloudFormation template of package stack, built from the
// context that `-c KEY=VALUE` and cdk.json give.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"fanout/infra/stack"
)

func main() {
	if err := run(); err != nil {
		report(os.Stderr, err)
		os.Exit(1)
	}
}

// buildDir is where the functions' bootstraps are, seen from the folder of
// cdk.json, where `cdk` runs the app.
const buildDir = "build"

// errNoNode comes before the CDK's runtime, which would panic.
var errNoNode = errors.New("node not found: the CDK app needs Node 22 or newer")

func run() (err error) {
	remove, err := stack.ContainRuntime()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if _, err := exec.LookPath("node"); err != nil {
		return errNoNode
	}
	// The CDK tells by a panic what it does not like about a construct.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("make the template: %v", p)
		}
	}()

	app := awscdk.NewApp(nil)
	context, ok := app.Node().GetAllContext(nil).(map[string]any)
	if !ok {
		return errors.New("read the context: not an object")
	}
	// `cdk` says by these where the credentials in its environment lead to.
	to := stack.Account{ID: os.Getenv("CDK_DEFAULT_ACCOUNT"), Region: os.Getenv("CDK_DEFAULT_REGION")}
	var user string
	if home, err := os.UserHomeDir(); err == nil {
		user = filepath.Join(home, ".cdk.json")
	}
	config, err := stack.ParseContext(context, stack.CDKContext(".", user), to)
	if err != nil {
		return err
	}
	if _, err := stack.New(app, config, buildDir); err != nil {
		return err
	}
	app.Synth(nil)
	return nil
}

// report says what went wrong and what to do about it.
func report(w io.Writer, err error) {
	hint := "run `npx --yes aws-cdk synth` in the repository's root, where cdk.json is"
	var refused *stack.ContextError
	switch {
	case errors.As(err, &refused):
		hint = refused.Hint()
	case errors.Is(err, errNoNode):
		hint = "https://nodejs.org"
	case errors.Is(err, os.ErrNotExist):
		hint = "run `go run ./functions/cmd/package -o build fetch seed` in the repository's root"
	}
	fmt.Fprintf(w, "error: %v\nhint: %s\n", err, hint) // a stderr that is gone has nobody to tell
}

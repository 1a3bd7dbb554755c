package stack

import (
	"errors"
	"fmt"
	"os"

	"github.com/aws/jsii-runtime-go"
)

// ContainRuntime has the CDK's Node runtime unpacked into a folder of its own,
// which the returned function removes. Call it before anything of the CDK's,
// and instead of [jsii.Close]: that waits for the Node process twice at the
// same time, which is a data race, and now and then it complains on stderr.
// The process ends with this one.
func ContainRuntime() (remove func() error, err error) {
	// subtle: the packages of the CDK unpacked it already when they were
	// initialised, but nothing runs yet. Closing removes that copy, and the
	// next one goes where TMPDIR says.
	jsii.Close()
	before, had := os.LookupEnv("TMPDIR")
	dir, err := os.MkdirTemp("", "fanout-infra")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the CDK's runtime: %w", err)
	}
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return nil, errors.Join(fmt.Errorf("name the CDK's folder: %w", err), os.RemoveAll(dir))
	}
	return func() error {
		var back error
		if had {
			back = os.Setenv("TMPDIR", before)
		} else {
			back = os.Unsetenv("TMPDIR")
		}
		return errors.Join(back, os.RemoveAll(dir))
	}, nil
}

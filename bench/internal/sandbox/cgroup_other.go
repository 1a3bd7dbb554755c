//go:build !linux

package sandbox

import "fanout/functions/lambda"

func findCgroups(*forker, float64) (cgroups, lambda.Limits) {
	return nil, lambda.Limits{By: lambda.Unlimited, Reason: errNotLinux.Error()}
}

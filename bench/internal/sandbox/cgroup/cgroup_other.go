//go:build !linux

package cgroup

import "fanout/functions/lambda"

// Find finds none: there are cgroups on Linux only.
func Find(Fork, float64) (Parent, lambda.Limits) {
	return nil, lambda.Limits{By: lambda.Unlimited, Reason: "there are cgroups on Linux only"}
}

// Groups finds none.
func Groups(int) ([]string, error) { return nil, nil }

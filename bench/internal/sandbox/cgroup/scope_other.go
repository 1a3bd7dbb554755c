//go:build !linux

package cgroup

// ReexecInScope does nothing: there are cgroups on Linux only.
func ReexecInScope([]string) {}

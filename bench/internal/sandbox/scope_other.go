//go:build !linux

package sandbox

// ReexecInScope does nothing: there are cgroups on Linux only.
func ReexecInScope([]string) {}

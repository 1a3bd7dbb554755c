//go:build !linux

package sandbox

func findCgroups(*forker, float64) (cgroups, Limits) {
	return nil, Limits{Kind: "none", Reason: errNotLinux.Error()}
}

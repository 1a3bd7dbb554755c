package cgroup

import (
	"bytes"
	"strings"
)

// membership is where a process is: its v1 group of each controller, and its
// v2 group.
type membership struct {
	v1 map[string]string
	v2 string // empty: none
}

// parseMembership reads /proc/PID/cgroup (cgroups(7)).
func parseMembership(data []byte) membership {
	m := membership{v1: map[string]string{}}
	for line := range bytes.Lines(data) {
		parts := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") {
			continue
		}
		if parts[0] == "0" && parts[1] == "" {
			m.v2 = parts[2]
			continue
		}
		for _, controller := range strings.Split(parts[1], ",") {
			m.v1[controller] = parts[2]
		}
	}
	return m
}

// mount is where a hierarchy, from its group root on, is in the file system.
type mount struct{ root, point string }

// dir gives the folder of a group. In a container the mount may start further
// down than the names do.
func (m mount) dir(group string) string {
	rest, ok := strings.CutPrefix(group, strings.TrimSuffix(m.root, "/"))
	if !ok || rest != "" && rest[0] != '/' {
		rest = "" // named from where we cannot see: the mount's own root
	}
	return strings.TrimSuffix(m.point+rest, "/")
}

// parseMounts reads the cgroup mounts of /proc/PID/mountinfo (proc(5)): v1 by
// controller, and v2.
func parseMounts(data []byte) (v1 map[string]mount, v2 mount, found2 bool) {
	v1 = map[string]mount{}
	for line := range bytes.Lines(data) {
		before, after, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 6 || len(right) < 3 {
			continue
		}
		m := mount{unescape(left[3]), unescape(left[4])}
		switch right[0] {
		case "cgroup2":
			if !found2 {
				v2, found2 = m, true
			}
		case "cgroup":
			for _, option := range strings.Split(right[2], ",") {
				if _, ok := v1[option]; !ok {
					v1[option] = m
				}
			}
		}
	}
	return v1, v2, found2
}

// unescape undoes mountinfo's octal escapes.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

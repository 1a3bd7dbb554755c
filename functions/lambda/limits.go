package lambda

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits says what held a process, or a whole run, to its CPU and memory. The
// zero value means that nothing is known, as of functions on AWS, which Lambda
// itself limits. Its text, in result files and in the sandbox's header
// X-Fanout-Limits, reads "cgroup-v2", "cgroup-v1; clamped to 2 vCPU",
// "cgroup-v2; clamped to 0.5 vCPU and 256 MB" or "none: REASON".
type Limits struct {
	By       string  // CgroupV1, CgroupV2, Unlimited, or another's word; empty: not known
	Reason   string  // why nothing is limited; only with Unlimited, and may be empty
	VCPU     float64 // what the CPU share was clamped to, below what the memory size buys; 0: not clamped
	MemoryMB int     // what the memory was clamped to, below the memory size; 0: not clamped
}

// SwitchedOff is the reason where somebody asked for no limits.
const SwitchedOff = "switched off"

// What limits a process.
const (
	CgroupV1  = "cgroup-v1"
	CgroupV2  = "cgroup-v2"
	Unlimited = "none"
)

const (
	reasonMark = ": "
	clampMark  = "; clamped to "
	clampAnd   = " and "
	clampVCPU  = " vCPU"
	clampMB    = " MB"
)

// None says whether it is known that nothing was limited: memory sizes then
// mean nothing.
func (l Limits) None() bool { return l.By == Unlimited }

// IsZero says whether nothing is known.
func (l Limits) IsZero() bool { return l == Limits{} }

// String is the text form, which [ParseLimits] reads.
func (l Limits) String() string {
	text := l.By
	if l.Reason != "" {
		text += reasonMark + l.Reason
	}
	var clamps []string
	if l.VCPU > 0 {
		clamps = append(clamps, fmt.Sprintf("%g%s", l.VCPU, clampVCPU))
	}
	if l.MemoryMB > 0 {
		clamps = append(clamps, fmt.Sprintf("%d%s", l.MemoryMB, clampMB))
	}
	if clamps != nil {
		text += clampMark + strings.Join(clamps, clampAnd)
	}
	return text
}

// ParseLimits reads the text form. It does not fail: text that it does not know
// is kept in By.
func ParseLimits(text string) Limits {
	var l Limits
	if i := strings.LastIndex(text, clampMark); i >= 0 {
		var ok bool
		if l.VCPU, l.MemoryMB, ok = parseClamps(text[i+len(clampMark):]); ok {
			text = text[:i]
		}
	}
	l.By = text
	if by, reason, ok := strings.Cut(text, reasonMark); ok && by == Unlimited {
		l.By, l.Reason = by, reason
	}
	return l
}

// parseClamps reads "2 vCPU", "256 MB" or both.
func parseClamps(text string) (vcpu float64, memoryMB int, ok bool) {
	for clamp := range strings.SplitSeq(text, clampAnd) {
		var err error
		if n, found := strings.CutSuffix(clamp, clampVCPU); found {
			vcpu, err = strconv.ParseFloat(n, 64)
			ok = vcpu > 0 && vcpu < 1e6
		} else if n, found := strings.CutSuffix(clamp, clampMB); found {
			memoryMB, err = strconv.Atoi(n)
			ok = memoryMB > 0
		} else {
			ok = false
		}
		if err != nil || !ok {
			return 0, 0, false
		}
	}
	return vcpu, memoryMB, true
}

// MarshalText gives the text form.
func (l Limits) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the text form.
func (l *Limits) UnmarshalText(text []byte) error {
	*l = ParseLimits(string(text))
	return nil
}

package lambda

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits says what held a process, or a whole run, to its CPU and memory. The
// zero value means that nothing is known, as of functions on AWS, which Lambda
// itself limits. Its text, in result files and in the sandbox's header
// X-Fanout-Limits, reads "cgroup-v2", "cgroup-v1; clamped to 2 vCPU" or
// "none: REASON".
type Limits struct {
	By     string  // CgroupV1, CgroupV2, Unlimited, or another's word; empty: not known
	Reason string  // why nothing is limited; only with Unlimited, and may be empty
	VCPU   float64 // what the CPU share was clamped to, below what the memory size buys; 0: not clamped
}

// What limits a process.
const (
	CgroupV1  = "cgroup-v1"
	CgroupV2  = "cgroup-v2"
	Unlimited = "none"
)

const (
	reasonMark = ": "
	clampMark  = "; clamped to "
	clampUnit  = " vCPU"
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
	if l.VCPU > 0 {
		text += fmt.Sprintf("%s%g%s", clampMark, l.VCPU, clampUnit)
	}
	return text
}

// ParseLimits reads the text form. It does not fail: text that it does not know
// is kept in By.
func ParseLimits(text string) Limits {
	var l Limits
	if i := strings.LastIndex(text, clampMark); i >= 0 {
		n, ok := strings.CutSuffix(text[i+len(clampMark):], clampUnit)
		if vcpu, err := strconv.ParseFloat(n, 64); ok && err == nil && vcpu > 0 && vcpu < 1e6 {
			l.VCPU, text = vcpu, text[:i]
		}
	}
	l.By = text
	if by, reason, ok := strings.Cut(text, reasonMark); ok && by == Unlimited {
		l.By, l.Reason = by, reason
	}
	return l
}

// MarshalText gives the text form.
func (l Limits) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the text form.
func (l *Limits) UnmarshalText(text []byte) error {
	*l = ParseLimits(string(text))
	return nil
}

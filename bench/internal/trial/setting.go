package trial

import (
	"cmp"
	"fmt"
	"strconv"
)

// Auto is the concurrency that leaves the choice to the function.
const Auto = 0

// Key is what a setting is: which code runs where, and how many goroutines
// read. It is comparable, and the same for a step of a plan, a result line and
// a row of a report.
type Key struct {
	Contender   string `json:"contender"`
	MemoryMB    int    `json:"memory_mb"`
	Arch        string `json:"arch"`
	Client      string `json:"client"`      // empty: the contender's own
	Concurrency int    `json:"concurrency"` // asked for; Auto: the function's own choice
}

// Key of a setting.
func (s Setting) Key() Key {
	return Key{Contender: s.Target.Contender, MemoryMB: s.Target.MemoryMB, Arch: s.Target.Arch, Client: s.Client, Concurrency: s.Concurrency}
}

// Key of the setting that a line belongs to.
func (r Result) Key() Key {
	return Key{Contender: r.Contender, MemoryMB: r.MemoryMB, Arch: r.Arch, Client: r.Client, Concurrency: r.Concurrency}
}

// Compare orders keys by contender, architecture, memory, client and
// concurrency, auto last. It is negative, 0 or positive.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Contender, o.Contender), cmp.Compare(k.Arch, o.Arch), cmp.Compare(k.MemoryMB, o.MemoryMB),
		cmp.Compare(k.Client, o.Client), cmp.Compare(uint(k.Concurrency-1), uint(o.Concurrency-1)))
}

// Workers is the concurrency that was asked for: "64", "auto", or "own" for a
// contender that cannot be asked.
func (k Key) Workers() string {
	switch {
	case k.Concurrency != Auto:
		return strconv.Itoa(k.Concurrency)
	case k.Client == "":
		return "own"
	}
	return "auto"
}

// String is the whole name, for a sentence: "go on x86_64, 512 MB lean, 64
// workers". A report that compares one contender or architecture leaves these
// out.
func (k Key) String() string {
	word := "workers"
	if k.Concurrency == 1 {
		word = "worker"
	}
	return fmt.Sprintf("%s on %s, %d MB %s, %s %s", k.Contender, k.Arch, k.MemoryMB, cmp.Or(k.Client, k.Contender), k.Workers(), word)
}

// Short is the name for a progress line: "go 512 MB lean ×64".
func (k Key) Short() string {
	text := fmt.Sprintf("%s %d MB", k.Contender, k.MemoryMB)
	switch {
	case k.Client == "":
		return text
	case k.Concurrency == Auto:
		return text + " " + k.Client + " auto"
	}
	return fmt.Sprintf("%s %s ×%d", text, k.Client, k.Concurrency)
}

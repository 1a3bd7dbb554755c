package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// memorySizes is a flag's list of memory sizes in MB. It takes a unit, MB or GB
// of 1,024 MB, as Lambda counts them. The first value replaces the default.
type memorySizes struct {
	mb    *[]int
	given bool
}

// memoryVar adds such a flag; def is its default.
func memoryVar(f *pflag.FlagSet, mb *[]int, def []int, usage string) {
	*mb = slices.Clone(def)
	f.Var(&memorySizes{mb: mb}, "memory", usage)
}

// Type names the value in help.
func (*memorySizes) Type() string { return "sizes" }

func (m *memorySizes) String() string {
	if m.mb == nil {
		return ""
	}
	texts := make([]string, len(*m.mb))
	for i, mb := range *m.mb {
		texts[i] = strconv.Itoa(mb)
	}
	return strings.Join(texts, ",")
}

// Set takes one size, or several with commas between them.
func (m *memorySizes) Set(text string) error {
	var sizes []int
	for part := range strings.SplitSeq(text, ",") {
		mb, err := parseMemory(part)
		if err != nil {
			return err
		}
		sizes = append(sizes, mb)
	}
	if m.given {
		sizes = append(*m.mb, sizes...)
	}
	*m.mb, m.given = sizes, true
	return nil
}

// valueError is the error of a value that says all there is to say.
type valueError string

func (e valueError) Error() string { return string(e) }

// parseMemory reads a memory size, and gives it in MB.
func parseMemory(text string) (int, error) {
	number, factor := strings.ToUpper(strings.TrimSpace(text)), 1
	if n, ok := strings.CutSuffix(number, "GB"); ok {
		number, factor = n, 1024
	} else {
		number = strings.TrimSuffix(number, "MB")
	}
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n > math.MaxInt/factor || n < math.MinInt/factor {
		return 0, valueError(fmt.Sprintf("memory %q: must be a whole number of MB or GB, such as 512, 512MB or 2GB", text))
	}
	return n * factor, nil
}

// allowed says what values there are, by the type of a flag.
var allowed = map[string]string{
	"bool":        "must be true or false",
	"int":         "must be a whole number, such as 1000, without a unit",
	"int64":       "must be a whole number, such as 1000, without a unit",
	"uint64":      "must be a whole number from 0, such as 1000, without a unit",
	"duration":    "must be a number with a unit, such as 90s or 5m",
	"stringSlice": "must be words with commas between them",
}

// plainly gives the error of a flag's value in plain words, with what is
// allowed, in place of the parser's; any other error as it is.
func plainly(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	var said valueError
	if errors.As(err, &said) {
		return said
	}
	flag := invalid.GetFlag()
	what, ok := allowed[flag.Value.Type()]
	if !ok {
		return err
	}
	if n, numErr := strconv.ParseFloat(invalid.GetValue(), 64); numErr == nil && n > 0 && flag.Value.Type() == "duration" {
		what += fmt.Sprintf("; did you mean %ss?", invalid.GetValue())
	}
	return fmt.Errorf("%s %q: %s", flag.Name, invalid.GetValue(), what)
}

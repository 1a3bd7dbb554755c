package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"fanout/functions/corpus"
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

// scales of numbers and of sizes, as they are written behind them.
var scales = []struct {
	unit  string // in lower case
	times float64
}{{"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {"b", 1e9}, {"t", 1e12}}

// parseCount reads a number of things: 1000, 100M, 1e8, 2.5k or 1,000,000.
func parseCount(name, text string) (int64, error) {
	number, times := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(text), ",", "")), 1.0
	for _, s := range scales {
		if n, ok := strings.CutSuffix(number, s.unit); ok {
			number, times = n, s.times
			break
		}
	}
	v, err := parseDecimal(number)
	v *= times
	if err != nil || v < 0 || v > 1e15 || math.Abs(v-math.Round(v)) > 1e-6*v {
		return 0, valueError(fmt.Sprintf("%s %q: must be a whole number such as 1000, 100M or 1e8", name, text))
	}
	return int64(math.Round(v)), nil
}

// parseBytes reads a size: 25000, 25kB of 1,000 bytes, or 25KiB of 1,024.
func parseBytes(name, text string) (float64, error) {
	v, err := corpus.ParseBytes(text)
	if err != nil {
		return 0, valueError(name + " " + err.Error())
	}
	return v, nil
}

// sizeFlag is a flag whose value is the size of an object, with a unit or in
// bytes.
type sizeFlag struct {
	name  string
	bytes *int64
}

// Type names the value in help.
func (s *sizeFlag) Type() string   { return "size" }
func (s *sizeFlag) String() string { return strconv.FormatInt(*s.bytes, 10) }

// Set reads it.
func (s *sizeFlag) Set(text string) error {
	v, err := corpus.ParseSize(text)
	if err != nil {
		return valueError(s.name + " " + err.Error())
	}
	*s.bytes = v
	return nil
}

// parseDecimal reads digits with a point and an exponent, and nothing else that
// the parser of Go has for floating point.
func parseDecimal(text string) (float64, error) {
	if text == "" || strings.Trim(text, "0123456789.e+") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(text, 64)
}

// parseAuto reads a number from 1, or "auto", which is 0.
func parseAuto(name, text string) (int, error) {
	if text == "auto" {
		return 0, nil
	}
	n, err := parseCount(name, text)
	if err != nil || n < 1 || n > math.MaxInt32 {
		return 0, valueError(fmt.Sprintf("%s %q: must be auto or a number from 1", name, text))
	}
	return int(n), nil
}

package corpus

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// units of sizes, in lower case, in bytes.
var units = map[string]float64{
	"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// maxParsedBytes bounds [ParseBytes]: more than all of S3's largest objects that
// anybody would read at once.
const maxParsedBytes = 1e18

// ParseBytes reads a size as people write it, and gives it in bytes: 25000, 25kB
// of 1,000 bytes, 25KiB of 1,024, 1.5 MB or 1e6, in capitals or not. The error
// says what there is.
func ParseBytes(text string) (float64, error) {
	lower := strings.ToLower(strings.TrimSpace(text))
	number := strings.TrimRight(lower, "kmgtib")
	times, known := units[lower[len(number):]]
	number = strings.TrimSpace(number)
	// Nothing else that Go's parser has for floating point.
	plain := number != "" && strings.Trim(number, "0123456789.e+") == ""
	v, err := strconv.ParseFloat(number, 64)
	if v *= times; err != nil || !known || !plain || v > maxParsedBytes {
		return 0, fmt.Errorf("%q: must be a size such as 25000, 25kB or 25KiB", text)
	}
	return v, nil
}

// ParseSize is [ParseBytes] of an object's size, which is a whole number.
func ParseSize(text string) (int64, error) {
	v, err := ParseBytes(text)
	if err != nil {
		return 0, err
	}
	if whole := math.Round(v); math.Abs(v-whole) <= 1e-9*whole { // 1.1kB is 1100.0000000000002
		return int64(whole), nil
	}
	return 0, fmt.Errorf("%q: must be a whole number of bytes", text)
}

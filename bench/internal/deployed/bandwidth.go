package deployed

import (
	"fmt"

	"fanout/bench/internal/hint"
	"fanout/functions/lambda"
)

// Bandwidth is how the bandwidth of these functions depends on their memory
// size, lambda.FlatBandwidth or lambda.QuotaBandwidth: as they say themselves,
// or else as asked says; empty: flat. The error has a hint: asked contradicts a
// function, or two of them cannot be measured together, since the one has more
// bandwidth for its memory size than the other.
func Bandwidth(functions []Function, asked string) (string, error) {
	var quota, less *Function // one with it, and a large one that has it not or does not say so
	for i := range functions {
		f := &functions[i]
		says, why := f.bandwidth()
		if asked != "" && says != "" && says != asked {
			return "", hint.Usage("leave out --bandwidth: the function says which it has", "bandwidth %s: function %s %s", asked, f.ARN, why)
		}
		switch {
		case says == lambda.QuotaBandwidth:
			quota = f
		case asked != lambda.QuotaBandwidth && f.MemoryMB > lambda.QuotaFromMB: // below, both are the same
			less = f
		}
	}
	switch {
	case quota != nil && less != nil:
		_, why := less.bandwidth()
		next := "measure them apart"
		if less.Bandwidth == "" && !less.VPC {
			next = "if it has the same, say --bandwidth quota; or else measure them apart"
		}
		return "", hint.Usage(next, "bandwidth: function %s is deployed with BANDWIDTH=%s, and function %s %s", quota.ARN,
			lambda.QuotaBandwidth, less.ARN, why)
	case quota != nil || asked == lambda.QuotaBandwidth:
		return lambda.QuotaBandwidth, nil
	}
	return lambda.FlatBandwidth, nil
}

// bandwidth is what a function says of its own, and how; empty: nothing.
func (f Function) bandwidth() (says, why string) {
	switch {
	case f.VPC:
		return lambda.FlatBandwidth, fmt.Sprintf("is in a VPC, where AWS grants no more than %.0f Mbit/s", lambda.BandwidthBytesPerS*8/1e6)
	case f.Bandwidth == "":
		return "", "does not say which it has"
	}
	return f.Bandwidth, "is deployed with BANDWIDTH=" + f.Bandwidth
}

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/network"
	"fanout/bench/internal/term"
	"fanout/functions/lambda"
)

// networkFlags is what lies between the functions and their objects.
type networkFlags struct{ network, bandwidth string }

func (n *networkFlags) add(f *pflag.FlagSet) {
	f.StringVar(&n.network, "network", network.S3Standard.Name, "the embedded S3's network: "+strings.Join(network.Names(), ", ")+
		", or a model `FILE` that fanout calibrate wrote")
	n.addBandwidth(f)
}

func (n *networkFlags) addBandwidth(f *pflag.FlagSet) {
	f.StringVar(&n.bandwidth, "bandwidth", "", fmt.Sprintf("of a function: %s (%.0f Mbit/s) or %s, which AWS grants on request outside "+
		"a VPC: from %d MB on more, up to %.0f Mbit/s at %d MB (default the model file's, else %s)", lambda.FlatBandwidth,
		lambda.BandwidthBytesPerS*8/1e6, lambda.QuotaBandwidth, lambda.QuotaFromMB, lambda.MostBandwidthBytesPerS*8/1e6, lambda.MaxMemoryMB,
		lambda.FlatBandwidth))
}

// quota says whether the bandwidth is to grow with the memory size.
func (n *networkFlags) quota() (bool, error) {
	if n.bandwidth == "" {
		return false, nil
	}
	return n.bandwidth == lambda.QuotaBandwidth, lambda.CheckBandwidth(n.bandwidth)
}

// parse finds the network. The error has a hint.
func (n *networkFlags) parse(help string) (network.Model, error) {
	quota, err := n.quota()
	if err != nil {
		return network.Model{}, hint.Usage(help, "%w", err)
	}
	m, err := network.Find(n.network)
	switch {
	case errors.Is(err, network.ErrUnknown):
		return m, hint.Usage(help, "%w", err)
	case err != nil:
		return m, hint.Usage("fanout calibrate writes such a file", "%w", err)
	}
	if n.bandwidth != "" {
		m.Quota = quota
	}
	return m, nil
}

// warnOtherMachine says if a CPU factor was measured on another kind of machine
// than this one, which makes it another factor.
func warnOtherMachine(stderr io.Writer, m network.Model) {
	if c := m.Calibration; c != nil && c.Against != "" && c.Against != host() {
		fmt.Fprintf(stderr, "warning: the CPU factor of network %s was measured on %s, and this is %s\n"+
			"hint: run the same settings here and give the results to fanout calibrate --sandbox\n", m.Name, term.Clean(c.Against), host())
	}
}

// describe gives what a result file's header says of the network: its name, the
// model if it is from a file, and how the bandwidth depends on the memory size.
func describe(m network.Model) (name string, file *network.Model, bandwidth string) {
	if _, builtIn := network.Named(m.Name); !builtIn {
		file = &m
	}
	if m.Quota {
		bandwidth = lambda.QuotaBandwidth
	}
	return m.Name, file, bandwidth
}

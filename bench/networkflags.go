package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"fanout/bench/internal/deployed"
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
		"a VPC: from %d MB on more, up to %.0f Mbit/s at %d MB (default what the model file or the deployed functions say, else %s)",
		lambda.FlatBandwidth, lambda.BandwidthBytesPerS*8/1e6, lambda.QuotaBandwidth, lambda.QuotaFromMB,
		lambda.MostBandwidthBytesPerS*8/1e6, lambda.MaxMemoryMB, lambda.FlatBandwidth))
}

// check refuses a bandwidth that there is none of. The error has a hint.
func (n *networkFlags) check(help string) error {
	if n.bandwidth == "" {
		return nil
	}
	if err := lambda.CheckBandwidth(n.bandwidth); err != nil {
		return hint.Usage(help, "%w", err)
	}
	return nil
}

// parse finds the network. The error has a hint.
func (n *networkFlags) parse(help string) (network.Model, error) {
	if err := n.check(help); err != nil {
		return network.Model{}, err
	}
	m, err := network.Find(n.network)
	switch {
	case errors.Is(err, network.ErrUnknown):
		return m, hint.Usage(help, "%w", err)
	case errors.Is(err, network.ErrNewer):
		return m, hint.Usage("update fanout, or calibrate with this version", "%w", err)
	case err != nil:
		return m, hint.Usage("fanout calibrate writes such a file", "%w", err)
	}
	if n.bandwidth != "" {
		m.Quota = n.bandwidth == lambda.QuotaBandwidth
		if m.Quota && m.Bandwidth == 0 {
			return m, hint.Usage("leave it out, or name a network that limits the bandwidth",
				"--bandwidth quota means nothing with network %s, which does not limit it", m.Name)
		}
	}
	return m, nil
}

// ofDeployed gives what a result file's header says of the bandwidth of deployed
// functions, as they say themselves or the flag does. The error has a hint.
func (n *networkFlags) ofDeployed(functions []deployed.Function) (string, error) {
	how, err := deployed.Bandwidth(functions, n.bandwidth)
	if how == lambda.FlatBandwidth {
		how = "" // as it is in the headers of sandboxes
	}
	return how, err
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

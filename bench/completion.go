package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/network"
	"fanout/bench/internal/perf"
	"fanout/bench/internal/report/write"
	"fanout/bench/internal/scan"
	"fanout/functions/lambda"
	"fanout/functions/store"
)

// addCompletions tells the shell completion of every command below root which
// values its flags take. fanout completion SHELL prints the script.
func addCompletions(root *cobra.Command) {
	var networks []string
	for _, m := range network.Models {
		networks = append(networks, fmt.Sprintf("%s\t%s: %s", m.Name, m.About, m))
	}
	for c := range below(root) {
		values := map[string][]string{
			"network":       networks,
			"client":        store.Names,
			"arch":          lambda.Architectures,
			"storage-class": {string(cost.Standard), string(cost.Express)},
			"concurrency":   {"auto", "1", "16", "64", "256"},
			"memory":        {"128", "256", "512", "1024", "1769", "3008"},
			"parts":         perf.Experiments,
			"bandwidth":     {lambda.FlatBandwidth, lambda.QuotaBandwidth},
		}
		switch c.Name() {
		case "report":
			values["format"] = write.Names(write.Formats)
		case "compare":
			values["format"] = write.Names(write.CompareFormats)
		case "scan", "status", "result", "redrive":
			values["format"] = scan.Formats
		}
		for name, allowed := range values {
			f := c.Flags().Lookup(name)
			if f == nil {
				continue
			}
			list := strings.HasSuffix(f.Value.Type(), "Slice")
			complete := func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
				return completed(allowed, typed, list), cobra.ShellCompDirectiveNoFileComp
			}
			if err := c.RegisterFlagCompletionFunc(name, complete); err != nil {
				panic("completion of --" + name + ": " + strconv.Quote(err.Error())) // registered twice: a test builds every command
			}
		}
	}
}

// completed gives what a value that begins as typed may be. Of a list the last
// item is completed, with what is not in it yet.
func completed(allowed []string, typed string, list bool) []string {
	before := ""
	if i := strings.LastIndexByte(typed, ','); list && i >= 0 {
		before = typed[:i+1]
	}
	var all []string
	for _, value := range allowed {
		if !strings.Contains(","+before, ","+value+",") && strings.HasPrefix(before+value, typed) {
			all = append(all, before+value)
		}
	}
	return all
}

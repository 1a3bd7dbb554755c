package main

import "github.com/spf13/cobra"

func scanCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "scan",
		Short: "Search every object of a bucket, however many there are",
		Args:  noArguments,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(scanEstimateCommand())
	return c
}

package main

import (
	"iter"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpColumns is how wide help is: as a terminal's window usually opens.
const helpColumns = 80

func init() {
	cobra.AddTemplateFunc("wrapped", func(f *pflag.FlagSet) string { return f.FlagUsagesWrapped(helpColumns) })
}

// addHelp keeps the help of root and of every command below it within
// helpColumns, and tells the shell's completion where files are meant: as the
// arguments of commands that take any, and as values that the help of a flag
// calls a file, a folder or a PATH. Elsewhere the shell offers none.
func addHelp(root *cobra.Command) {
	usage := strings.ReplaceAll(root.UsageTemplate(), ".LocalFlags.FlagUsages", "wrapped .LocalFlags")
	root.SetUsageTemplate(strings.ReplaceAll(usage, ".InheritedFlags.FlagUsages", "wrapped .InheritedFlags"))
	root.Long = `Which memory, architecture, concurrency and client to pay for when a Lambda
function reads many S3 objects: measured in a sandbox here, or on AWS.`
	for c := range below(root) {
		if c.ValidArgsFunction == nil && !takesArguments(c) {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if _, known := c.GetFlagCompletionFunc(f.Name); known || f.Value.Type() == "bool" {
				return
			}
			directive := cobra.ShellCompDirectiveNoFileComp
			switch name, _ := pflag.UnquoteUsage(f); {
			case name == "folder":
				directive = cobra.ShellCompDirectiveFilterDirs
			case name == "file" || strings.HasSuffix(name, "PATH"):
				directive = cobra.ShellCompDirectiveDefault
			}
			if err := c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(nil, directive)); err != nil {
				panic("completion of --" + f.Name + ": " + err.Error()) // registered twice: a test builds every command
			}
		})
	}
}

// below gives every command below c: subcommands, and theirs.
func below(c *cobra.Command) iter.Seq[*cobra.Command] {
	return func(yield func(*cobra.Command) bool) {
		for _, sub := range c.Commands() {
			if !yield(sub) {
				return
			}
			for deeper := range below(sub) {
				if !yield(deeper) {
					return
				}
			}
		}
	}
}

// takesArguments says whether a command allows one or two.
func takesArguments(c *cobra.Command) bool {
	return c.Args == nil || c.Args(c, []string{"a"}) == nil || c.Args(c, []string{"a", "b"}) == nil
}

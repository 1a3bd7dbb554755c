// Command fanout measures concurrent S3 reads in AWS Lambda: which memory,
// architecture, concurrency and client to pay for. Run "fanout help".
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/sandbox/cgroup"
	"fanout/bench/internal/term"
)

func main() {
	cgroup.ReexecInScope(os.Args)
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	defer stop()
	// subtle: caught, and not ignored, which the functions' processes would
	// inherit. A write to a pipe that nobody reads then fails, as any write may.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// endings are the signals that end the command, as Ctrl-C does. A hang-up that
// is ignored, as under nohup, stays so.
func endings() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// run is the whole command; it gives the exit status: 0, 1 for a run that
// failed, 2 for wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand(args, stdout, stderr)
	err := unknownCommand(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return 0
	}
	next, status := hint.Of(err, "see fanout help")
	var known *hint.Error
	if errors.As(err, &known) {
		err = known.Err // without what wraps it: the hint is for this one
	} else if errors.Is(err, syscall.EPIPE) { // standard output's reader, such as head, has all it wants
		return status
	}
	fmt.Fprintf(stderr, "error: %s\nhint: %s\n", term.CleanLines(err.Error()), term.CleanLines(next))
	return status
}

// unknownCommand refuses a subcommand that there is not, also one that help or
// completion is asked for, with those that are meant, perhaps. Else it is nil.
func unknownCommand(root *cobra.Command, args []string) error {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	if len(args) > 1 && args[0] == "help" {
		args = args[1:]
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return nil // cobra's
	}
	parent, name := root, args[0]
	if c, rest, err := root.Find(args); err == nil {
		if !c.HasSubCommands() || len(rest) == 0 || strings.HasPrefix(rest[0], "-") {
			return nil
		}
		parent, name = c, rest[0]
	}
	next := "see fanout help"
	parent.SuggestionsMinimumDistance = 2 // letters
	if meant := parent.SuggestionsFor(name); len(meant) > 0 {
		next = "did you mean " + parent.CommandPath() + " " + strings.Join(meant, " or ") + "? " + next
	}
	return hint.Usage(next, "unknown command %q", name)
}

// rootCommand is the command with all of its subcommands.
func rootCommand(args []string, stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "fanout",
		Short:         "Which memory, architecture, concurrency and client to pay for when a Lambda function reads many S3 objects",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		var hinted *hint.Error
		if errors.As(err, &hinted) {
			return hinted
		}
		return hint.Usage("see fanout help "+c.Name(), "%w", plainly(err))
	})
	root.AddCommand(runCommand(), reportCommand(), compareCommand(), calibrateCommand(), pricesCommand(), sandboxCommand(), seedCommand(),
		perfCommand(), checkCommand(), scanCommand(), versionCommand())
	addCompletions(root)
	addHelp(root)
	return root
}

// noArguments refuses arguments, as wrong usage.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return hint.Usage("see fanout help "+c.Name(), "%s: unexpected argument %q", c.Name(), args[0])
	}
	return nil
}

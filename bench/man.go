//go:build man

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra/doc"
)

// init writes the man pages, one for each subcommand, to the folder named, and
// ends. It is a build of its own, for .ci/release: what it takes to format them
// is no part of the command.
func init() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "error: no folder named\nhint: go run -tags man ./bench FOLDER")
		os.Exit(2)
	}
	root := rootCommand(nil, io.Discard, io.Discard)
	root.DisableAutoGenTag = true // no date of the build
	header := &doc.GenManHeader{Section: "1", Source: "fanout " + version, Manual: "Fanout"}
	if err := doc.GenManTree(root, header, os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "error: write the man pages: %v\nhint: the folder must be there\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

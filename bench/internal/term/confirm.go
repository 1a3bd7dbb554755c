package term

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// ErrNobodyToAsk says that standard input is no terminal.
var ErrNobodyToAsk = errors.New("standard input is not a terminal")

// Confirm asks a question on out and reads the answer, a line of in: "y" or
// "yes" is yes, anything else is no. If in is a file but no terminal it asks
// nothing and gives [ErrNobodyToAsk]; if ctx ends first, its error.
func Confirm(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	if f, ok := in.(*os.File); ok && !term.IsTerminal(int(f.Fd())) {
		return false, ErrNobodyToAsk
	}
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // ends with the process if nobody answers
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(out)
		return false, ctx.Err()
	case a := <-answer:
		return a == "y" || a == "yes", nil
	}
}

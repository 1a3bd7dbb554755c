package term

import "strings"

// plain are the characters that a POSIX shell takes as they are.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-=./+:@%,"

// ShellWord gives a text as one word of a POSIX shell, quoted if it must be.
func ShellWord(text string) string {
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return ShellQuoted(text)
}

// ShellQuoted gives a text in single quotes, as a POSIX shell reads it back.
func ShellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// defaultWidth is the width of a terminal that does not tell its own.
const defaultWidth = 80

// Streams is what a run reads and writes: the standard streams of the process,
// or buffers in a test.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer

	OutTTY, ErrTTY bool
	Width          int // columns of the terminal; 0: not a terminal, no limit
}

// systemStreams returns the streams of this process.
func systemStreams() *Streams {
	s := &Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		OutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		ErrTTY: term.IsTerminal(int(os.Stderr.Fd())),
	}
	if s.OutTTY {
		s.Width = defaultWidth
		if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
			s.Width = w
		}
	}
	return s
}

// colour reports whether to colour what goes to a stream that is a terminal or
// not (https://no-color.org for NO_COLOR).
func (a *app) colour(tty bool) bool {
	switch a.color {
	case "always":
		return true
	case "never":
		return false
	}
	return tty && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// Package report renders the results of commands. A result is one struct; its
// JSON tags, its text for people and its Markdown for CI pages are three views
// of the same figures. A figure that was not measured is absent, never 0.
// Only package main imports report.
package report

import (
	"encoding/json"
	"io"
)

// Report is the result of a command.
type Report interface {
	// Text writes the report for a person.
	Text(w io.Writer, s Style) error
	// Markdown writes the report for a page, ending with an empty line.
	Markdown(w io.Writer) error
}

// Style says how text is written.
type Style struct {
	Width   int  // columns of the terminal; 0: no limit
	Colour  bool // escape sequences for colours are wanted
	Quiet   bool // the least: one line
	Verbose bool // full lists
}

// Colours, as the parameters of the escape sequence.
const (
	dim    = "2"
	red    = "31"
	yellow = "33"
)

// paint returns text in a colour, where colours are wanted.
func (s Style) paint(colour, text string) string {
	if !s.Colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// Header begins every report.
type Header struct {
	Command string `json:"command"`
	Config  string `json:"config,omitempty"` // the configuration file that was used
}

// JSON writes r as one indented object.
func JSON(w io.Writer, r any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"optim/internal/ort"
	"optim/internal/report"
)

// exitCode is a process's exit status.
type exitCode int

// Exit statuses; helpExit says the same to users.
const (
	exitOK          exitCode = 0
	exitFailure     exitCode = 1
	exitUsage       exitCode = 2
	exitBadInput    exitCode = 3
	exitLimit       exitCode = 4
	exitRuntime     exitCode = 5
	exitInterrupted exitCode = 130
)

// exitMeaning tells what each status means, for help and manual pages.
var exitMeaning = map[exitCode]string{
	exitOK:          "done",
	exitFailure:     "failure (also: nothing could be changed)",
	exitUsage:       "usage: unknown command, flag, value or configuration key",
	exitBadInput:    "bad model or data",
	exitLimit:       "a limit (quality, speed, size, precision) was missed",
	exitRuntime:     "runtime library, driver or provider missing",
	exitInterrupted: "interrupted",
}

var errInterrupted = errors.New("interrupted")

// exitError is an error with the exit status it leads to, and a remedy where
// one is known.
type exitError struct {
	code exitCode
	err  error
	hint string
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usagef returns an error of usage (exit 2).
func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// badInput marks err as one of model or data (exit 3); nil stays nil. An error
// that already has a status, or comes from the runtime library, keeps it.
func badInput(err error) error {
	if err == nil || exitOf(err) != exitFailure {
		return err
	}
	return &exitError{code: exitBadInput, err: err}
}

// limitf returns the error of a limit that was missed (exit 4).
func limitf(format string, args ...any) error {
	return &exitError{code: exitLimit, err: fmt.Errorf(format, args...)}
}

// withHint adds a remedy to err, keeping its exit status.
func withHint(err error, format string, args ...any) error {
	return &exitError{code: exitOf(err), err: err, hint: fmt.Sprintf(format, args...)}
}

// exitOf returns the exit status of err.
func exitOf(err error) exitCode {
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, ort.ErrLibrary), errors.Is(err, ort.ErrProvider):
		return exitRuntime
	}
	return exitFailure
}

// hintOf returns the outermost hint of err, or the empty string.
func hintOf(err error) string {
	for err != nil {
		var e *exitError
		if !errors.As(err, &e) {
			return ""
		}
		if e.hint != "" {
			return e.hint
		}
		err = e.err
	}
	return ""
}

// printError is the one place where errors reach the user.
func printError(s *Streams, err error, asJSON, colour bool) {
	hint := hintOf(err)
	message := strings.TrimRight(err.Error(), " \n")
	if asJSON {
		type failure struct {
			Message string `json:"message"`
			Hint    string `json:"hint,omitempty"`
			Exit    int    `json:"exit"`
		}
		out := json.NewEncoder(s.Err)
		out.SetEscapeHTML(false)
		out.Encode(map[string]failure{"error": {message, hint, int(exitOf(err))}})
		return
	}
	label := "error:"
	if colour {
		label = "\x1b[1;31merror:\x1b[0m"
	}
	fmt.Fprintf(s.Err, "optim: %s %s\n", label, report.Line(message))
	if hint != "" {
		fmt.Fprintf(s.Err, "optim: hint: %s\n", report.Line(hint))
	}
}

// asksJSON tells whether a command line that could not be parsed asked for
// JSON: its errors, too, are then JSON.
func asksJSON(args []string) bool {
	ask, _ := strconv.ParseBool(os.Getenv("OPTIM_JSON"))
	for _, arg := range args {
		switch value, has := strings.CutPrefix(arg, "--json="); {
		case arg == "--":
			return ask
		case arg == "--json":
			ask = true
		case has:
			ask, _ = strconv.ParseBool(value)
		}
	}
	return ask
}

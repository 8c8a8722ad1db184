package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"optim/internal/bench"
)

// Main runs the command line args and returns the process's exit status. It is
// the whole program but for os.Exit, so that tests can call it.
func Main(args []string, s *Streams) int {
	if bench.IsWorker(args) {
		err := bench.Work(s.In, s.Out)
		if err != nil {
			err = usagef("%s is started by optim bench: %w", bench.WorkerArg, err)
			printError(s, err, false, false)
		}
		return int(exitOf(err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal cancels; after that a second one kills as usual. Not at once:
	// timeout(1) sends the same one to the process and to its group.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, stop) })()
	ignoreFileLimit()

	a := newApp(s)
	root := newRootCmd(a)
	root.SetArgs(args)
	err := execute(ctx, root)
	if err == nil {
		return int(exitOK)
	}
	if !a.running && exitOf(err) == exitFailure {
		// Everything before a command's own code is parsing.
		err = &exitError{code: exitUsage, err: err}
	}
	if ctx.Err() != nil {
		err = &exitError{code: exitInterrupted, err: errInterrupted, hint: hintOf(err)}
	}
	asJSON := a.json || !a.running && asksJSON(args)
	printError(s, err, asJSON, a.colour(s.ErrTTY))
	return int(exitOf(err))
}

// sameSignal is how long after a signal a further one is taken for the same.
const sameSignal = 500 * time.Millisecond

// patience is how long a command may take to stop when it is interrupted.
const patience = 5 * time.Second

// execute runs the command. Where the runtime library is in a call that cannot
// be stopped, as for a model made to keep it busy, the process ends without it.
func execute(ctx context.Context, root *cobra.Command) error {
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return ctx.Err()
	}
}

// app is the only way from a command to the outside world: streams, global
// flags, configuration. One is made for every call of Main.
type app struct {
	*Streams
	globals

	running    bool   // the command's own code has begun
	configFile string // the configuration file that was used, or empty
	configAuto bool   // configFile was found by itself

	stop <-chan struct{} // is closed when the user interrupts
}

// globals holds the flags that every command has.
type globals struct {
	json, quiet, verbose, noProgress bool

	summary, config, ortLib, customOps, cacheDir, color string

	threads int
}

func newApp(s *Streams) *app { return &app{Streams: s} }

// maxThreads is above what any machine has; more would keep the runtime busy
// with making them.
const maxThreads = 1024

// prepare completes the flags of cmd from environment and configuration file,
// and checks those that every command has. It runs before every command.
func (a *app) prepare(cmd *cobra.Command) error {
	a.stop = cmd.Context().Done()
	if err := a.configure(cmd); err != nil {
		return err
	}
	if err := checkChoices(cmd.Flags()); err != nil {
		return err
	}
	switch {
	case a.threads < 0:
		return usagef("--threads must not be negative, not %d", a.threads)
	case a.threads > maxThreads:
		return usagef("--threads must be at most %d, not %d", maxThreads, a.threads)
	}
	if err := a.checkSummaryFile(); err != nil {
		return err
	}
	a.running = true
	return nil
}

// cacheFolder returns the folder of what can be made again: the unpacked runtime
// library, and what calibrations have seen.
func (a *app) cacheFolder() (string, error) {
	if a.cacheDir != "" {
		return a.cacheDir, nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(base) { // HOME is taken as it is
		return "", fmt.Errorf("the user's cache folder %q is no absolute path", base)
	}
	return filepath.Join(base, "optim"), nil
}

// workers is the number of goroutines to compute with.
func (a *app) workers() int {
	if a.threads > 0 {
		return a.threads
	}
	return runtime.GOMAXPROCS(0)
}

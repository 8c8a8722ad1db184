//go:build linux

package bench

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestProcessErrors: a worker that ends, talks nonsense or stands still is told, and
// whether the model may be the reason.
func TestProcessErrors(t *testing.T) {
	shell := func(script string) Command { return Command{"/bin/sh", []string{"sh", "-c", script}} }
	for name, c := range map[string]struct {
		worker  Command
		says    string
		outside bool
	}{
		"missing":   {Command{"/nowhere", []string{"nowhere"}}, "start a process that runs a model: ", true},
		"exits":     {shell("echo first >&2; echo second >&2; echo third >&2; exit 3"), "ended: exit status 3: first; second", false},
		"panics":    {shell("echo first >&2; echo 'panic: why' >&2; echo where >&2; echo more >&2; exit 2"), "ended: exit status 2: panic: why; where", false},
		"says bye":  {shell("exit 0"), "the process that ran the model ended", false},
		"nonsense":  {shell("echo hello; cat >/dev/null"), "the process that ran the model ended", false},
		"killed":    {shell("kill -9 $$"), "ended: signal: killed, by somebody or by the system", true},
		"stopped":   {shell("kill -STOP $$"), "was stopped, and did not go on", true},
		"silent":    {shell("exec <&- >&-; sleep 60"), "ended: signal: killed, by somebody or by the system", true},
		"no answer": {shell("read line; echo '{}' | head -c 1"), "the process that ran the model ended", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := short(t, digits)
			o.Worker = c.worker
			begin := time.Now()
			_, err := Run(t.Context(), o)
			var failed *ProcessError
			if !errors.As(err, &failed) || failed.Outside != c.outside || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, outside: %+v", err, failed)
			}
			if d := time.Since(begin); d > 20*time.Second {
				t.Errorf("took %s", d)
			}
		})
	}
}

// TestSelf: this program can be started also when its file has been removed.
func TestSelf(t *testing.T) {
	file, err := self()
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: file, Args: []string{os.Args[0], noiseArg}}
	if out, err := cmd.Output(); err != nil || string(out) != "answer\n" {
		t.Errorf("%q, %v", out, err)
	}
	if exe, err := os.Readlink(file); err != nil || exe == file {
		t.Errorf("%q leads to %q, %v: want what the system keeps open", file, exe, err)
	}
}

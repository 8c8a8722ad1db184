//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"optim/internal/bench"
)

// measuring is a benchmark that goes on for hours, started in a folder of its own.
type measuring struct {
	*exec.Cmd
	out, errs bytes.Buffer
}

func startBench(t *testing.T, args ...string) *measuring {
	t.Helper()
	m := &measuring{Cmd: process(t, append([]string{"bench", "--duration", "2h", "--restarts", "100"}, args...)...)}
	m.Dir = t.TempDir()
	m.Stdout, m.Stderr = &m.out, &m.errs
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	return m
}

// children returns the processes whose parent this is.
func children(t *testing.T, parent int) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if fields[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// worker waits for the process that runs the model.
func (m *measuring) worker(t *testing.T) int {
	t.Helper()
	for range 1000 {
		for _, pid := range children(t, m.Process.Pid) {
			if args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(args), bench.WorkerArg) {
				return pid
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no worker after 10 s: %s", m.errs.String())
	return 0
}

// gone fails unless a process ends soon.
func gone(t *testing.T, pid int) {
	t.Helper()
	for range 1000 {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
	syscall.Kill(pid, syscall.SIGKILL)
}

// TestBenchWorkerEnded: somebody ends or stops the process that runs the model. One
// line says so, nothing is left, and the model is not to blame.
func TestBenchWorkerEnded(t *testing.T) {
	for signal, says := range map[syscall.Signal]string{
		syscall.SIGKILL: "ended: signal: killed, by", syscall.SIGTERM: "ended: signal: terminated",
		syscall.SIGSTOP: "was stopped, and did not go on",
	} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			m := startBench(t, "--csv", "r.csv", data(t, "models/digits-mlp/digits-mlp.onnx"))
			worker := m.worker(t)
			syscall.Kill(worker, signal)
			m.Wait()
			if code := m.ProcessState.ExitCode(); code != int(exitFailure) || !strings.Contains(m.errs.String(), says) || strings.Count(m.errs.String(), "\n") != 1 {
				t.Errorf("exit %d, stdout %q, stderr %q", code, m.out.String(), m.errs.String())
			}
			gone(t, worker)
			if left := entries(t, m.Dir); len(left) > 0 {
				t.Errorf("left %q", left)
			}
		})
	}
}

// TestBenchKilled: a worker does not outlive its parent.
func TestBenchKilled(t *testing.T) {
	m := startBench(t, data(t, "models/digits-mlp/digits-mlp.onnx"))
	worker := m.worker(t)
	m.Process.Kill()
	m.Wait()
	gone(t, worker)
}

// TestBenchInterrupted: what was measured is there, and nothing else.
func TestBenchInterrupted(t *testing.T) {
	model := data(t, "models/digits-mlp/digits-mlp.onnx")
	for name, args := range map[string][]string{
		"latency": {"--warmup", "1", "--duration", "100s", "--restarts", "100", model},
		"server":  {"--scenario", "server", "--slo", "10ms", "--duration", "1h"},
		"offline": {"--scenario", "offline"},
		"decode":  {"--scenario", "decode"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"bench", "--json", "--plot", "p.svg", data(t, "models/tinygpt-s/tinygpt-s.onnx")}, args...)
			m := &measuring{Cmd: process(t, args...)}
			m.Dir = t.TempDir()
			m.Stdout, m.Stderr = &m.out, &m.errs
			if err := m.Start(); err != nil {
				t.Fatal(err)
			}
			worker := m.worker(t)
			time.Sleep(3 * time.Second) // something is measured by then
			m.Process.Signal(syscall.SIGINT)
			begin := time.Now()
			m.Wait()
			if code := m.ProcessState.ExitCode(); code != int(exitInterrupted) || !strings.Contains(m.errs.String(), `"exit":130`) {
				t.Errorf("exit %d, stderr %q", code, m.errs.String())
			}
			if !strings.Contains(m.out.String(), `"interrupted": true`) || time.Since(begin) > 2*patience {
				t.Errorf("after %s: %q", time.Since(begin), m.out.String())
			}
			gone(t, worker)
			if left := entries(t, m.Dir); !slices.Equal(left, []string{"p.svg"}) {
				t.Errorf("left %q", left)
			}
		})
	}
}

// TestBenchSignalTwice: a signal that comes twice, as timeout(1) sends it, is one.
func TestBenchSignalTwice(t *testing.T) {
	m := startBench(t, "--warmup", "1", data(t, "models/tinygpt-s/tinygpt-s.onnx"))
	m.worker(t)
	time.Sleep(time.Second)
	for range 3 {
		m.Process.Signal(syscall.SIGTERM)
		time.Sleep(5 * time.Millisecond)
	}
	m.Wait()
	if code := m.ProcessState.ExitCode(); code != int(exitInterrupted) || m.errs.String() != "optim: error: interrupted\n" {
		t.Errorf("exit %d, %v, stderr %q", code, m.ProcessState, m.errs.String())
	}
}

// TestBenchOnFullDisk: what was measured is shown although a file cannot be written,
// and nothing of that is left.
func TestBenchOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Skipf("no file system of a given size can be made here: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	page, table := filepath.Join(dir, "r.html"), filepath.Join(dir, "r.csv")
	m := &measuring{Cmd: process(t, "bench", "--runs", "2", "--restarts", "1", "--warmup", "1", "--report", page, "--csv", table,
		data(t, "models/digits-mlp/digits-mlp.onnx"))}
	m.Stdout, m.Stderr = &m.out, &m.errs
	m.Run()
	want := fmt.Sprintf("optim: error: --report %q: no space left on device\n", page)
	if code := m.ProcessState.ExitCode(); code != int(exitFailure) || m.errs.String() != want || !strings.Contains(m.out.String(), "time of a run") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, m.out.String(), m.errs.String())
	}
	if left := entries(t, dir); !slices.Equal(left, []string{"r.csv"}) {
		t.Errorf("left %q", left)
	}
}

// TestBenchUnfinished: what was measured before a failure is shown, but for --json.
func TestBenchUnfinished(t *testing.T) {
	for _, json := range []bool{false, true} {
		m := startBench(t, fmt.Sprintf("--json=%t", json), "--warmup", "1", "--duration", "100s", "--csv", "r.csv", data(t, "models/digits-mlp/digits-mlp.onnx"))
		m.worker(t)
		time.Sleep(3 * time.Second) // some of the hundred processes have ended by then
		syscall.Kill(m.worker(t), syscall.SIGKILL)
		m.Wait()
		shown := strings.Contains(m.out.String(), "this is what was measured until an error ended the run")
		if code := m.ProcessState.ExitCode(); code != int(exitFailure) || shown == json || json && m.out.Len() > 0 {
			t.Errorf("json %t: exit %d, stdout %q, stderr %q", json, code, m.out.String(), m.errs.String())
		}
		if left := entries(t, m.Dir); len(left) > 0 {
			t.Errorf("left %q", left)
		}
	}
}

package measure

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestParseStatus(t *testing.T) {
	const text = "Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 5 kB\nVmBad:\t12 MB\nVmNone:\nVmHuge:\t99999999999999999999 kB\n"
	for name, want := range map[string]int64{
		"VmHWM:": 1234 << 10, "VmRSS:": 5 << 10, "VmBad:": 0, "VmNone:": 0, "VmHuge:": 0, "VmAbsent:": 0,
	} {
		if got := parseStatus([]byte(text), name); got != want {
			t.Errorf("%s %d, want %d", name, got, want)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	for _, s := range []string{"VmHWM:\t1 kB\n", "VmHWM:", "VmHWM:\t-1 kB", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := parseStatus([]byte(s), "VmHWM:"); got < 0 {
			t.Errorf("%q gives %d", s, got)
		}
	})
}

// TestPeakSeesMemory touches 64 MB and lets them go again.
func TestPeakSeesMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	const size = 64 << 20
	rss := RSS()
	before := PeakRSS()
	if rss <= 0 || rss > before+1<<20 { // the kernel counts in batches per thread
		t.Fatalf("resident %d, peak %d", rss, before)
	}
	block := make([]byte, before+size) // more than ever was resident
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	const slack = 4 << 20 // the kernel's batches
	if got := PeakRSS(); got < before+size-slack {
		t.Errorf("peak %d after touching %d", got, len(block))
	}
	runtime.KeepAlive(block)
	if got := rusagePeak(); got < before+size-slack {
		t.Errorf("getrusage says %d", got)
	}
}

func TestResetPeak(t *testing.T) {
	if err := ResetPeak(); err != nil {
		t.Skipf("not allowed here: %v", err)
	}
	if peak, rss := PeakRSS(), RSS(); peak > rss+64<<20 {
		t.Errorf("peak %d just after it was reset, resident %d", peak, rss)
	}
}

func TestDiskFree(t *testing.T) {
	dir := t.TempDir()
	here, err := DiskFree(dir)
	if err != nil || here <= 0 {
		t.Fatalf("%d, %v", here, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(dir, "not", "yet")} {
		if got, err := DiskFree(path); err != nil || got <= 0 {
			t.Errorf("%s: %d, %v", path, got, err)
		}
	}
	if _, err := DiskFree(filepath.Join(file, "below")); err == nil {
		t.Error("a folder below a file")
	}
}

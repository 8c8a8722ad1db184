package host

import (
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// State is what the machine is at, as far as it tells.
type State struct {
	Governor string   `json:"governor,omitempty"`  // of the first processor's clock: "performance", "powersave"
	Load     *float64 `json:"load_1min,omitempty"` // processes that ran or waited to, mean of the last minute
}

// Now returns the state of this machine.
func Now() State { return stateOf(os.DirFS("/")) }

func stateOf(root fs.FS) State {
	var s State
	if text, err := fs.ReadFile(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"); err == nil {
		s.Governor = strings.TrimSpace(string(text))
	}
	if text, err := fs.ReadFile(root, "proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		if load, err := strconv.ParseFloat(first, 64); err == nil {
			s.Load = &load
		}
	}
	return s
}

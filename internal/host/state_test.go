package host

import (
	"testing"
	"testing/fstest"
)

func TestState(t *testing.T) {
	s := stateOf(fstest.MapFS{
		"proc/loadavg": {Data: []byte("0.52 0.58 0.59 1/389 12345\n")},
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": {Data: []byte("powersave\n")},
	})
	if s.Governor != "powersave" || s.Load == nil || *s.Load != 0.52 {
		t.Errorf("%+v", s)
	}
	if s := stateOf(fstest.MapFS{"proc/loadavg": {Data: []byte("high")}}); s.Governor != "" || s.Load != nil {
		t.Errorf("a machine that does not tell: %+v", s)
	}
}

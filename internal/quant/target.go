package quant

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/klauspost/cpuid/v2"
)

// Target is the kind of processor that the result shall run on. It decides
// the range of integer weights: without VNNI the x86 kernels add pairs of
// products u8·s8 in saturating 16-bit arithmetic (VPMADDUBSW), which is exact
// only while 255·(|w1|+|w2|) ≤ 32767, that is for |w| ≤ 64.
type Target struct {
	Name      string
	WeightMax int64 // greatest magnitude of a signed 8-bit weight
}

var targets = []Target{
	{"vnni", 127},
	{"avx2", 64},
	{"arm64", 127},
}

// TargetNames lists what ParseTarget takes.
var TargetNames = []string{"host", "vnni", "avx2", "arm64"}

// ParseTarget returns the target of that name; "host" is this machine.
func ParseTarget(name string) (Target, error) {
	if name == "host" || name == "" {
		name = hostTarget()
	}
	for _, t := range targets {
		if t.Name == name {
			return t, nil
		}
	}
	return Target{}, fmt.Errorf("unknown target %q (valid: %s)", name, strings.Join(TargetNames, ", "))
}

func hostTarget() string {
	switch {
	case runtime.GOARCH == "arm64":
		return "arm64"
	case cpuid.CPU.Supports(cpuid.AVX512VNNI) || cpuid.CPU.Supports(cpuid.AVXVNNI):
		return "vnni"
	}
	return "avx2"
}

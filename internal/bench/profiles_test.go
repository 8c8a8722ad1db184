package bench

import (
	"slices"
	"testing"

	"optim/internal/bench/profile"
)

func TestWarnCopies(t *testing.T) {
	copying := &profile.Profile{Operators: []profile.Operator{
		{Op: "MemcpyFromHost", Provider: "cuda", Nodes: 2}, {Op: "MemcpyToHost", Provider: "cuda", Nodes: 1}, {Op: "DynamicQuantizeLinear", Provider: "cpu", Nodes: 4},
	}}
	for _, c := range []struct {
		provider string
		profile  *profile.Profile
		want     []string
	}{
		{"cuda", copying, []string{"m: 4 nodes run on cpu, not on cuda, with 3 copies of values between the two"}},
		{"cuda", &profile.Profile{}, nil}, // shape arithmetic alone
		{"cpu", copying, nil},
	} {
		b := &bench{result: &Result{}}
		b.warnCopies(&Row{Name: "m", Provider: c.provider, Nodes: map[string]int{"cpu": 4, "cuda": 9}}, c.profile)
		if !slices.Equal(b.result.Warnings, c.want) {
			t.Errorf("%s: %q, not %q", c.provider, b.result.Warnings, c.want)
		}
	}
}

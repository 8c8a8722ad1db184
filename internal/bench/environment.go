package bench

import (
	"fmt"

	"optim/internal/host"
	"optim/internal/ort"
)

// busyLoad is the share of the processors that other work may take before the
// report warns of it.
const busyLoad = 0.5

// environment describes the machine before anything runs.
func (b *bench) environment() error {
	facts, err := host.Probe(b.ctx)
	if err != nil {
		return err
	}
	state := host.Now()
	e := &b.result.Environment
	e.OS, e.Arch, e.CPU, e.Memory, e.Container = facts.OS, facts.Arch, facts.CPU, facts.Memory, facts.Container
	e.State, e.Threads, e.Settings, e.Optim = state, b.threads(), b.Session.settings(), b.Version
	e.ClockNS = clockCost()
	if state.Load != nil && *state.Load > busyLoad*float64(facts.CPU.Threads) {
		b.warn(fmt.Sprintf("the machine is busy, which may show in the figures: its load was %.1f when the measurement began", *state.Load))
	}
	if state.Governor == "powersave" || state.Governor == "ondemand" || state.Governor == "conservative" {
		b.warn(fmt.Sprintf("the processor's clock follows the load (governor %q): the first runs may be slow", state.Governor))
	}
	return nil
}

// clockCost returns what one reading of the clock costs, in nanoseconds: every
// measured run holds about one. The least of several is taken, since a reading can
// only be delayed.
func clockCost() float64 {
	const reads, trials = 1000, 20
	least := 0.0
	for i := range trials {
		cost := float64(ort.ReadClock(reads)) / reads
		if i == 0 || cost < least {
			least = cost
		}
	}
	return least
}

//go:build race

package eval_test

// raceEnabled: real models are slow enough without the race detector.
const raceEnabled = true

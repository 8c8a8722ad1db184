//go:build race

package main

// raceEnabled is for tests of memory: the race detector needs several times
// as much.
const raceEnabled = true

//go:build !linux

package ort

// ReleasePages does nothing on this system.
func ReleasePages(...string) int64 { return 0 }

//go:build !unix

package main

// ignoreFileLimit does nothing: there is no limit of file sizes here.
func ignoreFileLimit() {}

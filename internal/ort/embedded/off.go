//go:build !embedort

package embedded

var compressed, description []byte

// Package embedded holds the compressed ONNX Runtime library of a release
// build. Without the build tag embedort it is empty. The two files that the tag
// wants in this folder are written by `go run ./scripts/ortlib pack`.
package embedded

import (
	"encoding/json"
	"fmt"
)

// Info describes the library that is built in.
type Info struct {
	File    string `json:"file"`    // name to give it, "libonnxruntime.so.1"
	Version string `json:"version"` // of ONNX Runtime
	SHA256  string `json:"sha256"`  // of the library, in hexadecimal
	XXH3    uint64 `json:"xxh3"`    // of the library: checked at every start
	Size    int64  `json:"size"`    // of the library, in bytes
}

// Present reports whether a library is built in.
func Present() bool { return len(compressed) > 0 }

// Library returns the description and the zstd-compressed bytes of the library.
func Library() (Info, []byte, error) {
	var info Info
	if !Present() {
		return info, nil, fmt.Errorf("no library is built in")
	}
	if err := json.Unmarshal(description, &info); err != nil {
		return info, nil, fmt.Errorf("description of the library that is built in: %w", err)
	}
	return info, compressed, nil
}

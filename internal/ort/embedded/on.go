//go:build embedort

package embedded

import _ "embed"

//go:embed libonnxruntime.zst
var compressed []byte

//go:embed libonnxruntime.json
var description []byte

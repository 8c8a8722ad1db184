package dataset

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
)

// defaultContext is the length when nothing tells another.
const defaultContext = 512

// maxContext bounds what a user or a config.json can ask for.
const maxContext = 1 << 22

// ContextLength returns the ids per window or text, and says where the number
// comes from: Options.SeqLen, ContextLimit, or 512. A length above what the model
// can take is an error.
func ContextLength(model ModelInfo, o Options) (n int, from string, err error) {
	sh, err := newShaper(model, o)
	if err != nil {
		return 0, "", err
	}
	fixed := sh.sequence()
	if fixed > maxContext {
		return 0, "", fail(model.Path, "a sequence of %d ids", fixed)
	}
	if o.SeqLen != 0 {
		return o.SeqLen, "--seq-len", checkSeqLen(model.Path, o, fixed)
	}
	if fixed >= 1 {
		return int(fixed), "the model's sequence dimension", nil
	}
	if n, from := ContextLimit(model, o); n > 0 {
		return n, from, nil
	}
	return defaultContext, "the default", nil
}

// ContextLimit returns the most ids that a model with an open sequence dimension
// takes, and says where the number comes from: config.json beside the model or the
// tokenizer, or the rows of the position table; 0: nothing tells.
func ContextLimit(model ModelInfo, o Options) (n int, from string) {
	dirs := []string{filepath.Dir(model.Path)}
	if o.Tokenizer != "" {
		dirs = append(dirs, filepath.Dir(o.Tokenizer))
	}
	for _, dir := range dirs {
		if n := configContext(dir); n > 0 {
			if o.PositionRows > 0 {
				n = min(n, o.PositionRows)
			}
			return int(n), "config.json"
		}
	}
	if o.PositionRows > 0 && o.PositionRows <= maxContext {
		return int(o.PositionRows), "the model's position table"
	}
	return 0, ""
}

// checkSeqLen refuses lengths that the model cannot run.
func checkSeqLen(path string, o Options, fixed int64) error {
	n := int64(o.SeqLen)
	switch {
	case n < 1 || n > maxContext:
		return fail(path, "a sequence length of %d: want 1 to %d", n, maxContext)
	case fixed >= 1 && n > fixed:
		return fail(path, "a sequence length of %d is above the model's fixed %d", n, fixed)
	case o.PositionRows > 0 && n > o.PositionRows:
		return fail(path, "a sequence length of %d is above the %d positions that the model knows", n, o.PositionRows)
	}
	return nil
}

// configContext reads the context length from config.json in a folder; 0 when
// there is none, or no such field. The file only gives a default, so that a bad
// one is passed over.
func configContext(dir string) int64 {
	path := filepath.Join(dir, "config.json")
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return 0 // opening a pipe would wait
	}
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	var config struct {
		NPositions int64 `json:"n_positions"`
		Max        int64 `json:"max_position_embeddings"`
	}
	if json.NewDecoder(io.LimitReader(f, 1<<20)).Decode(&config) != nil {
		return 0
	}
	for _, n := range []int64{config.NPositions, config.Max} {
		if n >= 1 && n <= maxContext {
			return n
		}
	}
	return 0
}

package trt

import (
	"encoding/json"
	"fmt"
	"os"

	"optim/internal/quant"
)

// Table holds the scales of activations that calibration found, for the same model to be
// built again without data.
type Table struct {
	Version   int                `json:"version"`
	Model     string             `json:"model"` // hash of the source
	Precision Precision          `json:"precision"`
	Scales    map[string]float32 `json:"scales"`
}

// tableVersion is that of the file.
const tableVersion = 1

// tableMax bounds what is read.
const tableMax = 64 << 20

// ReadTable reads a table, which has to be of a model and of a precision.
func ReadTable(path, model string, p Precision) (*Table, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > tableMax {
		return nil, fmt.Errorf("%s: not a table of scales", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := parseTable(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case t.Model != model:
		return nil, fmt.Errorf("%s: it is the table of another model", path)
	case eightOf(t.Precision) != eightOf(p):
		return nil, fmt.Errorf("%s: it was made for %s, not for %s", path, t.Precision, p)
	}
	return t, nil
}

// eightOf is the 8-bit type of a precision: best takes integers.
func eightOf(p Precision) Precision {
	if p == FP8 {
		return FP8
	}
	return INT8
}

func parseTable(b []byte) (*Table, error) {
	var t Table
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, err
	}
	if t.Version != tableVersion || len(t.Scales) == 0 {
		return nil, fmt.Errorf("not a table of scales of version %d", tableVersion)
	}
	for name, s := range t.Scales {
		if !(s > 0) || s-s != 0 {
			return nil, fmt.Errorf("the scale of %q is %v", name, s)
		}
	}
	return &t, nil
}

// NewTable keeps the scales of codes.
func NewTable(model string, p Precision, codes map[string]quant.Code) *Table {
	t := &Table{Version: tableVersion, Model: model, Precision: p, Scales: map[string]float32{}}
	for name, c := range codes {
		t.Scales[name] = c.Scale
	}
	return t
}

// Codes returns the scales as quantization takes them.
func (t *Table) Codes() map[string]quant.Code {
	out := map[string]quant.Code{}
	for name, s := range t.Scales {
		out[name] = quant.Code{Scale: s, Max: 127}
	}
	return out
}

// Write writes the table.
func (t *Table) Write(path string) error {
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(path, append(b, '\n'))
}

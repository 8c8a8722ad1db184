package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"optim/internal/tensor"
)

// maxHeader bounds the header of a safetensors file, as the format's own
// reader does.
const maxHeader = 100_000_000

// dtypes are the element types of safetensors that ONNX has, too. Tensors of
// others can be in a file; their values cannot be had.
var dtypes = map[string]tensor.DType{
	"BOOL": tensor.Bool, "U8": tensor.Uint8, "I8": tensor.Int8, "U16": tensor.Uint16, "I16": tensor.Int16,
	"U32": tensor.Uint32, "I32": tensor.Int32, "U64": tensor.Uint64, "I64": tensor.Int64,
	"F16": tensor.Float16, "BF16": tensor.BFloat16, "F32": tensor.Float32, "F64": tensor.Float64,
	"F8_E4M3": tensor.F8E4M3FN, "F8_E5M2": tensor.F8E5M2, "F8_E8M0": tensor.F8E8M0,
}

// Tensor is a tensor of a checkpoint: a view of a mapped file.
type Tensor struct {
	Name  string
	DType tensor.DType // Undefined: one that ONNX has not
	Shape tensor.Shape
	data  []byte
	file  *file
}

// entry is what the header says of a tensor.
type entry struct {
	DType   *string  `json:"dtype"`
	Shape   *[]int64 `json:"shape"`
	Offsets []int64  `json:"data_offsets"`
}

// parse reads a safetensors file: the length of the header in 8 bytes, little-
// endian, the header in JSON, and the tensors, which must follow each other
// without gaps and end with the file. The tensors alias b, ordered by name.
func parse(b []byte) ([]*Tensor, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("%d bytes are too few for a safetensors file", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	switch {
	case n > maxHeader:
		return nil, fmt.Errorf("the header of %d bytes is larger than %d", n, maxHeader)
	case n > uint64(len(b)-8):
		return nil, fmt.Errorf("the header of %d bytes ends beyond the file of %d", n, len(b))
	}
	list, ends, err := parseHeader(b[8:8+n], int64(len(b))-8-int64(n))
	if err != nil {
		return nil, err
	}
	for i, t := range list {
		t.data = b[8+n:][ends[i][0]:ends[i][1]:ends[i][1]]
	}
	slices.SortFunc(list, func(a, b *Tensor) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// parseHeader returns the tensors of a header, whose data takes size bytes, and
// where each begins and ends.
func parseHeader(header []byte, size int64) (list []*Tensor, ends [][2]int64, err error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, errors.New("the header does not begin with {")
	}
	dec := json.NewDecoder(bytes.NewReader(header))
	if _, err := dec.Token(); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("header: %w", err)
		}
		name := key.(string) // the keys of an object are nothing else
		if seen[name] {
			return nil, nil, fmt.Errorf("tensor %q occurs twice", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := dec.Decode(new(map[string]string)); err != nil {
				return nil, nil, fmt.Errorf("header: __metadata__: %w", err)
			}
			continue
		}
		var e entry
		if err := dec.Decode(&e); err != nil {
			return nil, nil, fmt.Errorf("header: tensor %q: %w", name, err)
		}
		t, err := e.tensor(name, size)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		list, ends = append(list, t), append(ends, [2]int64(e.Offsets))
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, errors.New("something follows the header's object")
	}
	return list, ends, checkTiling(list, ends, size)
}

// maxRank bounds the dimensions of a tensor, far above what any model has.
const maxRank = 64

// tensor checks what the header says of a tensor.
func (e *entry) tensor(name string, size int64) (*Tensor, error) {
	switch {
	case e.DType == nil || e.Shape == nil || len(e.Offsets) != 2:
		return nil, errors.New("dtype, shape and two data_offsets are needed")
	case len(*e.Shape) > maxRank:
		return nil, fmt.Errorf("%d dimensions, where %d are the most", len(*e.Shape), maxRank)
	}
	lo, hi := e.Offsets[0], e.Offsets[1]
	if lo < 0 || hi < lo || hi > size {
		return nil, fmt.Errorf("bytes %d to %d do not lie within the %d of the data", lo, hi, size)
	}
	t := &Tensor{Name: name, DType: dtypes[*e.DType], Shape: *e.Shape}
	if t.DType == tensor.Undefined {
		_, err := t.Shape.Elements()
		return t, err
	}
	need, err := t.Shape.Bytes(t.DType)
	if err != nil {
		return nil, err
	}
	if need != hi-lo {
		return nil, fmt.Errorf("%d bytes, where %s %v needs %d", hi-lo, t.DType, t.Shape, need)
	}
	return t, nil
}

// checkTiling refuses tensors that overlap, and bytes that belong to none: they
// would hide in a file that is read without them.
func checkTiling(list []*Tensor, ends [][2]int64, size int64) error {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(ends[a][0], ends[b][0]), cmp.Compare(ends[a][1], ends[b][1]))
	})
	at := int64(0)
	for _, i := range order {
		if ends[i][0] != at {
			return fmt.Errorf("tensor %q begins at byte %d of the data, where the one before ends at %d", list[i].Name, ends[i][0], at)
		}
		at = ends[i][1]
	}
	if at != size {
		return fmt.Errorf("%d bytes follow the last tensor", size-at)
	}
	return nil
}

// Value returns the tensor's elements, which alias the file: they must not be
// written to, nor used after Close.
func (t *Tensor) Value() (tensor.Tensor, error) {
	switch {
	case t.DType == tensor.Undefined:
		return tensor.Tensor{}, fmt.Errorf("tensor %q has an element type that ONNX has not", t.Name)
	case t.file != nil && t.file.closed:
		return tensor.Tensor{}, fmt.Errorf("tensor %q: the checkpoint is closed", t.Name)
	}
	return tensor.Tensor{DType: t.DType, Shape: t.Shape.Clone(), Data: t.data}, nil
}

// Release gives the mapped pages of the tensor back to the system; they are
// read again when they are used again.
func (t *Tensor) Release() {
	if t.file != nil && !t.file.closed {
		t.file.release(t.data)
	}
}

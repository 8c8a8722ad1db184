package dataset

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"optim/internal/tensor"
)

// WriteMasks writes float32 arrays of zeros and ones as booleans in an .npz file: one
// .npy entry for each, in the order of their names.
func WriteMasks(w io.Writer, masks map[string]tensor.Tensor) error {
	z := zip.NewWriter(w)
	for _, name := range sortedKeys(masks) {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Deflate})
		if err != nil {
			return err
		}
		m := masks[name]
		var dims strings.Builder
		for _, d := range m.Shape {
			fmt.Fprintf(&dims, "%d, ", d)
		}
		text := fmt.Sprintf("{'descr': '|b1', 'fortran_order': False, 'shape': (%s), }", strings.TrimSuffix(dims.String(), " "))
		text += strings.Repeat(" ", 63-(len(text)+10)%64) + "\n" // the elements begin at a multiple of 64
		head := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(text)))
		values := tensor.As[float32](m.Data)
		bools := make([]byte, len(values))
		for i, x := range values {
			if x != 0 {
				bools[i] = 1
			}
		}
		for _, b := range [][]byte{head, []byte(text), bools} {
			if _, err := f.Write(b); err != nil {
				return err
			}
		}
	}
	return z.Close()
}

// ReadMasks reads what WriteMasks wrote, for arrays of the given shapes. An array of
// another name, type or shape is an error; names that the file has not are left out.
func ReadMasks(path string, shapes map[string]tensor.Shape) (map[string]tensor.Tensor, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fail(path, "%w", plainPathError(err))
	}
	defer z.Close()
	open := map[string]opener{}
	if err := zipOpeners(z.File, open); err != nil {
		return nil, fail(path, "%w", err)
	}
	out := map[string]tensor.Tensor{}
	for _, name := range sortedKeys(open) {
		shape, ok := shapes[name]
		if !ok {
			return nil, fail(path, "array %q: the model has no such weight", name)
		}
		if out[name], err = readMask(open[name], shape); err != nil {
			return nil, fail(path, "array %q: %w", name, err)
		}
	}
	if len(out) == 0 {
		return nil, fail(path, "no arrays")
	}
	return out, nil
}

func readMask(open opener, shape tensor.Shape) (tensor.Tensor, error) {
	r, _, err := open()
	if err != nil {
		return tensor.Tensor{}, err
	}
	defer r.Close()
	h, err := readNpyHeader(r)
	switch {
	case err != nil:
		return tensor.Tensor{}, err
	case h.dtype != tensor.Bool || h.fortran:
		return tensor.Tensor{}, fmt.Errorf("want booleans in C order")
	case !tensor.Shape(h.shape).Equal(shape):
		return tensor.Tensor{}, fmt.Errorf("shape %v, and the weight has %v", h.shape, shape)
	}
	n, err := shape.Elements()
	if err != nil {
		return tensor.Tensor{}, err
	}
	bools := make([]byte, n)
	if _, err := io.ReadFull(r, bools); err != nil {
		return tensor.Tensor{}, fmt.Errorf("truncated")
	}
	if err := ended(r); err != nil {
		return tensor.Tensor{}, err
	}
	v := make([]float32, n)
	for i, b := range bools {
		if b != 0 {
			v[i] = 1
		}
	}
	return tensor.Of(tensor.Float32, shape, v), nil
}

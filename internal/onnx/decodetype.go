package onnx

import (
	"fmt"

	"optim/internal/tensor"
)

// typeProto reads a TypeProto. Fields of types other than tensors are kept as
// they are, with their tags.
func typeProto(b []byte) (*Type, error) {
	t := &Type{}
	var once single
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			if err := once.first(f, "tensor_type"); err != nil {
				return err
			}
			inner, err := f.message("tensor_type")
			if err != nil {
				return err
			}
			return tensorType(inner, t)
		case 4, 5, 7, 8, 9:
			if err := f.want(protoMessage, "type"); err != nil {
				return err
			}
			t.Other = append(t.Other, f.raw...)
			return nil
		case 6:
			return f.setString(&t.Denotation, "denotation")
		}
		t.Unknown = append(t.Unknown, f.raw...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(once) > 0 && len(t.Other) > 0 {
		return nil, fmt.Errorf("the type is a tensor and something else at once")
	}
	return t, nil
}

func tensorType(b []byte, t *Type) error {
	var once single
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			var d int32
			if err := f.setInt32(&d, "elem_type"); err != nil {
				return err
			}
			if t.DType = tensor.DType(d); d != 0 && !t.DType.Valid() {
				return fmt.Errorf("elem_type %d does not exist", d)
			}
			return nil
		case 2:
			if err := once.first(f, "shape"); err != nil {
				return err
			}
			inner, err := f.message("shape")
			if err != nil {
				return err
			}
			t.HasShape = true
			return shapeProto(inner, t)
		}
		t.tensorUnknown = append(t.tensorUnknown, f.raw...)
		return nil
	})
}

func shapeProto(b []byte, t *Type) error {
	return eachField(b, func(f field) error {
		if f.num == 1 {
			return addMessage(f, "dim", dimension, &t.Dims)
		}
		t.shapeUnknown = append(t.shapeUnknown, f.raw...)
		return nil
	})
}

// dimension reads one Dimension. Some exporters write -1 for an unknown one.
func dimension(b []byte) (Dim, error) {
	dim := Dim{Value: -1}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			dim.Symbol = ""
			return f.setInt(&dim.Value, "dim_value")
		case 2:
			dim.Value = -1
			return f.setString(&dim.Symbol, "dim_param")
		case 3:
			return f.setString(&dim.Denotation, "denotation")
		}
		dim.Unknown = append(dim.Unknown, f.raw...)
		return nil
	})
	if err == nil && dim.Value < -1 {
		err = fmt.Errorf("dim_value %d is negative", dim.Value)
	}
	return dim, err
}

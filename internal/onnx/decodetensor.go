package onnx

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"optim/internal/tensor"
)

// tensorParts gathers the fields of a TensorProto that exclude each other.
type tensorParts struct {
	raw      []byte
	hasRaw   bool
	typed    []typedSpan
	owned    bool // the last of typed is memory of ours that may grow
	strings  [][]byte
	external []Property
	location int32
	segment  bool
}

func (d *decoder) tensor(b []byte) (*Tensor, error) {
	t := &Tensor{}
	var p tensorParts
	err := eachField(b, func(f field) error { return p.read(f, t) })
	if err == nil {
		err = d.place(t, &p)
	}
	if err != nil {
		return nil, t.errorf("%w", err)
	}
	return t, nil
}

func (p *tensorParts) read(f field, t *Tensor) (err error) {
	switch f.num {
	case 1:
		return f.addInts((*[]int64)(&t.Shape), "dims")
	case 2:
		return f.setInt32((*int32)(&t.DType), "data_type")
	case 3:
		p.segment = true
		return f.want(protowire.BytesType, "segment")
	case 4, 5, 7, 10, 11:
		return p.addTyped(f)
	case 6:
		p.strings = append(p.strings, bytes.Clone(f.bytes))
		return f.want(protowire.BytesType, "string_data")
	case 8:
		return f.setString(&t.Name, "name")
	case 9:
		p.hasRaw = true
		p.raw, err = f.message("raw_data")
		return err
	case 12:
		return f.setString(&t.Doc, "doc_string")
	case 13:
		return addMessage(f, "external_data", property, &p.external)
	case 14:
		return f.setInt32(&p.location, "data_location")
	case 16:
		return addMessage(f, "metadata_props", property, &t.Metadata)
	}
	t.Unknown = append(t.Unknown, f.raw...)
	return nil
}

// addTyped keeps one occurrence of a typed field. Values that are not packed
// are gathered, without their tags, into one span.
func (p *tensorParts) addTyped(f field) error {
	if f.typ == protowire.BytesType {
		if len(f.bytes) > 0 {
			p.typed = append(p.typed, typedSpan{f.num, f.bytes})
			p.owned = false
		}
		return nil
	}
	typ := protowire.VarintType
	switch f.num {
	case 4:
		typ = protowire.Fixed32Type
	case 10:
		typ = protowire.Fixed64Type
	}
	if err := f.want(typ, fieldNames[f.num]); err != nil {
		return err
	}
	if n := len(p.typed); p.owned && p.typed[n-1].field == f.num {
		p.typed[n-1].payload = append(p.typed[n-1].payload, f.body...)
		return nil
	}
	p.typed = append(p.typed, typedSpan{f.num, bytes.Clone(f.body)})
	p.owned = true
	return nil
}

// place decides where the elements are, and checks that they fit.
func (d *decoder) place(t *Tensor, p *tensorParts) error {
	if p.segment {
		return errors.New("tensors in segments are not supported")
	}
	if p.location != 0 && p.location != 1 {
		return fmt.Errorf("data_location %d does not exist", p.location)
	}
	if err := p.exclusive(); err != nil {
		return err
	}
	switch {
	case p.location == 1:
		t.store = storage{kind: storeExternal, external: p.external}
		d.external = append(d.external, t)
	case p.hasRaw:
		t.setRaw(d.src, d.offset(p.raw), int64(len(p.raw)))
	case len(p.strings) > 0:
		t.store = storage{kind: storeStrings, strings: p.strings}
	case len(p.typed) == 1 && !p.owned && p.typed[0].field == typedField(t.DType) && fieldWidth(p.typed[0].field) > 0:
		// Packed floats have the very bytes of raw_data.
		if err := t.checkSpans(p.typed); err != nil {
			return err
		}
		t.setRaw(d.src, d.offset(p.typed[0].payload), int64(len(p.typed[0].payload)))
	case len(p.typed) > 0:
		t.store = storage{kind: storeTyped, src: d.src, typed: p.typed}
		if err := t.checkData(); err != nil {
			return err
		}
		return checkValues(t.DType, p.typed)
	}
	return t.checkData()
}

// exclusive reports data that is given twice.
func (p *tensorParts) exclusive() error {
	first := ""
	set := func(yes bool, name string) error {
		if !yes {
			return nil
		}
		if first != "" && first != name {
			return fmt.Errorf("%s and %s are both set", first, name)
		}
		first = name
		return nil
	}
	err := errors.Join(
		set(p.location == 1, "external_data"),
		set(p.hasRaw, fieldNames[9]),
		set(len(p.strings) > 0, fieldNames[6]))
	for _, s := range p.typed {
		if err == nil {
			err = set(true, fieldNames[s.field])
		}
	}
	return err
}

// checkSpans checks typed data against the type and shape of t.
func (t *Tensor) checkSpans(spans []typedSpan) error {
	probe := Tensor{DType: t.DType, Shape: t.Shape, store: storage{kind: storeTyped, typed: spans}}
	return probe.checkData()
}

func (d *decoder) sparse(b []byte) (*SparseTensor, error) {
	s := &SparseTensor{}
	var once single
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			if err := once.first(f, "values"); err != nil {
				return err
			}
			return readMessage(f, "values", d.tensor, &s.Values)
		case 2:
			if err := once.first(f, "indices"); err != nil {
				return err
			}
			return readMessage(f, "indices", d.tensor, &s.Indices)
		case 3:
			return f.addInts((*[]int64)(&s.Dims), "dims")
		}
		s.Unknown = append(s.Unknown, f.raw...)
		return nil
	})
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return nil, fmt.Errorf("sparse tensor: %w", err)
	}
	return s, nil
}

// check reports a sparse tensor that lacks a part or whose parts do not fit:
// NNZ values, and either NNZ linear indices or [NNZ, rank] coordinates.
func (s *SparseTensor) check() error {
	if s.Values == nil || s.Indices == nil {
		return errors.New("values or indices are missing")
	}
	if _, err := s.Dims.Elements(); err != nil {
		return err
	}
	if s.Indices.DType != tensor.Int64 {
		return fmt.Errorf("indices are %s, not int64", s.Indices.DType)
	}
	nnz := tensor.Shape{s.Values.Elements()}
	full := append(nnz.Clone(), int64(len(s.Dims)))
	if !s.Values.Shape.Equal(nnz) || !s.Indices.Shape.Equal(nnz) && !s.Indices.Shape.Equal(full) {
		return fmt.Errorf("values %v and indices %v do not fit each other", s.Values.Shape, s.Indices.Shape)
	}
	return nil
}

package dataset

import (
	"bytes"
	"strings"
	"testing"

	"optim/internal/tensor"
)

func TestNpyHeader(t *testing.T) {
	tests := []struct {
		dict  string
		want  npyHeader
		error string
	}{
		{dict: `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, want: npyHeader{dtype: tensor.Float32, shape: tensor.Shape{2, 3}}},
		{dict: `{"shape":(7,),"fortran_order":True,"descr":">i8"}` + "\n", want: npyHeader{dtype: tensor.Int64, big: true, fortran: true, shape: tensor.Shape{7}}},
		{dict: `{'descr': '|u1', 'fortran_order': False, 'shape': ()}`, want: npyHeader{dtype: tensor.Uint8, shape: tensor.Shape{}}},
		{dict: `{'descr': '?', 'fortran_order': False, 'shape': (3L, 0L)}`, want: npyHeader{dtype: tensor.Bool, shape: tensor.Shape{3, 0}}},
		{dict: `{'descr': '|O', 'fortran_order': False, 'shape': (2,)}`, error: `unsupported element type "|O"`},
		{dict: `{'descr': '<U5', 'fortran_order': False, 'shape': (2,)}`, error: "unsupported"},
		{dict: `{'descr': '<<f4', 'fortran_order': False, 'shape': (2,)}`, error: "unsupported"},
		{dict: `{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}`, error: "structured"},
		{dict: `{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}`, error: "True or False"},
		{dict: `{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}`, error: "bad shape"},
		{dict: `{'descr': '<f4', 'fortran_order': False, 'shape': (2`, error: "unfinished"},
		{dict: `{'descr': '<f4', 'fortran_order': False}`, error: "incomplete"},
		{dict: `{'descr': '<f4', 'descr': '<f4', 'shape': (2,)}`, error: "twice"},
		{dict: `{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x`, error: "followed by"},
		{dict: `{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}`, error: `unknown key "x"`},
		{dict: `{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8)}`, error: "overflow"},
		{dict: `{'descr': '<f4', 'fortran_order': False, 'shape': (` + strings.Repeat("1,", 33) + `)}`, error: "bad shape"},
		{dict: "", error: `want "{"`},
	}
	for _, tt := range tests {
		got, err := parseNpyDict([]byte(tt.dict))
		if tt.error != "" {
			if err == nil || !strings.Contains(err.Error(), tt.error) {
				t.Errorf("%s: got %v, want error %q", tt.dict, err, tt.error)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.dict, err)
			continue
		}
		w := tt.want
		if got.dtype != w.dtype || got.big != w.big || got.fortran != w.fortran || !got.shape.Equal(w.shape) {
			t.Errorf("%s: got %+v, want %+v", tt.dict, got, w)
		}
	}
}

func TestNpyMagic(t *testing.T) {
	good := npy("<f4", false, []int64{2}, nil)
	for n := range good {
		if _, err := readNpyHeader(bytes.NewReader(good[:n])); err == nil {
			t.Errorf("a header cut after %d of %d bytes was read", n, len(good))
		}
	}
	for _, tt := range []struct {
		at   int
		to   byte
		want string
	}{{0, 'x', "not a .npy"}, {6, 9, "version 9"}, {9, 255, "truncated"}} {
		bad := bytes.Clone(good)
		bad[tt.at] = tt.to
		if _, err := readNpyHeader(bytes.NewReader(bad)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("byte %d: got %v, want %q", tt.at, err, tt.want)
		}
	}
	huge := []byte("\x93NUMPY\x02\x00\xff\xff\xff\xff")
	if _, err := readNpyHeader(bytes.NewReader(huge)); err == nil || !strings.Contains(err.Error(), "4294967295 bytes") {
		t.Errorf("a header of 4 GiB: %v", err)
	}
}

func FuzzNpyHeader(f *testing.F) {
	f.Add(npy("<f4", false, []int64{2, 3}, nil))
	f.Add(npy(">i8", true, []int64{0}, []byte{1}))
	f.Add([]byte("\x93NUMPY\x03\x00\x02\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := readNpyHeader(bytes.NewReader(data))
		if err != nil {
			return
		}
		if _, err := h.shape.Bytes(h.dtype); err != nil || h.size > int64(len(data)) {
			t.Errorf("header %+v of %d bytes: %v", h, len(data), err)
		}
	})
}

// FuzzNpz reads whole files: whatever they are, there is no panic, and samples
// have the model's shape.
func FuzzNpz(f *testing.F) {
	row := make([]byte, 24)
	f.Add(npz(entry{"input", npy("<f4", false, []int64{1, 1, 2, 3}, row)}), false)
	f.Add(npz(entry{"input", npy("|u1", true, []int64{4, 1, 2, 3}, row)}, entry{"label", npy("<i4", false, []int64{4}, row[:16])}), false)
	f.Add(npy(">f2", false, []int64{2, 1, 2, 3}, row), true)
	f.Fuzz(func(t *testing.T, data []byte, single bool) {
		name := "f.npz"
		if single {
			name = "f.npy"
		}
		s, err := Open(writeFile(t, name, data), vision, Options{Samples: 10})
		if err != nil {
			return
		}
		defer s.Close()
		for {
			sample, err := s.Next()
			if err != nil {
				return
			}
			if in := sample.Inputs["input"]; !in.Shape.Equal(tensor.Shape{1, 1, 2, 3}) || len(in.Data) != 24 {
				t.Errorf("a sample of shape %v with %d bytes", in.Shape, len(in.Data))
			}
		}
	})
}

package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// stored returns a file with a header and so many bytes of data.
func stored(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

var badFiles = []struct {
	want string
	file []byte
}{
	{"too few", nil},
	{"larger than", binary.LittleEndian.AppendUint64(nil, 1<<62)},
	{"ends beyond", binary.LittleEndian.AppendUint64(nil, 9)},
	{"does not begin", stored("", 0)},
	{"does not begin", stored(" {}", 0)},
	{"header", stored("{", 0)},
	{"something follows", stored("{}{}", 0)},
	{"occurs twice", stored(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2)},
	{"are needed", stored(`{"a":{"dtype":"U8","shape":[1]}}`, 1)},
	{"are needed", stored(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}`, 1)},
	{"are needed", stored(`{"a":null}`, 1)},
	{"header", stored(`{"a":{"dtype":"U8","shape":[0.5],"data_offsets":[0,1]}}`, 1)},
	{"do not lie within", stored(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 1)},
	{"do not lie within", stored(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[1,0]}}`, 1)},
	{"do not lie within", stored(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}`, 1)},
	{"needs 8", stored(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4)},
	{"negative", stored(`{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}`, 0)},
	{"overflow", stored(`{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0)},
	{"overflow", stored(`{"a":{"dtype":"XX","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0)},
	{"dimensions", stored(`{"a":{"dtype":"U8","shape":[`+strings.Repeat("1,", 64)+`1],"data_offsets":[0,1]}}`, 1)},
	{"begins at byte 0", stored(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2)},
	{"begins at byte 1", stored(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2)},
	{"1 bytes follow", stored(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2)},
	{"__metadata__", stored(`{"__metadata__":{"a":1}}`, 0)},
}

func TestParseBad(t *testing.T) {
	for _, c := range badFiles {
		if _, err := parse(c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q gives %v, not %q", c.file, err, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	b := stored(`{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[],"data_offsets":[4,6]},"a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"c":{"dtype":"F4","shape":[2],"data_offsets":[6,7]}}  `, 7)
	copy(b[len(b)-7:], []byte{1, 2, 3, 4, 5, 6, 7})
	list, err := parse(b)
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	for i, want := range []string{"a float32 [1x1] [1 2 3 4]", "b float16 [] [5 6]", "c undefined [2] [7]"} {
		if got := fmt.Sprint(list[i].Name, " ", list[i].DType, " ", list[i].Shape, " ", list[i].data); got != want {
			t.Errorf("tensor %d is %s, not %s", i, got, want)
		}
	}
	if _, err := list[2].Value(); err == nil {
		t.Error("values of an unknown type were given")
	}
}

// FuzzParse: tensors lie within the file, do not overlap and cover it; nothing
// panics.
func FuzzParse(f *testing.F) {
	for _, c := range badFiles {
		f.Add(c.file)
	}
	f.Add(stored(`{"a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[],"data_offsets":[4,6]}}`, 6))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parse(b)
		if err != nil {
			if list != nil {
				t.Fatal("tensors came with an error")
			}
			return
		}
		n := binary.LittleEndian.Uint64(b)
		total := 0
		for _, v := range list {
			total += len(v.data)
			if val, err := v.Value(); err == nil && len(val.Data) > 0 && !bytes.Contains(b[8+n:], val.Data) {
				t.Fatal("data from elsewhere")
			}
		}
		if total != len(b)-8-int(n) {
			t.Fatalf("%d bytes of %d", total, len(b))
		}
	})
}

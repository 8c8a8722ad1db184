package dataset

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"optim/internal/tensor"
)

// TestChecksum: an array whose bytes are not those that were written is refused.
func TestChecksum(t *testing.T) {
	shape := tensor.Shape{3, 8}
	var b bytes.Buffer
	if err := WriteMasks(&b, map[string]tensor.Tensor{"m": tensor.Of(tensor.Float32, shape, make([]float32, 24))}); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	at := bytes.LastIndex(whole, []byte("PK\x01\x02")) + 16 // the checksum in the directory
	for name, file := range map[string][]byte{"whole": whole, "damaged": append(append(bytes.Clone(whole[:at]), whole[at]^1), whole[at+1:]...)} {
		path := filepath.Join(t.TempDir(), "m.npz")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadMasks(path, map[string]tensor.Shape{"m": shape})
		if (err == nil) != (name == "whole") || err != nil && !errors.Is(err, zip.ErrChecksum) {
			t.Errorf("%s: %v", name, err)
		}
		z, err := zip.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		open := map[string]opener{}
		if err := zipOpeners(z.File, open); err != nil {
			t.Fatal(err)
		}
		a, err := openArray(open["m"])
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, err = a.next(tensor.Bool)
		}
		a.close()
		if (err == nil) != (name == "whole") {
			t.Errorf("%s, row by row: %v", name, err)
		}
	}
}

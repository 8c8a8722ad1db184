package distill

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/zeebo/xxh3"

	"optim/internal/tensor"
)

// cache keeps on disk what the teacher gives for each sample, a record each. Its file
// has a name of its own until all samples are in it, so that a half one is never taken
// for a whole one.
type cache struct {
	file    *os.File
	final   string
	have    []bool
	missing int
	list    []column
	size    int64
	buffer  []byte
}

// column is one value of the teacher: memory [batch, …], of which each sample has a
// part. With top > 0 it is logits, of which the greatest are kept.
type column struct {
	memory  tensor.Tensor
	row     int // bytes of a sample
	classes int
	top     int
}

// openCache keeps values, whose first axis is the batch, by their names; of logits, the one
// of that name, the top greatest of each position, or with 0 all.
func openCache(folder, identity string, samples int, values map[string]tensor.Tensor, logits string, top int) (*cache, error) {
	c := &cache{have: make([]bool, samples), missing: samples}
	key := fmt.Sprintf("%s %d %d", identity, samples, top)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		t := values[name]
		col := column{memory: t, row: len(t.Data) / int(t.Shape[0]), classes: int(t.Shape[len(t.Shape)-1])}
		if name == logits && top > 0 && top < col.classes {
			col.top = top
		}
		c.list = append(c.list, col)
		c.size += int64(col.bytes())
		key += fmt.Sprintf(" %q %v", name, t.Shape[1:])
	}
	c.buffer = make([]byte, c.size)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	sum := xxh3.Hash128([]byte(key)).Bytes()
	c.final = filepath.Join(folder, "teacher-"+hex.EncodeToString(sum[:])+".bin")
	if f, err := os.Open(c.final); err == nil {
		if info, err := f.Stat(); err == nil && info.Size() == c.size*int64(samples) {
			c.file, c.missing = f, 0
			return c, nil
		}
		f.Close()
	}
	f, err := os.CreateTemp(folder, ".teacher-*")
	if err != nil {
		return nil, err
	}
	c.file = f
	return c, nil
}

// bytes is the size of a sample's part of a record. Of logits: values, indices and the
// logarithm of what the others share.
func (c column) bytes() int {
	if c.top == 0 {
		return c.row
	}
	return c.row / 4 / c.classes * (8*c.top + 4)
}

// read fills the batch, if all of its samples are there.
func (c *cache) read(samples []int) (bool, error) {
	for _, s := range samples {
		if c.missing > 0 && !c.have[s] {
			return false, nil
		}
	}
	for i, s := range samples {
		if _, err := c.file.ReadAt(c.buffer, int64(s)*c.size); err != nil {
			return false, fmt.Errorf("teacher's cache %s: %w", c.file.Name(), err)
		}
		at := 0
		for _, col := range c.list {
			n := col.bytes()
			col.decode(i, c.buffer[at:at+n])
			at += n
		}
	}
	return true, nil
}

// write keeps the batch.
func (c *cache) write(samples []int) error {
	for i, s := range samples {
		at := 0
		for _, col := range c.list {
			n := col.bytes()
			col.encode(i, c.buffer[at:at+n])
			at += n
		}
		if _, err := c.file.WriteAt(c.buffer, int64(s)*c.size); err != nil {
			return fmt.Errorf("teacher's cache: %w", err)
		}
		if !c.have[s] {
			c.have[s] = true
			c.missing--
		}
	}
	if c.missing > 0 {
		return nil
	}
	if err := c.file.Sync(); err != nil {
		return err
	}
	return os.Rename(c.file.Name(), c.final)
}

func (c *cache) close() {
	name := c.file.Name()
	err := c.file.Close()
	if c.missing > 0 {
		_ = errors.Join(err, os.Remove(name))
	}
}

func (c column) part(i int) []byte { return c.memory.Data[i*c.row : (i+1)*c.row] }

// encode writes row i of the batch into a record.
func (c column) encode(i int, out []byte) {
	if c.top == 0 {
		copy(out, c.part(i))
		return
	}
	v := tensor.As[float32](c.part(i))
	order := make([]int32, c.classes)
	for p := 0; p < len(v); p += c.classes {
		row := v[p : p+c.classes]
		for j := range order {
			order[j] = int32(j)
		}
		slices.SortFunc(order, func(a, b int32) int { return cmp.Or(cmp.Compare(row[b], row[a]), cmp.Compare(a, b)) })
		high := float64(row[order[0]])
		rest := 0.0
		for _, j := range order[c.top:] {
			rest += math.Exp(float64(row[j]) - high)
		}
		values, indices := make([]float32, c.top+1), order[:c.top]
		for k, j := range indices {
			values[k] = row[j]
		}
		// Each of the others gets an equal part of their probability.
		values[c.top] = float32(high + math.Log(max(rest/float64(c.classes-c.top), math.SmallestNonzeroFloat32)))
		out = out[copy(out, tensor.AsBytes(values)):]
		out = out[copy(out, tensor.AsBytes(indices)):]
	}
}

func (c column) decode(i int, in []byte) {
	if c.top == 0 {
		copy(c.part(i), in)
		return
	}
	v := tensor.As[float32](c.part(i))
	for p := 0; p < len(v); p += c.classes {
		row := v[p : p+c.classes]
		values, indices := tensor.As[float32](in[:4*(c.top+1)]), tensor.As[int32](in[4*(c.top+1):8*c.top+4])
		for j := range row {
			row[j] = values[c.top]
		}
		for k, j := range indices {
			if j >= 0 && int(j) < len(row) {
				row[j] = values[k]
			}
		}
		in = in[8*c.top+4:]
	}
}

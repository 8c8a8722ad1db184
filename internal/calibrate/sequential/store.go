package sequential

import (
	"fmt"
	"os"

	"optim/internal/tensor"
)

// store keeps tensors by key: in memory as far as its budget goes, beyond that in
// a temporary file that has no name.
type store struct {
	budget int64
	memory map[string][]byte
	shapes map[string]tensor.Tensor // without data
	file   *os.File
	slots  map[string]slot
	free   map[int64][]int64 // offsets of slots that may be used again, by size
	end    int64
}

type slot struct{ at, size int64 }

func newStore(budget int64) *store {
	return &store{budget: budget, memory: map[string][]byte{}, shapes: map[string]tensor.Tensor{}, slots: map[string]slot{}, free: map[int64][]int64{}}
}

// put keeps a copy of t's data.
func (s *store) put(key string, t tensor.Tensor) error {
	s.drop(key)
	size := int64(len(t.Data))
	s.shapes[key] = tensor.Tensor{DType: t.DType, Shape: t.Shape}
	if size <= s.budget {
		s.budget -= size
		s.memory[key] = append([]byte(nil), t.Data...)
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "optim-activations-")
		if err != nil {
			return fmt.Errorf("a file for activations: %w", err)
		}
		s.file = f
		if err := os.Remove(f.Name()); err != nil {
			return fmt.Errorf("a file for activations: %w", err)
		}
	}
	at := s.end
	if list := s.free[size]; len(list) > 0 {
		at, s.free[size] = list[len(list)-1], list[:len(list)-1]
	} else {
		s.end += size
	}
	s.slots[key] = slot{at, size}
	if _, err := s.file.WriteAt(t.Data, at); err != nil {
		return fmt.Errorf("keep activations in a temporary file: %w", err)
	}
	return nil
}

// get returns what was put.
func (s *store) get(key string) (tensor.Tensor, error) {
	t, ok := s.shapes[key]
	if !ok {
		return t, fmt.Errorf("%s was not kept", key)
	}
	if b, ok := s.memory[key]; ok {
		t.Data = b
		return t, nil
	}
	at := s.slots[key]
	t.Data = make([]byte, at.size)
	if _, err := s.file.ReadAt(t.Data, at.at); err != nil {
		return t, fmt.Errorf("read kept activations: %w", err)
	}
	return t, nil
}

// drop gives the room of a key back.
func (s *store) drop(key string) {
	if b, ok := s.memory[key]; ok {
		s.budget += int64(len(b))
		delete(s.memory, key)
	}
	if at, ok := s.slots[key]; ok {
		s.free[at.size] = append(s.free[at.size], at.at)
		delete(s.slots, key)
	}
	delete(s.shapes, key)
}

func (s *store) close() {
	if s.file != nil {
		s.file.Close()
	}
}

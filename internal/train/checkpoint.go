package train

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/zeebo/xxh3"

	"optim/internal/tensor"
)

// ErrCheckpoint says that a checkpoint cannot be taken up.
var ErrCheckpoint = errors.New("cannot resume")

const checkpointMagic = "optim checkpoint 1\n"

// saved is the header of a checkpoint; the numbers follow it, and a hash of all.
type saved struct {
	Identity string   `json:"identity"`
	Where    string   `json:"environment"`
	Step     int      `json:"step"`
	Outcome  *Outcome `json:"outcome"`
	Sum      mean     `json:"sum"`
	Means    mean     `json:"epoch"`
	Since    int      `json:"since"`
	Best     bool     `json:"best_kept"`
	Sizes    []int    `json:"sizes"`
}

// buffers lists all numbers that steps change, in a fixed order.
func (t *Trainer) buffers() [][]float32 {
	out := [][]float32{t.w.value}
	out = append(out, t.opt.moments...)
	for _, name := range sorted(t.state) {
		out = append(out, t.state[name])
	}
	return out
}

// snapshot copies the weights and running statistics.
func (t *Trainer) snapshot() []float32 {
	out := slices.Clone(t.w.value)
	for _, name := range sorted(t.state) {
		out = append(out, t.state[name]...)
	}
	return out
}

func (t *Trainer) restore(s []float32) {
	s = s[copy(t.w.value, s):]
	for _, name := range sorted(t.state) {
		s = s[copy(t.state[name], s):]
	}
}

// save writes the checkpoint beside its place and renames it, so that there is a whole
// one at every moment.
func (l *Loop) save(out *Outcome, best []float32) error {
	l.saved = time.Now()
	if l.Checkpoint == "" {
		return nil
	}
	h := saved{
		Identity: l.Identity, Where: l.Environment, Step: l.Trainer.done, Outcome: out, Sum: out.sum, Means: out.epoch, Since: out.since, Best: best != nil,
	}
	buffers := l.Trainer.buffers()
	if best != nil {
		buffers = append(buffers, best)
	}
	for _, b := range buffers {
		h.Sizes = append(h.Sizes, len(b))
	}
	f, err := os.CreateTemp(filepath.Dir(l.Checkpoint), ".checkpoint-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(writeCheckpoint(f, h, buffers), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("checkpoint %s: %w", l.Checkpoint, err)
	}
	return os.Rename(f.Name(), l.Checkpoint)
}

func writeCheckpoint(f io.Writer, h saved, buffers [][]float32) error {
	hash := xxh3.New128()
	w := io.MultiWriter(f, hash)
	head, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%s%s\n", checkpointMagic, head); err != nil {
		return err
	}
	for _, b := range buffers {
		if _, err := w.Write(tensor.AsBytes(b)); err != nil {
			return err
		}
	}
	sum := hash.Sum128().Bytes()
	_, err = f.Write(sum[:])
	return err
}

// load takes the checkpoint up.
func (l *Loop) load() (*Outcome, []float32, error) {
	fail := func(format string, args ...any) (*Outcome, []float32, error) {
		return nil, nil, fmt.Errorf("%w from %s: %s", ErrCheckpoint, l.Checkpoint, fmt.Sprintf(format, args...))
	}
	f, err := os.Open(l.Checkpoint)
	if err != nil {
		return fail("%v", err)
	}
	defer f.Close()
	hash := xxh3.New128()
	file := bufio.NewReaderSize(f, 1<<20)
	r := io.TeeReader(file, hash)
	h, err := readHeader(r)
	if err != nil {
		return fail("%v", err)
	}
	if h.Identity != l.Identity {
		return fail("it belongs to another training (%s, this is %s)", h.Identity, l.Identity)
	}
	buffers := l.Trainer.buffers()
	var best []float32
	if h.Best {
		best = l.Trainer.snapshot()
		buffers = append(buffers, best)
	}
	if len(buffers) != len(h.Sizes) {
		return fail("it has %d lists of numbers, not %d", len(h.Sizes), len(buffers))
	}
	// All is read before anything is changed.
	var read [][]float32
	for i, b := range buffers {
		if len(b) != h.Sizes[i] {
			return fail("list %d has %d numbers, not %d", i, h.Sizes[i], len(b))
		}
		v := make([]float32, len(b))
		if _, err := io.ReadFull(r, tensor.AsBytes(v)); err != nil {
			return fail("it is truncated")
		}
		read = append(read, v)
	}
	want := hash.Sum128().Bytes()
	var got [16]byte
	if _, err := io.ReadFull(file, got[:]); err != nil || got != want {
		return fail("it is damaged: its hash is another")
	}
	for i, b := range buffers {
		copy(b, read[i])
	}
	l.Trainer.done = h.Step
	out := h.Outcome
	out.Moved = out.Moved || h.Where != l.Environment
	out.sum, out.epoch, out.since = h.Sum, h.Means, h.Since
	return out, best, nil
}

// readHeader reads the magic and the line of JSON byte by byte, as what follows is
// hashed while it is read.
func readHeader(r io.Reader) (saved, error) {
	var h saved
	magic := make([]byte, len(checkpointMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != checkpointMagic {
		return h, errors.New("it is no checkpoint")
	}
	var line []byte
	one := make([]byte, 1)
	for len(line) < 64<<20 {
		if _, err := io.ReadFull(r, one); err != nil {
			return h, errors.New("it is truncated")
		}
		if one[0] == '\n' {
			if err := json.Unmarshal(line, &h); err != nil || h.Outcome == nil || h.Step < 0 {
				return h, errors.New("its header is damaged")
			}
			return h, nil
		}
		line = append(line, one[0])
	}
	return h, errors.New("its header is damaged")
}

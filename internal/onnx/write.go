package onnx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// maxMessage is the most that a protobuf message, and so a model without
// external data, may hold.
const maxMessage = 1<<31 - 1

// Limits of external data. The specification recommends page alignment, so
// that readers can map the tensors.
const (
	externalMin = 1 << 10  // smaller tensors stay in the model
	pageFrom    = 64 << 10 // tensors from here on begin on a page
	pageAlign   = 4096
	smallAlign  = 64
)

// ErrTooLarge says that a model without external data would be larger than
// protobuf allows.
var ErrTooLarge = errors.New("the model is larger than 2 GB, which needs external data")

// WriteOptions say how a model is written.
type WriteOptions struct {
	// External is "auto" (or empty): external data only above 2 GB; "always":
	// weights from 1 KiB on in one data file; "never".
	External string
	// DataPath is the data file to write; DataLocation the name of it that the
	// model records, relative to the model's folder (default: the base name).
	DataPath, DataLocation string
	Workers                int // that compute tensors; 0: one per processor
	Progress               func(done, total int64)
	Context                context.Context // nil: cannot be cancelled
}

// WriteResult says what was written.
type WriteResult struct {
	Size     int64  // bytes of the model file
	DataSize int64  // bytes of the data file
	External bool   // a data file was written
	Hash     string // as Model.Hash of the files written
}

// layout gives tensors their places in the data file.
type layout struct {
	location string
	holes    []hole  // hole.at is not used
	offsets  []int64 // of the holes
	size     int64
}

// place is an encoder's refer function.
func (l *layout) place(t *Tensor) (string, int64, bool) {
	n := t.Size()
	if n < externalMin {
		return "", 0, false
	}
	align := int64(smallAlign)
	if n >= pageFrom {
		align = pageAlign
	}
	offset := (l.size + align - 1) / align * align
	l.holes = append(l.holes, hole{t: t, n: n})
	l.offsets = append(l.offsets, offset)
	l.size = offset + n
	return l.location, offset, true
}

// write writes the data file.
func (l *layout) write(s *stream, p *prefetch) error {
	for i, h := range l.holes {
		if err := s.zeros(l.offsets[i] - s.n); err != nil {
			return err
		}
		if err := s.tensor(h, p); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile writes the model to path, and its data to o.DataPath if it needs or
// is to have external data. It streams: beside the headers only the tensors
// that workers compute ahead are in memory. The files are synced; on error
// what was written is removed. It refuses to write over a file that the
// tensors of the model lie in.
func (m *Model) WriteFile(path string, o WriteOptions) (WriteResult, error) {
	msg, data, err := m.encode(path, o)
	if err != nil {
		return WriteResult{}, fmt.Errorf("%s: %w", path, err)
	}
	w := &writer{o: o, ctx: o.Context, total: msg.size()}
	if w.ctx == nil {
		w.ctx = context.Background()
	}
	if w.o.Workers <= 0 {
		w.o.Workers = runtime.GOMAXPROCS(0)
	}
	var r WriteResult
	var sums []sum
	if data != nil {
		w.total += data.size
		s, err := w.file(o.DataPath, data.holes, m, data.write)
		if err != nil {
			return WriteResult{}, err
		}
		r.External, r.DataSize = true, s.n
		sums = append(sums, s.sum())
	}
	s, err := w.file(path, msg.holes, m, func(s *stream, p *prefetch) error { return s.message(msg, p) })
	if err != nil {
		if data != nil {
			err = errors.Join(err, os.Remove(o.DataPath))
		}
		return WriteResult{}, err
	}
	r.Size = s.n
	r.Hash = combine(s.sum(), sums)
	return r, nil
}

// encode makes the headers and, if there is to be one, the layout of the data
// file.
func (m *Model) encode(path string, o WriteOptions) (*message, *layout, error) {
	switch o.External {
	case "", "auto", "never", "always":
	default:
		return nil, nil, fmt.Errorf("external data %q is none of auto, always, never", o.External)
	}
	if o.External != "always" {
		msg, err := (&encoder{}).model(m)
		if err != nil {
			return nil, nil, err
		}
		if msg.size() <= maxMessage {
			return msg, nil, nil
		}
		if o.External == "never" {
			return nil, nil, ErrTooLarge
		}
	}
	l := &layout{location: o.DataLocation}
	if l.location == "" {
		l.location = filepath.Base(o.DataPath)
	}
	if o.DataPath == "" || filepath.Clean(o.DataPath) == filepath.Clean(path) || !filepath.IsLocal(l.location) {
		return nil, nil, fmt.Errorf("external data needs a file of its own in the model's folder, not %q", l.location)
	}
	l.location = filepath.ToSlash(l.location)
	msg, err := (&encoder{refer: l.place}).model(m)
	if err != nil {
		return nil, nil, err
	}
	if msg.size() > maxMessage {
		return nil, nil, fmt.Errorf("without its weights still: %w", ErrTooLarge)
	}
	if len(l.holes) == 0 {
		return msg, nil, nil
	}
	return msg, l, nil
}

// writer writes the files of one model.
type writer struct {
	o           WriteOptions
	ctx         context.Context
	done, total int64
}

func (w *writer) note(n int) {
	w.done += int64(n)
	if w.o.Progress != nil {
		w.o.Progress(w.done, w.total)
	}
}

// file writes one file, of which holes are the tensors.
func (w *writer) file(path string, holes []hole, m *Model, write func(*stream, *prefetch) error) (s *stream, err error) {
	if err := notSource(path, m, holes); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("%s: create: %w", path, pathless(err))
	}
	p := newPrefetch(w.ctx, holes, w.o.Workers, prefetchBudget)
	defer p.stop()
	s = newStream(w.ctx, io.Writer(f), w.note)
	err = write(s, p)
	if err == nil {
		err = pathless(f.Sync())
	}
	if e := f.Close(); err == nil {
		err = pathless(e)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: write: %w", path, err), os.Remove(path))
	}
	return s, nil
}

// notSource reports that path is a file which the model or one of the tensors
// to be written aliases: writing over it would destroy what is read.
func notSource(path string, m *Model, holes []hole) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // it does not exist, or creating it will say why not
	}
	if err := wantRegular(info); err != nil {
		return err
	}
	is := func(src *mapping) bool { return src != nil && src.info != nil && os.SameFile(info, src.info) }
	found := false
	if m.files != nil {
		for _, src := range m.files.maps {
			found = found || is(src)
		}
	}
	for _, h := range holes {
		found = found || is(h.t.store.src)
	}
	if found {
		return errors.New("is a file that the model is read from")
	}
	return nil
}

// Marshal returns the model as one ModelProto with all its data, for models of
// up to 2 GB. References to external data that was not looked for (see Parse)
// are kept.
func (m *Model) Marshal() ([]byte, error) {
	return m.marshal(&encoder{dangling: true})
}

func (m *Model) marshal(e *encoder) ([]byte, error) {
	msg, err := e.model(m)
	if err != nil {
		return nil, err
	}
	if msg.size() > maxMessage {
		return nil, ErrTooLarge
	}
	out := make([]byte, 0, msg.size())
	err = msg.each(
		func(b []byte) error { out = append(out, b...); return nil },
		func(h hole) error {
			if needsWork(h.t) {
				start := len(out)
				out = out[:start+int(h.n)]
				return h.t.compute(out[start:])
			}
			b, err := h.t.Bytes()
			out = append(out, b...)
			return err
		})
	if err != nil {
		return nil, err
	}
	return out, nil
}

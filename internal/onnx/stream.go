package onnx

import (
	"context"
	"encoding/hex"
	"io"

	"github.com/zeebo/xxh3"
)

// chunk is how much of a mapped tensor is written before its pages are given
// back.
const chunk = 4 << 20

// stream writes messages and tensor data to one file, hashing what it writes.
type stream struct {
	ctx  context.Context
	w    io.Writer
	hash *xxh3.Hasher128
	n    int64
	note func(n int) // told of bytes written
}

func newStream(ctx context.Context, w io.Writer, note func(int)) *stream {
	return &stream{ctx: ctx, w: w, hash: xxh3.New128(), note: note}
}

// bytes writes b.
func (s *stream) bytes(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := s.ctx.Err(); err != nil {
		return context.Cause(s.ctx)
	}
	n, err := s.w.Write(b)
	s.n += int64(n)
	if err != nil {
		return pathless(err)
	}
	// The hash never fails.
	_, _ = s.hash.Write(b)
	if s.note != nil {
		s.note(n)
	}
	return nil
}

// zeros writes n zero bytes, n below the largest alignment.
func (s *stream) zeros(n int64) error { return s.bytes(zeroPage[:n]) }

var zeroPage [pageAlign]byte

// tensor writes the data of a hole, from its file or from the workers.
func (s *stream) tensor(h hole, p *prefetch) error {
	if needsWork(h.t) {
		j, err := p.take()
		if err != nil {
			return err
		}
		defer p.put(j)
		return s.chunks(j.buf, nil)
	}
	b, err := h.t.Bytes()
	if err != nil {
		return err
	}
	src, off := h.t.store.src, h.t.store.off
	return s.chunks(b, func(at, n int) {
		// A page more: the one that the chunk before ended in.
		back := min(int64(at), pageAlign)
		src.release(off+int64(at)-back, int64(n)+back)
	})
}

// chunks writes b in pieces, and tells done of each.
func (s *stream) chunks(b []byte, done func(at, n int)) error {
	for at := 0; at < len(b); at += chunk {
		n := min(chunk, len(b)-at)
		if err := s.bytes(b[at : at+n]); err != nil {
			return err
		}
		if done != nil {
			done(at, n)
		}
	}
	return nil
}

// message writes a message with its data.
func (s *stream) message(m *message, p *prefetch) error {
	return m.each(s.bytes, func(h hole) error { return s.tensor(h, p) })
}

// sum is the hash of a stream of bytes.
type sum [16]byte

func (s *stream) sum() sum { return s.hash.Sum128().Bytes() }

// combine makes one hash of those of a model file and its data files. Without
// data files it is that of the model file itself.
func combine(model sum, data []sum) string {
	if len(data) == 0 {
		return hex.EncodeToString(model[:])
	}
	h := xxh3.New128()
	_, _ = h.Write(model[:])
	for _, d := range data {
		_, _ = h.Write(d[:])
	}
	all := h.Sum128().Bytes()
	return hex.EncodeToString(all[:])
}

// Hash returns a hash (xxh3, 128 bits, hexadecimal) of the bytes that the model
// was read from: its file and then its external data files. For the same bytes
// it equals WriteResult.Hash. A model that was not read is encoded for it.
func (m *Model) Hash() (string, error) {
	if m.files == nil || len(m.files.maps) == 0 {
		return m.hashEncoded()
	}
	var sums []sum
	for _, src := range m.files.maps {
		if src.closed {
			return "", errClosed
		}
		s := newStream(context.Background(), io.Discard, nil)
		err := s.chunks(src.data, func(at, n int) { src.release(int64(at), int64(n)) })
		if err != nil {
			return "", err
		}
		sums = append(sums, s.sum())
	}
	return combine(sums[0], sums[1:]), nil
}

func (m *Model) hashEncoded() (string, error) {
	e := &encoder{dangling: true}
	msg, err := e.model(m)
	if err != nil {
		return "", err
	}
	p := newPrefetch(context.Background(), msg.holes, 1, prefetchBudget)
	defer p.stop()
	s := newStream(p.ctx, io.Discard, nil)
	if err := s.message(msg, p); err != nil {
		return "", err
	}
	return combine(s.sum(), nil), nil
}

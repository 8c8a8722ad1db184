package main

import (
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/prune"
	"optim/internal/report"
)

// statistics counts what is left, of each layer and in all, and returns the output as far
// as that tells.
func (j *pruneJob) statistics(r *report.Transform) (report.File, error) {
	matrices := append(prune.Matrices(j.work.Graph, true), prune.Vectors(j.work.Graph)...)
	if j.zeroed == nil {
		matrices = prune.Matrices(j.work.Graph, true)
		z, err := prune.Tally(matrices)
		if err != nil {
			return report.File{}, err
		}
		r.Layers = layerZeros(j.source.Graph, matrices, z)
	} else {
		r.Layers = layerZeros(j.source.Graph, matrices, *j.zeroed)
	}
	known := map[string]int64{}
	for _, l := range r.Layers {
		known[l.Name] = l.Parameters - l.Nonzero
	}
	elements, zeros, err := prune.Counted(j.work.Graph, known)
	if err != nil {
		return report.File{}, err
	}
	before, after := inspect.Parameters(j.source), inspect.Parameters(j.work)
	nonzero := after - zeros
	ratio := float64(before) / float64(max(nonzero, 1))
	r.CompressionRatio = &ratio
	if j.zeroed != nil {
		share, all := float64(j.zeroed.Zeros)/float64(j.zeroed.Elements), float64(zeros)/float64(max(elements, 1))
		r.Sparsity, r.ModelSparsity = &share, &all
	}
	return report.File{Path: j.output, Parameters: after, Nonzero: &nonzero, MACs: inspect.MACs(j.work)}, nil
}

// layerZeros tells of each matrix whose zeros were counted what the source had and what is
// left.
func layerZeros(source *onnx.Graph, list []prune.Matrix, z prune.Zeroed) []report.LayerZeros {
	var out []report.LayerZeros
	for _, m := range list {
		zeros, ok := z.ByName[m.Tensor.Name]
		if !ok {
			continue
		}
		l := report.LayerZeros{Name: m.Tensor.Name, Op: m.Node.OpType, Parameters: m.Tensor.Elements()}
		if w := source.Initializer(l.Name); w != nil {
			l.Before = w.Elements()
		}
		l.Nonzero = l.Parameters - zeros
		l.Sparsity = float64(zeros) / float64(max(l.Parameters, 1))
		out = append(out, l)
	}
	return out
}

// compress adds the compressed bytes of both models, which is what zeros save.
func (j *pruneJob) compress(r *report.Transform) error {
	before, err := inspect.Files(j.source)
	if err != nil {
		return err
	}
	after := []string{j.output}
	after = append(after, r.Wrote...)
	var g errgroup.Group
	for _, side := range []struct {
		files []string
		of    *report.File
	}{{before, &r.Input}, {after, r.Output}} {
		g.Go(func() error {
			n, estimated, err := compressedSize(side.files)
			side.of.Compressed, side.of.Estimated = &n, estimated
			return fileError(err)
		})
	}
	return g.Wait()
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Of files that are larger than this, parts are compressed: every chunkStep-th chunk.
const (
	compressWhole = 64 << 20
	chunkBytes    = 1 << 20
	chunkStep     = 8
)

// compressedSize is the bytes of files by Zstandard at its fastest; of large ones an estimate
// from chunks that are spread evenly.
func compressedSize(files []string) (size int64, estimated bool, err error) {
	for _, file := range files {
		n, part, err := compressedFile(file)
		if err != nil {
			return 0, false, err
		}
		size, estimated = size+n, estimated || part
	}
	return size, estimated, nil
}

func compressedFile(file string) (size int64, estimated bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	var n counter
	enc, err := zstd.NewWriter(&n, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, false, err
	}
	if info.Size() <= compressWhole {
		if _, err = io.Copy(enc, f); err == nil {
			err = enc.Close()
		}
		return int64(n), false, err
	}
	read := int64(0)
	for at := int64(0); at < info.Size() && err == nil; at += chunkStep * chunkBytes {
		var part int64
		part, err = io.Copy(enc, io.NewSectionReader(f, at, chunkBytes))
		read += part
	}
	if err == nil {
		err = enc.Close()
	}
	return int64(float64(n) * float64(info.Size()) / float64(max(read, 1))), true, err
}

// counter counts the bytes that are written to it. Only its address is a writer.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

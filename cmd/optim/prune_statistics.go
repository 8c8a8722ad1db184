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
	matrices := prune.Matrices(j.work.Graph, true)
	if j.zeroed == nil {
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
	if _, err := os.Stat(j.output + ".data"); err == nil && r.Output.Bytes > fileSize(j.output) {
		after = append(after, j.output+".data")
	}
	var g errgroup.Group
	for _, side := range []struct {
		files []string
		of    *report.File
	}{{before, &r.Input}, {after, r.Output}} {
		g.Go(func() error {
			n, err := compressedSize(side.files)
			side.of.Compressed = &n
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

// compressedSize is the bytes of files behind each other by Zstandard at its fastest.
func compressedSize(files []string) (int64, error) {
	var n counter
	enc, err := zstd.NewWriter(&n, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(enc, f)
		f.Close()
		if err != nil {
			return 0, err
		}
	}
	err = enc.Close()
	return int64(n), err
}

// counter counts the bytes that are written to it. Only its address is a writer.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

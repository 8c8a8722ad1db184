package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/workload"
)

// model is one of the models, and what is known of it.
type model struct {
	path, name string
	graph      *onnx.Model
	summary    inspect.Summary
	first      *opened       // what its first worker said
	spec       workload.Spec // with the sizes that the first worker found
	tokenizer  string        // of another model; empty: the one beside the model
}

// blame puts the model's file before an error that does not name it. A library that
// does not load is no model's fault.
func (m *model) blame(err error) error {
	if errors.Is(err, ort.ErrLibrary) || strings.HasPrefix(err.Error(), m.path+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", m.path, err)
}

// openModels reads the models before anything is run, so that a bad file is told
// at once.
func (b *bench) openModels() error {
	names := uniqueNames(b.Paths)
	for i, path := range b.Paths {
		g, err := onnx.Open(path)
		if err != nil {
			return err
		}
		m := &model{path: path, name: names[i], graph: g, spec: b.Load}
		b.models = append(b.models, m)
		if m.summary, err = inspect.Model(g, inspect.Options{}); err != nil {
			return err
		}
	}
	b.lendTokenizer()
	return nil
}

// lendTokenizer lets models that have no tokenizer beside them use that of the first
// one that has: a result lies elsewhere than its source.
func (b *bench) lendTokenizer() {
	var lender string
	for _, m := range b.models {
		file := filepath.Join(filepath.Dir(m.path), "tokenizer.json")
		if _, err := os.Stat(file); err == nil && lender == "" {
			lender = file
		}
	}
	for _, m := range b.models {
		if _, err := os.Stat(filepath.Join(filepath.Dir(m.path), "tokenizer.json")); err != nil {
			m.tokenizer = lender
		}
		m.lend(&m.spec.Read)
	}
}

// lend sets the tokenizer where the user named none.
func (m *model) lend(read *dataset.Options) {
	if read.Tokenizer == "" {
		read.Tokenizer = m.tokenizer
	}
}

// uniqueNames returns the files' names, with as much of their folders as tells
// them apart; the same file twice gets a number.
func uniqueNames(paths []string) []string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = filepath.Base(p)
	}
	for i, p := range paths {
		same := func(q string) bool { return filepath.Base(q) == filepath.Base(p) }
		if differ := slices.ContainsFunc(paths, func(q string) bool { return same(q) && filepath.Clean(q) != filepath.Clean(p) }); differ {
			names[i] = filepath.ToSlash(filepath.Clean(p))
		}
	}
	seen := map[string]int{}
	for i, n := range names {
		if seen[n]++; seen[n] > 1 {
			names[i] = fmt.Sprintf("%s (%d)", n, seen[n])
		}
	}
	return names
}

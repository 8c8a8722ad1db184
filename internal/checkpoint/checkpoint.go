package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Checkpoint is an opened checkpoint. Its values are read when they are asked
// for.
type Checkpoint struct {
	Config Config
	Layers []*Layer  // the quantized matrices, by name
	Floats []*Tensor // all other tensors, by name

	files []*file
}

// Open reads the headers of the checkpoint in a folder: model.safetensors, or
// the files that model.safetensors.index.json lists, or the only *.safetensors,
// with the settings of config.json, quantize_config.json or quant_config.json.
// Errors name the file and the tensor.
func Open(dir string) (_ *Checkpoint, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("checkpoint %q: %w", dir, err)
		}
	}()
	d, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	defer d.root.Close()
	c := &Checkpoint{}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if c.Config, err = d.readConfig(); err != nil {
		return nil, err
	}
	tensors, err := c.readAll(d)
	if err != nil {
		return nil, err
	}
	if err := c.sort(tensors); err != nil {
		return nil, err
	}
	return c, nil
}

// readAll maps the files and returns their tensors by name.
func (c *Checkpoint) readAll(d *folder) (map[string]*Tensor, error) {
	names, where, err := d.weightFiles()
	if err != nil {
		return nil, err
	}
	all := map[string]*Tensor{}
	for _, name := range names {
		f, err := d.mapFile(name)
		if err != nil {
			return nil, err
		}
		c.files = append(c.files, f)
		for _, t := range f.tensors {
			if where != nil && where[t.Name] != name {
				continue // the index leaves it out, or has it in another file
			}
			all[t.Name] = t
		}
	}
	missing := ""
	for name, file := range where {
		if all[name] == nil && (missing == "" || name < missing) {
			missing = name
			err = fmt.Errorf("tensor %q is not in file %q, where the index has it", name, file)
		}
	}
	return all, err
}

// sort tells the parts of quantized matrices from other tensors.
func (c *Checkpoint) sort(tensors map[string]*Tensor) error {
	parts := map[string]bool{}
	for name := range tensors {
		layer, ok := strings.CutSuffix(name, ".qweight")
		if !ok {
			continue
		}
		take := func(part string) *Tensor {
			parts[layer+part] = true
			return tensors[layer+part]
		}
		l := &Layer{Name: layer, weight: take(".qweight"), zeros: take(".qzeros"), scales: take(".scales"), index: take(".g_idx")}
		if err := l.check(&c.Config); err != nil {
			return fmt.Errorf("layer %q: %w", layer, err)
		}
		c.Layers = append(c.Layers, l)
	}
	for name, t := range tensors {
		if !parts[name] {
			c.Floats = append(c.Floats, t)
		}
	}
	if len(c.Layers) == 0 {
		return errors.New("no tensor *.qweight is in it: is the checkpoint quantized?")
	}
	slices.SortFunc(c.Layers, func(a, b *Layer) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Floats, func(a, b *Tensor) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// Close unmaps the files. Values must not be used after it.
func (c *Checkpoint) Close() error {
	var err error
	for _, f := range c.files {
		err = errors.Join(err, f.close())
	}
	c.files = nil
	return err
}

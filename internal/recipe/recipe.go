// Package recipe records in a model's metadata how it was made: the options
// that decide its bytes, and hashes of what it was made from. Paths, threads
// and times are no part of it, so that the same inputs give the same bytes.
package recipe

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"optim/internal/onnx"
)

// Key is the entry of metadata_props: a JSON list of recipes, oldest first.
const Key = "optim.recipe"

// Recipe is one step that a model went through.
type Recipe struct {
	Command string            `json:"command"`
	Version string            `json:"version"`
	Source  string            `json:"source"`         // hash of the model's bytes
	Data    string            `json:"data,omitempty"` // fingerprint of the calibration or training data
	Options map[string]string `json:"options"`
}

// New returns a recipe without options.
func New(command, version string) Recipe {
	return Recipe{Command: command, Version: version, Options: map[string]string{}}
}

// Set records an option; an empty value is left out.
func (r *Recipe) Set(name, value string) {
	if value != "" {
		r.Options[name] = value
	}
}

// Equal reports whether two recipes make the same bytes.
func (r Recipe) Equal(o Recipe) bool {
	return r.Command == o.Command && r.Version == o.Version && r.Source == o.Source && r.Data == o.Data && maps.Equal(r.Options, o.Options)
}

// Digest returns a hash of version, source, data and the named options.
func (r Recipe) Digest(options ...string) string {
	h := xxh3.New128()
	parts := []string{r.Version, r.Source, r.Data}
	for _, name := range options {
		parts = append(parts, name, r.Options[name])
	}
	for _, p := range parts {
		fmt.Fprintf(h, "%q;", p)
	}
	sum := h.Sum128().Bytes()
	return hex.EncodeToString(sum[:])
}

// History returns the recipes that a model's metadata holds.
func History(m *onnx.Model) ([]Recipe, error) {
	text, ok := m.Meta(Key)
	if !ok {
		return nil, nil
	}
	var list []Recipe
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("metadata %q: %w", Key, err)
	}
	return list, nil
}

// Store appends the recipe to the model's history.
func (r Recipe) Store(m *onnx.Model) error {
	list, err := History(m)
	if err != nil {
		list = nil // not ours, or damaged: begin anew
	}
	b, err := json.Marshal(append(list, r))
	if err != nil {
		return err
	}
	m.SetMeta(Key, string(b))
	return nil
}

// Last returns the newest recipe of a model file.
func Last(path string) (Recipe, error) {
	m, err := onnx.Open(path)
	if err != nil {
		return Recipe{}, err
	}
	defer m.Close()
	list, err := History(m)
	if err != nil {
		return Recipe{}, err
	}
	if len(list) == 0 {
		return Recipe{}, fmt.Errorf("%s: no recipe in its metadata", path)
	}
	return list[len(list)-1], nil
}

// Patterns writes a list of regular expressions, in a fixed order.
func Patterns(list []*regexp.Regexp) string {
	out := make([]string, len(list))
	for i, re := range list {
		out[i] = fmt.Sprintf("%q", re.String())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

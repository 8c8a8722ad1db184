package tokenizer

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Limits on the file and its structure.
const (
	maxFile       = 128 << 20 // bytes; the largest in use have about 35 MB
	maxNesting    = 16        // of Sequence components
	maxComponents = 64        // of one Sequence
	maxReplace    = 1024      // bytes that a component puts into a text at once
)

// file is the top level of tokenizer.json.
type file struct {
	Truncation    *truncation     `json:"truncation"`
	Padding       *padding        `json:"padding"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

type truncation struct {
	MaxLength int `json:"max_length"`
}

type padding struct {
	PadID int64 `json:"pad_id"`
}

// Load reads a tokenizer.json.
func Load(path string) (*Tokenizer, error) {
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path) // opening a pipe would wait
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Parse reads the content of a tokenizer.json. Errors name the field.
func Parse(data []byte) (*Tokenizer, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("a tokenizer file of more than %d bytes", maxFile)
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	t := &Tokenizer{cache: newCache(), truncation: f.Truncation, padding: f.Padding}
	var err error
	if t.vocab, t.model, err = readModel(f.Model); err != nil {
		return nil, err
	}
	if t.norm, err = readNormalizer(component{f.Normalizer, "normalizer", 0}); err != nil {
		return nil, err
	}
	if t.pre, err = readPreTokenizer(component{f.PreTokenizer, "pre_tokenizer", 0}); err != nil {
		return nil, err
	}
	if t.raw, t.normalized, err = enterAdded(f.AddedTokens, t.vocab, t.norm); err != nil {
		return nil, err
	}
	if t.post, err = readPostProcessor(component{f.PostProcessor, "post_processor", 0}); err != nil {
		return nil, err
	}
	if t.decoder, err = readDecoder(component{f.Decoder, "decoder", 0}); err != nil {
		return nil, err
	}
	return t, t.checkIDs()
}

// checkIDs makes sure that ids from outside the vocabulary section are in it.
func (t *Tokenizer) checkIDs() error {
	for _, part := range append(append([]templatePart(nil), t.post.single...), t.post.pair...) {
		for _, k := range part.tokens {
			if _, ok := t.Token(int64(k.id)); !ok {
				return fmt.Errorf("post_processor: id %d of token %q is not in the vocabulary", k.id, k.text)
			}
		}
	}
	if t.padding != nil {
		if _, ok := t.Token(t.padding.PadID); !ok {
			return fmt.Errorf("padding: pad_id %d is not in the vocabulary", t.padding.PadID)
		}
	}
	if t.truncation != nil && t.truncation.MaxLength < 0 {
		return fmt.Errorf("truncation: max_length %d is negative", t.truncation.MaxLength)
	}
	return nil
}

// component is an object with a "type" that the file nests in sequences.
type component struct {
	raw   json.RawMessage
	path  string // of the field, for errors
	depth int
}

// absent tells that the field is missing or null.
func (c component) absent() bool { return len(c.raw) == 0 || string(c.raw) == "null" }

// kind reads the type.
func (c component) kind() (string, error) {
	var head struct {
		Type *string `json:"type"`
	}
	if err := c.decode(&head); err != nil {
		return "", err
	}
	if head.Type == nil {
		return "", fmt.Errorf("%s: has no type", c.path)
	}
	return *head.Type, nil
}

func (c component) decode(v any) error {
	if err := json.Unmarshal(c.raw, v); err != nil {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	return nil
}

func (c component) unknown(kind string) error {
	return fmt.Errorf("%s: type %q is not supported", c.path, kind)
}

// sequence lists the components of a Sequence, which lie under key.
func (c component) sequence(key string) ([]component, error) {
	if c.depth >= maxNesting {
		return nil, fmt.Errorf("%s: sequences are nested deeper than %d", c.path, maxNesting)
	}
	var fields map[string]json.RawMessage
	if err := c.decode(&fields); err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := (component{fields[key], c.path + "." + key, 0}).decode(&list); err != nil {
		return nil, err
	}
	if len(list) > maxComponents {
		return nil, fmt.Errorf("%s: a sequence of %d components, more than %d", c.path, len(list), maxComponents)
	}
	out := make([]component, len(list))
	for i, raw := range list {
		out[i] = component{raw, fmt.Sprintf("%s.%s[%d]", c.path, key, i), c.depth + 1}
		if out[i].absent() {
			return nil, fmt.Errorf("%s: is null", out[i].path)
		}
	}
	return out, nil
}

// short refuses a text that a component would insert again and again.
func (c component) short(field, s string) error {
	if len(s) > maxReplace {
		return fmt.Errorf("%s: %s has %d bytes, more than %d", c.path, field, len(s), maxReplace)
	}
	return nil
}

// twoElements reads an array of just two elements, neither null, into what a
// and b point to.
func twoElements(data []byte, a, b any) error {
	list := []any{a, b}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	if len(list) != 2 || list[0] == nil || list[1] == nil {
		return fmt.Errorf("%.50s is not an array of two elements", data)
	}
	return nil
}

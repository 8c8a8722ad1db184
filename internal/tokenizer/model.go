package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// modelFile is the file's "model" section, for all kinds of models.
type modelFile struct {
	Type         string          `json:"type"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       []mergePair     `json:"merges"`
	Dropout      float64         `json:"dropout"`
	UnkToken     *string         `json:"unk_token"`
	UnkID        *int64          `json:"unk_id"`
	Prefix       *string         `json:"continuing_subword_prefix"`
	Suffix       *string         `json:"end_of_word_suffix"`
	MaxChars     *int            `json:"max_input_chars_per_word"`
	FuseUnk      bool            `json:"fuse_unk"`
	ByteFallback bool            `json:"byte_fallback"`
	IgnoreMerges bool            `json:"ignore_merges"`
}

// mergePair is written as ["a","b"], or as "a b" in older files.
type mergePair [2]string

// UnmarshalJSON reads either form.
func (m *mergePair) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		left, right, ok := strings.Cut(s, " ")
		if !ok || strings.Contains(right, " ") {
			return fmt.Errorf("merge %q is not two tokens", s)
		}
		*m = mergePair{left, right}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	if len(list) != 2 {
		return fmt.Errorf("a merge of %d tokens", len(list))
	}
	*m = mergePair(list)
	return nil
}

// readModel builds the model and its vocabulary.
func readModel(raw json.RawMessage) (*vocabulary, model, error) {
	c := component{raw, "model", 0}
	if c.absent() {
		return nil, nil, fmt.Errorf("model: is missing")
	}
	var f modelFile
	if err := c.decode(&f); err != nil {
		return nil, nil, err
	}
	if f.Dropout != 0 {
		return nil, nil, fmt.Errorf("model: dropout %v is not supported: encoding must not be random", f.Dropout)
	}
	if f.Type == "" {
		f.Type = f.guess()
	}
	if f.Type == "Unigram" {
		return readUnigram(&f)
	}
	var ids map[string]int64
	if err := (component{f.Vocab, "model.vocab", 0}).decode(&ids); err != nil {
		return nil, nil, err
	}
	if len(ids) == 0 {
		return nil, nil, fmt.Errorf("model.vocab: is empty")
	}
	v, err := newVocabulary(ids, "model.vocab")
	if err != nil {
		return nil, nil, err
	}
	var m model
	switch f.Type {
	case "BPE":
		m, err = newBPE(&f, v)
	case "WordPiece":
		m, err = newWordPiece(&f, v)
	case "WordLevel":
		m, err = newWordLevel(&f, v)
	default:
		err = c.unknown(f.Type)
	}
	return v, m, err
}

// guess finds the kind of a model in files that do not name it.
func (f *modelFile) guess() string {
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(f.Vocab), []byte("[")):
		return "Unigram"
	case f.Merges != nil:
		return "BPE"
	case f.MaxChars != nil:
		return "WordPiece"
	}
	return "WordLevel"
}

// text is the value of a field that may be missing.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// byteTokens are the ids of <0x00> to <0xFF>; -1 where there is none.
func byteTokens(v *vocabulary) *[256]int32 {
	var ids [256]int32
	for i := range ids {
		ids[i] = v.id(fmt.Sprintf("<0x%02X>", i))
	}
	return &ids
}

// appendBytes appends the byte tokens of s, or reports that one is missing.
func appendBytes(dst []int32, ids *[256]int32, s string) ([]int32, bool) {
	for i := 0; i < len(s); i++ {
		if ids[s[i]] < 0 {
			return dst, false
		}
	}
	for i := 0; i < len(s); i++ {
		dst = append(dst, ids[s[i]])
	}
	return dst, true
}

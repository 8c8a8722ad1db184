package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// precompiled is SentencePiece's normalizer: a table from short sequences to
// their replacements, stored as a double-array trie (Darts) and a block of
// texts that end in NUL.
type precompiled struct {
	units []uint32
	texts string
}

func readPrecompiled(c component) (*precompiled, error) {
	var f struct {
		Charsmap string `json:"precompiled_charsmap"`
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(f.Charsmap)
	if err != nil {
		return nil, fmt.Errorf("%s: precompiled_charsmap: %w", c.path, err)
	}
	if len(raw) == 0 { // the reference library writes it for an identity
		return &precompiled{}, nil
	}
	if len(raw) < 4 {
		return nil, fmt.Errorf("%s: precompiled_charsmap has %d bytes", c.path, len(raw))
	}
	size := binary.LittleEndian.Uint32(raw)
	raw = raw[4:]
	if size == 0 || size%4 != 0 || uint64(size) > uint64(len(raw)) {
		return nil, fmt.Errorf("%s: precompiled_charsmap: trie of %d bytes in %d", c.path, size, len(raw))
	}
	p := &precompiled{units: make([]uint32, size/4), texts: string(raw[size:])}
	for i := range p.units {
		p.units[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	return p, nil
}

// offset is the distance to the children of a unit.
func offset(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }

// find gives the replacement of the shortest key that s begins with.
func (p *precompiled) find(s string) (string, bool) {
	if len(p.units) == 0 {
		return "", false
	}
	n := uint32(len(p.units))
	pos := offset(p.units[0])
	for i := 0; i < len(s) && s[i] != 0; i++ {
		pos ^= uint32(s[i])
		if pos >= n {
			return "", false
		}
		unit := p.units[pos]
		if unit&(1<<31|0xff) != uint32(s[i]) { // the label, and no leaf
			return "", false
		}
		pos ^= offset(unit)
		if unit>>8&1 == 1 { // a leaf follows: a key ends here
			if pos >= n {
				return "", false
			}
			return p.text(p.units[pos] &^ (1 << 31))
		}
	}
	return "", false
}

// text is the replacement at an offset.
func (p *precompiled) text(at uint32) (string, bool) {
	if uint64(at) >= uint64(len(p.texts)) {
		return "", false
	}
	s := p.texts[at:]
	if end := strings.IndexByte(s[:min(len(s), maxReplace)], 0); end >= 0 {
		return s[:end], true
	}
	return "", false
}

// normalize replaces grapheme clusters of less than six bytes that are keys,
// else each of their characters.
func (p *precompiled) normalize(s string) (string, error) {
	b := newBuilder(s)
	state := -1
	for len(s) > 0 {
		var cluster string
		if ' ' <= s[0] && s[0] < 0x7f && (len(s) == 1 || s[1] < utf8.RuneSelf) {
			cluster, s, state = s[:1], s[1:], -1
		} else {
			cluster, s, _, state = uniseg.FirstGraphemeClusterInString(s, state)
		}
		if err := p.cluster(b, cluster); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func (p *precompiled) cluster(b *builder, cluster string) error {
	if len(cluster) < 6 {
		if x, ok := p.find(cluster); ok {
			return b.add(x)
		}
	}
	for len(cluster) > 0 {
		_, w := utf8.DecodeRuneInString(cluster)
		x, ok := p.find(cluster[:w])
		if !ok {
			x = cluster[:w]
		}
		if err := b.add(x); err != nil {
			return err
		}
		cluster = cluster[w:]
	}
	return nil
}

package tokenizer

import (
	"strings"
	"sync"
)

// Bounds of the cache: texts repeat their short words, and 32 thousand of them
// hold a megabyte or two of tokens in practice (26 MB at the very worst).
const (
	cacheWords = 1 << 15
	cacheBytes = 32 // longest word that is kept
)

// cache remembers the tokens of words. When it is full it stays as it is:
// frequent words come early. Goroutines may share it.
type cache struct {
	mu    sync.RWMutex
	words map[string][]token
}

func newCache() *cache { return &cache{words: map[string][]token{}} }

// encode is m.encode through the cache.
func (c *cache) encode(m model, dst []token, word string) ([]token, error) {
	if len(word) > cacheBytes {
		return m.encode(dst, word)
	}
	c.mu.RLock()
	tokens, ok := c.words[word]
	c.mu.RUnlock()
	if ok {
		return append(dst, tokens...), nil
	}
	// The tokens may alias the word, and the word a text of many megabytes.
	word = strings.Clone(word)
	tokens, err := m.encode(nil, word)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if len(c.words) < cacheWords {
		c.words[word] = tokens
	}
	c.mu.Unlock()
	return append(dst, tokens...), nil
}

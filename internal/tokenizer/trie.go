package tokenizer

import "sort"

// trie finds the strings of a set that a text begins with. Nodes and edges lie
// in flat arrays: a vocabulary of 250,000 pieces has about a million nodes.
type trie struct {
	nodes []trieNode
	label []byte  // of an edge; the edges of a node lie together, sorted
	child []int32 // the node an edge leads to
	root  [256]int32
}

type trieNode struct {
	first int32 // edge
	count int32 // of edges
	value int32 // -1: no string ends here
}

// newTrie builds the trie of keys; values[i] belongs to keys[i]. Of equal keys
// the first counts, empty ones are left out.
func newTrie(keys []string, values []int32) *trie {
	order := make([]int, 0, len(keys))
	for i, k := range keys {
		if k != "" {
			order = append(order, i)
		}
	}
	sort.SliceStable(order, func(a, b int) bool { return keys[order[a]] < keys[order[b]] })

	// A node stands for the keys order[lo:hi], which agree in their first
	// depth bytes. Nodes are expanded in the order of their numbers.
	type span struct{ lo, hi, depth int }
	t := &trie{nodes: []trieNode{{value: -1}}}
	spans := []span{{0, len(order), 0}}
	for n := 0; n < len(spans); n++ {
		s := spans[n]
		spans[n] = span{}
		t.nodes[n].first = int32(len(t.label))
		lo := s.lo
		for ; lo < s.hi && len(keys[order[lo]]) == s.depth; lo++ {
			if t.nodes[n].value < 0 {
				t.nodes[n].value = values[order[lo]]
			}
		}
		for lo < s.hi {
			c := keys[order[lo]][s.depth]
			hi := lo + 1
			for hi < s.hi && keys[order[hi]][s.depth] == c {
				hi++
			}
			t.label = append(t.label, c)
			t.child = append(t.child, int32(len(t.nodes)))
			t.nodes = append(t.nodes, trieNode{value: -1})
			spans = append(spans, span{lo, hi, s.depth + 1})
			lo = hi
		}
		t.nodes[n].count = int32(len(t.label)) - t.nodes[n].first
	}
	for i := range t.root {
		t.root[i] = -1
	}
	for e := int32(0); e < t.nodes[0].count; e++ {
		t.root[t.label[e]] = t.child[e]
	}
	return t
}

// step follows the edge c from node n (0: the root); -1 if there is none.
func (t *trie) step(n int32, c byte) int32 {
	if n == 0 {
		return t.root[c]
	}
	lo := t.nodes[n].first
	hi := lo + t.nodes[n].count
	for hi-lo > 8 {
		mid := (lo + hi) / 2
		if t.label[mid] <= c {
			lo = mid
		} else {
			hi = mid
		}
	}
	for ; lo < hi; lo++ {
		if t.label[lo] == c {
			return t.child[lo]
		}
	}
	return -1
}

// longest finds the longest string that s begins with: its value and length,
// or -1 and 0.
func (t *trie) longest(s string) (value int32, length int) {
	value = -1
	n := int32(0)
	for i := 0; i < len(s); i++ {
		if n = t.step(n, s[i]); n < 0 {
			break
		}
		if v := t.nodes[n].value; v >= 0 {
			value, length = v, i+1
		}
	}
	return value, length
}

package tokenizer

// maxScratch bounds the working memory that is kept for the next piece.
const maxScratch = 1 << 16

// merged marks a place whose symbol has become part of the one before it.
const merged int32 = -1

// symbols is a piece in the course of byte pair encoding: a linked list over
// places, and a heap of the pairs that can be merged. A piece of n characters
// takes n·log n steps, however long it is.
type symbols struct {
	ids        []int32
	prev, next []int32  // places; -1: none
	queue      []uint64 // rank<<32 | place of the left symbol: a binary heap
}

// merge joins pairs by rank, then by place, until none is left.
func (s *symbols) merge(merges map[uint64]merge) {
	s.link()
	for i := 0; i+1 < len(s.ids); i++ {
		if m, ok := merges[pairKey(s.ids[i], s.ids[i+1])]; ok {
			s.push(uint64(m.rank)<<32 | uint64(i))
		}
	}
	for len(s.queue) > 0 {
		top := s.pop()
		left := int32(uint32(top))
		right := s.next[left]
		if s.ids[left] == merged || right < 0 {
			continue
		}
		m, ok := merges[pairKey(s.ids[left], s.ids[right])]
		if !ok || uint64(m.rank) != top>>32 {
			continue // one of the two has changed since
		}
		s.ids[left], s.ids[right] = m.id, merged
		s.next[left] = s.next[right]
		if n := s.next[left]; n >= 0 {
			s.prev[n] = left
			s.offer(merges, left, n)
		}
		if p := s.prev[left]; p >= 0 {
			s.offer(merges, p, left)
		}
	}
}

// link makes the list of all places.
func (s *symbols) link() {
	s.prev, s.next, s.queue = s.prev[:0], s.next[:0], s.queue[:0]
	for i := range s.ids {
		s.prev = append(s.prev, int32(i-1))
		s.next = append(s.next, int32(i+1))
	}
	if n := len(s.next); n > 0 {
		s.next[n-1] = -1
	}
}

// offer queues a pair if it can be merged.
func (s *symbols) offer(merges map[uint64]merge, left, right int32) {
	if m, ok := merges[pairKey(s.ids[left], s.ids[right])]; ok {
		s.push(uint64(m.rank)<<32 | uint64(left))
	}
}

func (s *symbols) push(x uint64) {
	q := append(s.queue, x)
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if q[parent] <= x {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = x
	s.queue = q
}

func (s *symbols) pop() uint64 {
	q := s.queue
	top, x := q[0], q[len(q)-1]
	q = q[:len(q)-1]
	i := 0
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1] < q[child] {
			child++
		}
		if x <= q[child] {
			break
		}
		q[i] = q[child]
		i = child
	}
	if len(q) > 0 {
		q[i] = x
	}
	s.queue = q
	return top
}

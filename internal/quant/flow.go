package quant

import "math"

// network is a flow network for minimum cuts; capacities are whole numbers.
type network struct {
	edges []edge
	out   [][]int // edges by start
	level []int
	next  []int
}

type edge struct {
	to  int
	cap int64
}

const unlimited = math.MaxInt64 / 4

func newNetwork(nodes int) *network {
	return &network{out: make([][]int, nodes)}
}

// node adds a node.
func (g *network) node() int {
	g.out = append(g.out, nil)
	return len(g.out) - 1
}

// edge adds an edge from a to b; its reverse lies beside it.
func (g *network) edge(a, b int, capacity int64) {
	g.out[a] = append(g.out[a], len(g.edges))
	g.out[b] = append(g.out[b], len(g.edges)+1)
	g.edges = append(g.edges, edge{b, capacity}, edge{a, 0})
}

// cut returns which nodes lie on the source's side of a minimum cut (Dinic
// 1970: blocking flows over level graphs). Of several minimum cuts it is the
// one with the smallest source side.
func (g *network) cut(source, sink int) []bool {
	for g.levels(source, sink) {
		g.next = make([]int, len(g.out))
		for g.push(source, sink, unlimited) > 0 {
		}
	}
	side := make([]bool, len(g.out))
	for i, l := range g.level {
		side[i] = l >= 0
	}
	return side
}

// levels numbers the nodes by their distance from the source in the residual
// network; false when the sink is out of reach.
func (g *network) levels(source, sink int) bool {
	g.level = make([]int, len(g.out))
	for i := range g.level {
		g.level[i] = -1
	}
	g.level[source] = 0
	queue := []int{source}
	for len(queue) > 0 {
		a := queue[0]
		queue = queue[1:]
		for _, e := range g.out[a] {
			if b := g.edges[e].to; g.edges[e].cap > 0 && g.level[b] < 0 {
				g.level[b] = g.level[a] + 1
				queue = append(queue, b)
			}
		}
	}
	return g.level[sink] >= 0
}

// push sends at most limit along one augmenting path of the level graph.
// The path is searched without recursion: graphs can be thousands of nodes deep.
func (g *network) push(source, sink int, limit int64) int64 {
	var path []int
	for at := source; at != sink; {
		e, ok := g.advance(at)
		if ok {
			path = append(path, e)
			at = g.edges[e].to
			continue
		}
		if len(path) == 0 {
			return 0
		}
		last := path[len(path)-1]
		path = path[:len(path)-1]
		at = g.edges[last^1].to
		g.next[at]++
	}
	for _, e := range path {
		limit = min(limit, g.edges[e].cap)
	}
	for _, e := range path {
		g.edges[e].cap -= limit
		g.edges[e^1].cap += limit
	}
	return limit
}

// advance returns the next usable edge out of a node.
func (g *network) advance(a int) (int, bool) {
	for ; g.next[a] < len(g.out[a]); g.next[a]++ {
		e := g.out[a][g.next[a]]
		if g.edges[e].cap > 0 && g.level[g.edges[e].to] == g.level[a]+1 {
			return e, true
		}
	}
	return 0, false
}

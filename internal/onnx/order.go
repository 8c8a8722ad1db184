package onnx

import (
	"fmt"
	"strings"
)

// Sort puts the nodes of g, and of the graphs within it, in topological order:
// every node after the nodes whose outputs it reads, also through its bodies.
// Nodes that are in order already keep their places. A cycle is an error that
// names its nodes.
func (g *Graph) Sort() error {
	return g.sort(newCaptures(g.Nodes))
}

func (g *Graph) sort(c captures) error {
	order, err := topological(g.Nodes, c)
	if err != nil {
		return err
	}
	g.Nodes = order
	for _, n := range g.Nodes {
		var inner error
		n.Graphs(func(body *Graph, _ string) {
			if err := body.sort(c); err != nil && inner == nil {
				inner = err
			}
		})
		if inner != nil {
			return fmt.Errorf("node %q: %w", n.Name, inner)
		}
	}
	return nil
}

// sort orders every graph and function of the model.
func (m *Model) sort() error {
	if err := m.Graph.Sort(); err != nil {
		return err
	}
	for _, fn := range m.Functions {
		body := Graph{Nodes: fn.Nodes}
		if err := body.Sort(); err != nil {
			return fmt.Errorf("function %q: %w", fn.Name, err)
		}
		fn.Nodes = body.Nodes
	}
	return nil
}

// dependencies returns for each node the indices of the nodes it reads from,
// in order, without repetition.
func dependencies(nodes []*Node, c captures) [][]int {
	maker := make(map[string]int, len(nodes))
	for i, n := range nodes {
		for _, out := range n.Outputs {
			if out != "" {
				maker[out] = i
			}
		}
	}
	deps := make([][]int, len(nodes))
	last := make([]int, len(nodes)) // 1 + the node that named this one last
	for i, n := range nodes {
		c.uses(n, func(name string) {
			if j, ok := maker[name]; ok && last[j] != i+1 {
				last[j] = i + 1
				deps[i] = append(deps[i], j)
			}
		})
	}
	return deps
}

// topological returns the nodes in topological order by a depth-first walk in
// the given order, which leaves an ordered list as it is. The walk keeps its
// own stack: a chain of nodes may be as long as the file allows.
func topological(nodes []*Node, c captures) ([]*Node, error) {
	const (
		unseen = iota
		open
		done
	)
	deps := dependencies(nodes, c)
	state := make([]uint8, len(nodes))
	order := make([]*Node, 0, len(nodes))
	var path []int // the open nodes, each read by the one before
	for root := range nodes {
		if state[root] != unseen {
			continue
		}
		state[root], path = open, append(path[:0], root)
		for len(path) > 0 {
			i := path[len(path)-1]
			if len(deps[i]) == 0 {
				state[i], path = done, path[:len(path)-1]
				order = append(order, nodes[i])
				continue
			}
			j := deps[i][0]
			deps[i] = deps[i][1:]
			switch state[j] {
			case open:
				return nil, cycleError(nodes, path, j)
			case unseen:
				state[j], path = open, append(path, j)
			}
		}
	}
	return order, nil
}

// cycleError names the nodes from first to the end of the path, at most eight.
func cycleError(nodes []*Node, path []int, first int) error {
	start := 0
	for path[start] != first {
		start++
	}
	var names []string
	for i := len(path) - 1; i >= start && len(names) < 8; i-- {
		names = append(names, label(nodes[path[i]], path[i]))
	}
	more := ""
	if n := len(path) - start - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("cycle: %s%s need each other's outputs", strings.Join(names, ", "), more)
}

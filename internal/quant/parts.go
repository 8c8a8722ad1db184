package quant

import "fmt"

// forbidParts looks at values that share one scale though they mean different
// things, as the boxes and the scores of a detector do. What fits 8 bits as a
// whole may leave nothing of a part: scores up to 1 beside boxes up to 640.
//
// A Concat one of whose inputs would suffer in the scale of its output stays
// float; so does a value of which a Slice, Split or Gather takes a part that
// suffers.
func (p *staticPass) forbidParts(forbidden map[string]string) {
	head := map[string]codes{} // behind a movement: the code of the value where the chain begins
	for _, u := range p.units {
		switch {
		case u.role == kernel && u.node.OpType == "Concat":
			c, ok := p.codes[u.outputs[0]]
			for _, v := range u.inputs {
				if ok && p.suffers(v, c) {
					u.role = floatOnly
				}
			}
		case u.role == movement:
			c, ok := head[u.inputs[0]]
			if !ok {
				c, ok = p.codes[u.inputs[0]]
			}
			for _, v := range u.outputs {
				if !ok {
					break
				}
				head[v] = c
				if p.suffers(v, c) && forbidden[u.inputs[0]] == "" {
					forbidden[u.inputs[0]] = fmt.Sprintf("a part of its values, up to %.3g in size, is lost in their range of %.3g",
						p.obs[v].size(), p.obs[u.inputs[0]].size())
				}
			}
		}
	}
}

// suffers reports whether a value that fits 8 bits by itself does not in the
// code of another.
func (p *staticPass) suffers(v string, c codes) bool {
	o, own := p.obs[v], p.codes[v]
	return o != nil && o.finite() && own.sqnr >= floatSQNR && o.sqnr(c.scale, c.zero) < floatSQNR
}

// size is the greatest magnitude that was seen.
func (o *Observation) size() float32 { return max(o.Max, -o.Min) }

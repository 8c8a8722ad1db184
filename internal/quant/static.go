package quant

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Limits on the expected signal-to-noise ratio of a quantized activation, in
// dB. A product whose input falls below staticSQNR is quantized dynamically:
// the range of each run is narrower than that of all runs. Anything below
// floatSQNR stays float: attention masks of −3.4e38 and their like.
const (
	staticSQNR = 20
	floatSQNR  = 15
)

// Activations names the values that a static run wants observed: what goes
// into units that could be integer, and what comes out of those whose output
// is integer then. Channels holds those whose means per channel (axis 1 of
// images, last axis of matrices) correct biases.
func Activations(m *onnx.Model, o *Options) (values []string, channels map[string]int) {
	q := newPass(m, o, &Plan{})
	channels = map[string]int{}
	seen := map[string]bool{}
	for _, u := range q.units(scopes(m.Graph)[0]) {
		if u.role == floatOnly {
			continue
		}
		wanted := u.inputs
		if u.joins() {
			wanted = slices.Concat(u.inputs, u.outputs)
		}
		for _, v := range wanted {
			if v != "" && !seen[v] {
				seen[v] = true
				values = append(values, v)
			}
		}
		if u.role == compute {
			channels[u.inputs[0]] = channelAxis(u.node)
		}
	}
	return values, channels
}

func channelAxis(n *onnx.Node) int {
	if n.OpType == "Conv" {
		return 1
	}
	return -1
}

// staticPass places integers with the ranges that calibration saw.
type staticPass struct {
	*pass
	s       *scope
	obs     Observations
	units   []*unit
	integer []bool
	codes   map[string]codes      // of every value that may be quantized
	pairs   map[string]pair       // Q/DQ behind float producers, by value
	params  map[string][2]string  // names of scale and zero point, by value
	smooth  map[string]*smoothing // by value
	users   map[string][]int
}

// pair names the integers of a value and the floats restored from them.
type pair struct{ q, dq string }

// rewriteStatic quantizes the main graph with what was observed, and bodies,
// whose values cannot be observed, dynamically.
func (q *pass) rewriteStatic(ctx context.Context, obs Observations, workers int) error {
	all := scopes(q.model.Graph)
	p := &staticPass{pass: q, s: all[0], obs: obs, codes: map[string]codes{}, pairs: map[string]pair{}, params: map[string][2]string{}}
	if q.o.Form != QDQ {
		q.fuseGelu(p.s)
	}
	p.units = q.units(p.s)
	if err := p.encode(ctx, workers); err != nil {
		return err
	}
	if err := p.chooseSmoothing(ctx, workers); err != nil {
		return err
	}
	for v, sm := range p.smooth {
		p.codes[v] = sm.code
	}
	forbidden := p.forbid()
	l := labelling{
		units: p.units, costs: costTable[q.o.Target.Name], shapes: p.obs.shapes(), forbid: forbidden, outputs: map[string]bool{},
	}
	for _, out := range p.s.graph.Outputs {
		l.outputs[out.Name] = true
	}
	p.integer = l.run()
	p.users = l.users
	p.shareCodes()
	p.emit()
	p.plan.Codes = map[string]Code{}
	for v := range p.params {
		p.plan.Codes[v] = Code{p.codes[v].scale, p.codes[v].zero, codeMax}
	}
	for _, s := range all[1:] {
		q.rewriteScope(s, dynamicRules, noBodyKernel)
	}
	return nil
}

func (o Observations) shapes() map[string]tensor.Shape {
	out := make(map[string]tensor.Shape, len(o))
	for name, v := range o {
		out[name] = v.Shape
	}
	return out
}

// encode chooses the code of every observed value.
func (p *staticPass) encode(ctx context.Context, workers int) error {
	names := slices.Sorted(maps.Keys(p.obs))
	found := make([]codes, len(names))
	err := parallel(ctx, workers, len(names), func(i int) error {
		found[i] = p.obs[names[i]].encode(p.o.Calibrator, p.o.Symmetric)
		return nil
	})
	for i, name := range names {
		if c, learned := p.o.Codes[name]; learned {
			found[i] = codes{c.Scale, c.Zero, p.obs[name].sqnr(c.Scale, c.Zero)}
		}
		p.codes[name] = found[i]
	}
	return err
}

// forbid lists the values that must not become integers. Products whose input
// is merely hard to quantize once and for all become dynamic.
func (p *staticPass) forbid() map[string]string {
	out := map[string]string{}
	for name, c := range p.codes {
		switch {
		case !p.obs[name].finite():
			out[name] = "some of its values are infinite"
		case c.sqnr < floatSQNR:
			out[name] = fmt.Sprintf("its values do not fit 8 bits: %.1f dB of signal to noise, range %.3g to %.3g",
				c.sqnr, p.obs[name].Min, p.obs[name].Max)
		case p.obs[name].vanish(c):
			out[name] = fmt.Sprintf("most of its values would round to zero, range %.3g to %.3g", p.obs[name].Min, p.obs[name].Max)
		}
	}
	for _, u := range p.units {
		if u.role != compute || !floatOutput(u.node) {
			continue
		}
		if c, ok := p.codes[u.inputs[0]]; ok && c.sqnr < staticSQNR {
			u.role = floatOnly // the dynamic rule takes it
		}
	}
	p.forbidParts(out)
	return out
}

// shareCodes gives the values before and behind a movement the same code: that
// of the value where the chain begins.
func (p *staticPass) shareCodes() {
	for i, u := range p.units { // graph order: the head of a chain comes first
		if u.role != movement || !p.integer[i] {
			continue
		}
		for _, out := range u.outputs {
			if _, ok := p.codes[out]; ok {
				p.codes[out] = p.codes[u.inputs[0]]
			}
		}
	}
}

package prune

import (
	"context"
	"math"
	"slices"

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/train"
)

// Moments are what is known of the channels of a value over all samples: the number of
// elements of each, their mean, and the sum of the squared deviations from it. They are
// merged sample by sample (Chan, Golub and LeVeque, "Updating Formulae and a Pairwise
// Algorithm for Computing Sample Variances", 1979), so that one sample gives a variance of
// 0 and a large mean costs no digits.
type Moments struct {
	N        float64
	Mean, M2 []float64
}

// Norms returns ‖x‖ of each channel.
func (m *Moments) Norms() []float64 {
	out := make([]float64, len(m.Mean))
	for i, mean := range m.Mean {
		out[i] = math.Sqrt(m.M2[i] + m.N*mean*mean)
	}
	return out
}

// Variances returns the variance of each channel.
func (m *Moments) Variances() []float64 {
	out := make([]float64, len(m.M2))
	for i, s := range m.M2 {
		out[i] = s / max(m.N, 1)
	}
	return out
}

// By returns what a score by activations is made of.
func (m *Moments) By(score string) []float64 {
	if score == Variance {
		return m.Variances()
	}
	return m.Norms()
}

// The scores by activations.
const (
	Activation = "activation" // their length
	Variance   = "variance"
)

// add merges the elements of t, [..., channels, ...] with the channels on an axis. Where t
// has a row for each element of counted, those of which it is 0 are padding.
func (m *Moments) add(t tensor.Tensor, axis int, counted []byte) {
	v := tensor.As[float32](t.Data)
	channels, inner := int(t.Shape[axis]), 1
	for _, d := range t.Shape[axis+1:] {
		inner *= int(d)
	}
	outer := len(v) / max(channels*inner, 1)
	if outer != len(counted) {
		counted = nil
	}
	n, sum, dev := 0.0, make([]float64, channels), make([]float64, channels)
	each := func(f func(c int, x float64)) {
		for o := range outer {
			if counted != nil && counted[o] == 0 {
				continue
			}
			for c := range channels {
				at := (o*channels + c) * inner
				for _, x := range v[at : at+inner] {
					f(c, float64(x))
				}
			}
		}
	}
	for o := range outer {
		if counted == nil || counted[o] != 0 {
			n += float64(inner)
		}
	}
	if n == 0 {
		return
	}
	each(func(c int, x float64) { sum[c] += x })
	each(func(c int, x float64) { d := x - sum[c]/n; dev[c] += d * d })
	if m.Mean == nil {
		m.Mean, m.M2 = make([]float64, channels), make([]float64, channels)
	}
	for c := range min(channels, len(m.Mean)) {
		d := sum[c]/n - m.Mean[c]
		m.M2[c] += dev[c] + d*d*m.N*n/(m.N+n)
		m.Mean[c] += d * n / (m.N + n)
	}
	m.N += n
}

// channels are what runs along an axis of a value; a negative axis counts from the end.
type channels struct {
	value string
	axis  int
}

// observe runs all rows through the model and returns the moments of channels of float32
// values of it.
func observe(ctx context.Context, rt *ort.Runtime, m *onnx.Model, list []channels, rows *train.Rows, o ort.Options) (map[channels]*Moments, error) {
	var made []string
	out := map[channels]*Moments{}
	for _, c := range list {
		if !slices.Contains(made, c.value) && !slices.ContainsFunc(m.Graph.Inputs, func(in *onnx.ValueInfo) bool { return in.Name == c.value }) {
			made = append(made, c.value)
		}
		out[c] = &Moments{}
	}
	if len(made) == 0 { // a session needs some output
		made = []string{m.Graph.Outputs[0].Name}
	}
	s, err := exposed(rt, m, made, o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	batch, err := rows.Batch(1)
	if err != nil {
		return nil, err
	}
	for sample := range rows.Len() {
		rows.Copy(batch, 0, sample)
		in := inputsOf(s, batch)
		seen, err := s.RunContext(ctx, in, made)
		if err != nil {
			return nil, err
		}
		for c, moments := range out {
			t, ok := seen[c.value]
			if !ok {
				t = in[c.value]
			}
			axis := c.axis
			if axis < 0 {
				axis += len(t.Shape)
			}
			if t.DType == tensor.Float32 && axis >= 0 && axis < len(t.Shape) {
				moments.add(t, axis, batch[train.Counted].Data)
			}
		}
	}
	return out, nil
}

// InputMoments observes what each matrix is multiplied with. A matrix whose input is
// constant has none.
func InputMoments(ctx context.Context, rt *ort.Runtime, m *onnx.Model, list []Matrix, rows *train.Rows, o ort.Options) (map[string]*Moments, error) {
	return byMatrix(ctx, rt, m, list, rows, o, func(w Matrix) channels {
		c := channels{w.Node.Input(0), -1}
		switch {
		case w.Node.Is("Conv"):
			c.axis = 1
		case w.Left:
			c = channels{w.Node.Input(1), -2}
		case w.Node.Is("Gemm") && w.Node.AttrInt("transA", 0) != 0:
			c.axis = -2
		}
		if c.value == w.Tensor.Name || m.Graph.Initializer(c.value) != nil {
			return channels{}
		}
		return c
	})
}

// OutputMoments observes what the node of each matrix computes.
func OutputMoments(ctx context.Context, rt *ort.Runtime, m *onnx.Model, list []Matrix, rows *train.Rows, o ort.Options) (map[string]*Moments, error) {
	return byMatrix(ctx, rt, m, list, rows, o, func(w Matrix) channels {
		switch {
		case w.Node.Is("Conv"):
			return channels{w.Node.Output(0), 1}
		case w.Left:
			return channels{w.Node.Output(0), -2}
		}
		return channels{w.Node.Output(0), -1}
	})
}

// byMatrix observes some channels for each matrix, and returns the moments by the weight's
// name.
func byMatrix(ctx context.Context, rt *ort.Runtime, m *onnx.Model, list []Matrix, rows *train.Rows, o ort.Options, of func(Matrix) channels) (map[string]*Moments, error) {
	var all []channels
	for _, w := range list {
		if c := of(w); c.value != "" {
			all = append(all, c)
		}
	}
	seen, err := observe(ctx, rt, m, all, rows, o)
	if err != nil {
		return nil, err
	}
	out := map[string]*Moments{}
	for _, w := range list {
		if moments := seen[of(w)]; moments != nil && moments.Mean != nil {
			out[w.Tensor.Name] = moments
		}
	}
	return out, nil
}

// ScoreInputs scores the units of a group by the inputs of the matrices that read them:
// the sum over these of the share that a unit's channels have in all of the input's. ok is
// false where no matrix reads the units.
func (gs *Groups) ScoreInputs(g *Group, list []Matrix, seen map[string]*Moments, by string) (score []float64, ok bool) {
	score = make([]float64, g.Units())
	for _, m := range g.Members {
		at := slices.IndexFunc(list, func(w Matrix) bool { return w.Tensor.Name == m.Weight })
		if at < 0 || list[at].Inputs != m.Axis || seen[m.Weight] == nil {
			continue
		}
		channels := seen[m.Weight].By(by)
		size := int(list[at].Tensor.Shape[m.Axis])
		if len(channels)%size != 0 {
			continue
		}
		for i, x := range channels[size:] { // the same places of other groups of a convolution
			channels[i%size] += x
		}
		channels = channels[:size]
		total := 0.0
		for _, x := range channels {
			total += x
		}
		if total == 0 {
			continue
		}
		ok = true
		for u, places := range m.Of {
			for _, i := range places {
				score[u] += channels[i] / total
			}
		}
	}
	return score, ok
}

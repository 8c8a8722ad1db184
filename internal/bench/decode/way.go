package decode

import (
	"context"
	"fmt"
	"math"
	"time"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// way is one way to decode: a binding for each step, prepared over memory that the
// steps share. Step 0 is the run on the prompt.
type way struct {
	prompt []int64
	ids    tensor.Tensor // the prompt, then what is written
	steps  []*ort.Binding
	rows   []tensor.Tensor // the logits of each step's last position
}

// cached returns the way that gives each step the last id and the cache. There are
// two buffers for each cache that change places: what a step writes as present, the
// next one reads as past, without a copy.
func (m *model) cached(mem memory, prompt []int64, fresh int) (*way, error) {
	total := len(prompt) + fresh - 1
	buffers := make([][2][]byte, len(m.caches))
	for i, c := range m.caches {
		n, err := c.at(total).Bytes(c.past.DType)
		if err != nil {
			return nil, fmt.Errorf("cache %q: %w", c.past.Name, err)
		}
		buffers[i] = [2][]byte{make([]byte, n), make([]byte, n)}
	}
	return m.way(mem, prompt, fresh, len(prompt), func(step int, in, out map[string]tensor.Tensor) (lo int, err error) {
		done := 0
		if step > 0 {
			done = len(prompt) + step - 1
		}
		for i, c := range m.caches {
			if in[c.past.Name], err = c.view(buffers[i][step%2], done); err != nil {
				return 0, err
			}
			if out[c.present], err = c.view(buffers[i][1-step%2], len(prompt)+step); err != nil {
				return 0, err
			}
		}
		return done, nil
	})
}

// whole returns the way that runs the model on all ids in each step, with an empty
// cache if it has one.
func (m *model) whole(mem memory, prompt []int64, fresh int) (*way, error) {
	return m.way(mem, prompt, fresh, len(prompt)+fresh-1, func(_ int, in, _ map[string]tensor.Tensor) (lo int, err error) {
		for _, c := range m.caches {
			if in[c.past.Name], err = c.view(nil, 0); err != nil {
				return 0, err
			}
		}
		return 0, nil
	})
}

// way binds the steps. caches adds the caches of a step, and returns how many ids
// they hold; longest is the most ids of a run.
func (m *model) way(mem memory, prompt []int64, fresh, longest int, caches func(step int, in, out map[string]tensor.Tensor) (int, error)) (*way, error) {
	w := &way{prompt: prompt, ids: mem.ids}
	all, err := tensor.New(m.logits.DType, m.logitsShape(longest))
	if err != nil {
		return nil, fmt.Errorf("output %q: %w", m.logits.Name, err)
	}
	for step := range fresh {
		past, out := map[string]tensor.Tensor{}, map[string]tensor.Tensor{}
		lo, err := caches(step, past, out)
		if err == nil {
			err = w.bind(m, mem, all, lo, past, out)
		}
		if err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

// bind adds a step that reads the ids from lo on.
func (w *way) bind(m *model, mem memory, all tensor.Tensor, lo int, past, out map[string]tensor.Tensor) error {
	hi := len(w.prompt) + len(w.steps)
	in, err := m.feed(mem, lo, hi)
	if err != nil {
		return err
	}
	for name, t := range past {
		in[name] = t
	}
	logits := tensor.Tensor{DType: all.DType, Shape: m.logitsShape(hi - lo)}
	row := int(m.width) * all.DType.Bits() / 8
	logits.Data = all.Data[:int(logits.Shape[1])*row]
	out[m.logits.Name] = logits
	b, err := m.session.Bind(in, out)
	if err != nil {
		return err
	}
	w.steps = append(w.steps, b)
	w.rows = append(w.rows, tensor.Tensor{DType: all.DType, Shape: tensor.Shape{m.width}, Data: logits.Data[len(logits.Data)-row:]})
	return nil
}

func (w *way) close() {
	for _, b := range w.steps {
		b.Close()
	}
}

// decode writes ids until the steps are at their end, the greatest logit each
// time, and returns them with the time of each step. Only the runs are timed.
// What was done before an error comes with it.
func (w *way) decode(ctx context.Context) (ids []int64, times []time.Duration, err error) {
	for i, id := range w.prompt {
		if err := w.write(i, id); err != nil {
			return nil, nil, err
		}
	}
	logits := make([]float32, w.rows[0].Len())
	for step, b := range w.steps {
		spans, err := ort.TimeRuns(ctx, []*ort.Binding{b}, ort.Timing{Most: 1})
		if err != nil {
			return ids, times, err
		}
		if err := tensor.ToFloat32(logits, w.rows[step]); err != nil {
			return ids, times, err
		}
		best, ok := argmax(logits)
		if !ok {
			return ids, times, fmt.Errorf("the logits after %d ids are not numbers", len(w.prompt)+step)
		}
		ids, times = append(ids, int64(best)), append(times, spans[0].Took())
		if step+1 < len(w.steps) {
			if err := w.write(len(w.prompt)+step, int64(best)); err != nil {
				return ids, times, err
			}
		}
	}
	return ids, times, nil
}

// write puts an id at a place of the sequence.
func (w *way) write(at int, id int64) error {
	t, err := tensor.Convert(tensor.Of(tensor.Int64, tensor.Shape{1}, []int64{id}), w.ids.DType)
	if err != nil {
		return err
	}
	copy(w.ids.Data[at*len(t.Data):], t.Data)
	return nil
}

// argmax returns the index of the greatest value, the first of equal ones; false
// where one is not a number.
func argmax(v []float32) (int, bool) {
	best := 0
	for i, x := range v {
		if math.IsNaN(float64(x)) {
			return 0, false
		}
		if x > v[best] {
			best = i
		}
	}
	return best, true
}

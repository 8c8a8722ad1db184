package eval

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"optim/internal/dataset"
	"optim/internal/ort"
)

// perplexity is e to the mean negative log likelihood of each id given those
// before it in its window. Positions that are padding, or that an earlier
// window predicted, do not count. Log-softmax and sums are in float64.
type perplexity struct {
	set         *dataset.Set
	nll         float64 // sum, in nats
	predictions int
	right       int // the greatest logit was the next id
}

// prediction is a row of logits and the id that came next.
type prediction struct {
	logits []float32
	next   int64
	sample string
}

func (p *perplexity) output(outs []ort.Info) (string, error) {
	fits := func(o ort.Info) bool { return o.DType.IsFloat() && len(o.Dims) == 3 }
	if name, ok := pick(outs, fits, "logits"); ok {
		return name, nil
	}
	return "", errors.New("no output [batch, sequence, vocabulary]")
}

func (p *perplexity) add(a, _ answer) error {
	list, err := p.list(a)
	if err != nil {
		return err
	}
	nll := make([]float64, len(list))
	right := make([]bool, len(list))
	parallel(len(list), func(i int) { nll[i], right[i] = score(list[i]) })
	for i := range list { // in order, so that threads do not change the sum
		if math.IsNaN(nll[i]) {
			return &OutputError{Output: a.out.name, Sample: list[i].sample, What: "infinite logits"}
		}
		p.nll += nll[i]
		if right[i] {
			p.right++
		}
	}
	p.predictions += len(list)
	return nil
}

// list returns what a batch predicts.
func (p *perplexity) list(a answer) ([]prediction, error) {
	width, ok := a.out.positions(a.batch)
	if !ok {
		return nil, fmt.Errorf("output %q has shape %v for %d ids per sample: want [batch, sequence, vocabulary]", a.out.name, a.out.shape, a.batch.Length)
	}
	ids, err := a.batch.Inputs[p.set.IDs()].Int64s()
	if err != nil {
		return nil, err
	}
	var list []prediction
	for i, s := range a.batch.Samples {
		logits := a.out.sample(a.batch, i)
		row := ids[i*a.batch.Length : (i+1)*a.batch.Length]
		mask := a.batch.Masks[i]
		for at := s.First; at+1 < len(row); at++ {
			if mask != nil && !(mask[at] && mask[at+1]) {
				continue
			}
			next := row[at+1]
			if next < 0 || next >= int64(width) {
				return nil, &dataset.Error{File: p.set.Source, Err: fmt.Errorf("%s: id %d is beyond the model's vocabulary of %d", s.Name, next, width)}
			}
			list = append(list, prediction{logits[at*width : (at+1)*width], next, s.Name})
		}
	}
	return list, nil
}

// score returns −ln softmax(logits)[next], and whether next has the greatest
// logit. It is NaN for logits that are all −Inf, or that have +Inf.
func score(p prediction) (nll float64, right bool) {
	best := argmax(p.logits)
	top := float64(p.logits[best])
	sum := 0.0
	for _, x := range p.logits {
		sum += math.Exp(float64(x) - top)
	}
	// The difference first: top may be so great that log(sum) would vanish.
	return math.Log(sum) + (top - float64(p.logits[p.next])), best == int(p.next)
}

// parallel calls f for 0…n−1 on all processors.
func parallel(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w * n / workers; i < (w+1)*n/workers; i++ {
				f(i)
			}
		})
	}
	wg.Wait()
}

func (p *perplexity) result() (float64, map[string]float64, error) {
	if p.predictions == 0 {
		return 0, nil, &dataset.Error{File: p.set.Source, Err: errors.New("nothing to predict: every text has fewer than two ids")}
	}
	n := float64(p.predictions)
	return math.Exp(p.nll / n), map[string]float64{
		"top1": float64(p.right) / n, "predictions": n, "nll": p.nll / n,
	}, nil
}

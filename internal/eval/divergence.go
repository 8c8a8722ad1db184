package eval

import (
	"math"

	"optim/internal/dataset"
)

// Divergence tells how a language model's predictions differ from a reference's,
// over all predictions that count for the perplexity, in the terms of llama.cpp's
// perplexity tool with --kl-divergence. Logarithms are natural. Standard errors
// take the predictions for independent of each other.
type Divergence struct {
	Predictions int `json:"predictions"`
	// LogRatio is ln(perplexity of the model / that of the reference), Ratio e to it.
	LogRatio   Estimate `json:"log_ratio"`
	Ratio      Estimate `json:"ratio"`
	Difference Estimate `json:"difference"` // of the perplexities, model less reference
	// Correlation is that of the log probabilities of the ids that came next; nil where
	// one side does not vary.
	Correlation *float64 `json:"correlation,omitempty"`
	// KL is Σ p ln(p/q), p being the reference's probabilities of all ids and q the
	// model's; nil where the vocabularies differ, or where q is 0 and p is not.
	KL *Spread `json:"kl,omitempty"`
	// DeltaP is q − p of the id that came next; RMS the root of the mean of its square.
	DeltaP  Spread   `json:"delta_p"`
	RMS     Estimate `json:"delta_p_rms"`
	SameTop Estimate `json:"same_top"` // share of the predictions with the same first choice
}

// divergence judges a language model beside its reference, row by row.
type divergence struct {
	*apart // names the outputs
	set    *dataset.Set
	sums   [2]likelihood // reference, model
	list   []window
	scores []pairScore // of one batch

	ratio      moments // differences of the negative log likelihoods
	product    float64 // Σ of their products
	kl, deltaP spread
	squares    moments // of Δp²
	same       int
	otherWidth bool // the vocabularies differ
	unbounded  int  // rows whose divergence is infinite
}

// window is what the predictions of one sample add up to.
type window struct {
	nll [2]float64
	n   int
}

// pairScore is what two rows say.
type pairScore struct {
	of   [2]score
	kl   float64
	same bool // the same first choice
}

func (d *divergence) add(s *step) error {
	next, err := nextIDs(d.set, s.batch)
	if err != nil {
		return err
	}
	var rows [2]logits
	for i := range rows {
		if rows[i], err = newLogits(d.set.Source, answer{s.batch, s.views[i][d.names[i]]}, next); err != nil {
			return err
		}
	}
	d.otherWidth = d.otherWidth || rows[0].width != rows[1].width
	d.scores = resize(d.scores, len(next))
	rows[0].each(func(i int) { d.scores[i] = scorePair(rows[0], rows[1], i) })
	windows := make([]window, len(s.batch.Samples))
	for i, p := range d.scores {
		for m := range rows {
			if err := rows[m].check(i, p.of[m]); err != nil {
				return blame(pairNames[m], err)
			}
		}
		if next[i] != nothing {
			windows[i/s.batch.Length].add(p)
			d.count(p)
		}
	}
	d.list = append(d.list, windows...)
	return nil
}

func (w *window) add(p pairScore) {
	w.n++
	w.nll[0] += p.of[0].nll
	w.nll[1] += p.of[1].nll
}

// count adds a prediction to the sums.
func (d *divergence) count(p pairScore) {
	x, y := p.of[0].nll, p.of[1].nll
	d.sums[0].add(p.of[0])
	d.sums[1].add(p.of[1])
	d.ratio.add(y - x)
	d.product += x * y
	delta := math.Exp(-y) - math.Exp(-x)
	d.deltaP.add(delta)
	d.squares.add(delta * delta)
	if p.same {
		d.same++
	}
	if math.IsInf(p.kl, 0) {
		d.unbounded++
	} else {
		d.kl.add(p.kl)
	}
}

// scorePair judges row i of a reference x and a model y. Where one of them is refused,
// or nothing is predicted, only the other's likelihood is found.
func scorePair(x, y logits, i int) pairScore {
	var p pairScore
	s, t := &p.of[0], &p.of[1]
	var countsX, countsY bool
	*s, countsX = x.begin(i)
	*t, countsY = y.begin(i)
	v, w := x.row(i), y.row(i)
	var sumX, sumY, diff float64
	if countsY {
		sumY = sumExp(w, t.top)
		y.finish(i, t, sumY)
	}
	both := countsX && countsY && len(v) == len(w)
	switch {
	case both && s.finite() && t.finite():
		sumX, diff = sumExpDiff(v, w, s.top, t.top)
	case both:
		sumX, diff = sumExp(v, s.top), maskedDiff(v, w, s.top, t.top)
	case countsX:
		sumX = sumExp(v, s.top)
	}
	if countsX {
		x.finish(i, s, sumX)
	}
	if countsX && countsY {
		p.same = sameTop(v, w, *s, *t)
	}
	if both {
		// With u and w for the logits less their greatest, Σ p ln(p/q) is
		// Σ e^u (u − w) / Σ e^u − ln Σ e^u + ln Σ e^w. Rounding may leave it below 0.
		p.kl = math.Max(diff/sumX-math.Log(sumX)+math.Log(sumY), 0)
	}
	return p
}

// sameTop reports whether the greatest elements, as the first of equals, have the
// same index.
func sameTop(x, y []float32, ex, ey score) bool {
	if ex.right || ey.right {
		return ex.right && ey.right
	}
	at := index(x, ex.top)
	return at < len(y) && y[at] == ey.top && index(y[:at], ey.top) < 0
}

// maskedDiff is the second sum of sumExpDiff for rows with −Inf: ids that a model rules
// out. Where x does, or comes to 0 in float64, the term is 0 whatever y says; where only
// y does, it is infinite.
func maskedDiff(x, y []float32, topX, topY float32) (diff float64) {
	for i, a := range x {
		u := float64(a) - float64(topX)
		if e := math.Exp(u); e > 0 {
			diff += e * (u - (float64(y[i]) - float64(topY)))
		}
	}
	return diff
}

func (d *divergence) results() ([]Result, error) {
	out := make([]Result, 2)
	for i := range out {
		r, err := d.sums[i].result(d.set.Source)
		if err != nil {
			return nil, err
		}
		out[i] = r
	}
	return out, nil
}

// retention is that of a resample of the windows.
func (d *divergence) retention(counts []int32) float64 {
	diff, n := 0.0, 0.0
	for i, c := range counts {
		w := &d.list[i]
		diff += float64(c) * (w.nll[0] - w.nll[1])
		n += float64(c) * float64(w.n)
	}
	return math.Exp(diff / n) // NaN where no window predicts anything
}

func (d *divergence) samples() int { return len(d.list) }

// correlation returns that of the negative log likelihoods.
func (d *divergence) correlation() *float64 {
	x, y := d.sums[0].mean(), d.sums[1].mean()
	if x.StdErr == 0 || y.StdErr == 0 {
		return nil
	}
	r := d.covariance() / (x.StdErr * y.StdErr)
	return &r
}

// covariance returns that of the means of the negative log likelihoods.
func (d *divergence) covariance() float64 {
	n := float64(d.ratio.n)
	return (d.product/n - d.sums[0].sum/n*(d.sums[1].sum/n)) / (n - 1)
}

// difference returns that of the perplexities, model less reference.
func (d *divergence) difference() Estimate {
	x, y := d.sums[0].mean(), d.sums[1].mean()
	px, py := math.Exp(x.Value), math.Exp(y.Value)
	if d.ratio.n < 2 {
		return Estimate{py - px, 0}
	}
	// The variance of the difference of two that vary together, to first order.
	ex, ey := px*x.StdErr, py*y.StdErr
	variance := ex*ex + ey*ey - 2*px*py*d.covariance()
	return Estimate{py - px, math.Sqrt(math.Max(variance, 0))}
}

// report fills in what is known of the two models beside their perplexities.
func (d *divergence) report(k *Kept) {
	n := d.ratio.n
	k.Agreement = &Decisions{Same: d.same, Of: n, Unit: Positions}
	out := &Divergence{Predictions: n, LogRatio: d.ratio.mean(), DeltaP: d.deltaP.result(), Correlation: d.correlation()}
	ratio := math.Exp(out.LogRatio.Value)
	out.Ratio = Estimate{ratio, ratio * out.LogRatio.StdErr}
	out.Difference = d.difference()
	out.RMS = rootOf(d.squares.mean())
	out.SameTop = share(d.same, n)
	switch {
	case d.otherWidth:
		k.note("no KL divergence: the models have vocabularies of different sizes")
	case d.unbounded > 0:
		k.note("no KL divergence: %s gives probability 0 to what %s deems possible, in %d of %d predictions", pairNames[1], pairNames[0], d.unbounded, n)
	default:
		kl := d.kl.result()
		out.KL = &kl
	}
	k.Divergence = out
}

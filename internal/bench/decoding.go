package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"optim/internal/bench/decode"
	"optim/internal/dataset"
	"optim/internal/host"
	"optim/internal/inspect"
)

// Usual lengths of decoding, in ids.
const (
	DefaultPrompt = 32
	DefaultNew    = 64
)

// decodeRequest asks for decoding.
type decodeRequest struct {
	Prompt, New int
	Duration    time.Duration
}

// decode measures each model as it writes ids, one model after the other.
func (b *bench) decode() error {
	return b.oneByOne(b.decodeModel, func(r Row) bool { return r.Decode != nil })
}

func (b *bench) decodeModel(m *model) (row Row, err error) {
	prompt, fresh, err := b.decodeLengths(m)
	if err != nil {
		return row, m.blame(err)
	}
	m.spec.Read.SeqLen = prompt
	w, o, err := b.open(m)
	if err != nil {
		return row, err
	}
	defer w.close()
	if o.Batch > 1 {
		return row, m.blame(fmt.Errorf("decoding is of one text at a time, and not of %d", o.Batch))
	}
	row = b.row(m, Setting{Batch: 1, Concurrency: 1})
	row.BaseRSS, row.Cold = o.BaseRSS, newCold(o.LoadMS, o.FirstMS)
	a, err := w.ask(b.ctx, request{Decode: &decodeRequest{prompt, fresh, b.Duration}})
	row.Decode = a.Decode
	if err != nil {
		return row, m.blame(err)
	}
	return row, b.remember(&row, w)
}

// decodeLengths returns how many ids are given and written: what the user says, else
// what is usual and fits the context.
func (b *bench) decodeLengths(m *model) (prompt, fresh int, err error) {
	_, rows := inspect.Tables(m.graph)
	limit, from := dataset.ContextLimit(dataset.ModelInfo{Path: m.path}, dataset.Options{PositionRows: rows})
	if limit == 0 {
		limit = math.MaxInt
	}
	if prompt = b.Prompt; prompt == 0 {
		prompt = min(DefaultPrompt, max(1, limit/2))
	}
	if fresh = b.New; fresh == 0 {
		fresh = min(DefaultNew, limit-prompt)
	}
	if fresh < 1 || prompt+fresh > limit {
		return 0, 0, fmt.Errorf("a prompt of %d ids and %d new ones are more than the %d ids that the model takes (%s)", prompt, max(fresh, 1), limit, from)
	}
	return prompt, fresh, nil
}

// decode answers a request for decoding. The prompt is the beginning of the first
// sample.
func (w *worker) decode(ctx context.Context, r decodeRequest) (*decode.Report, error) {
	ids := w.stage.load.IDs(0)
	if len(ids) == 0 {
		return nil, errors.New("it takes no ids: decoding is for causal language models")
	}
	if len(ids) < r.Prompt {
		return nil, fmt.Errorf("the first text has %d ids, and the prompt takes %d", len(ids), r.Prompt)
	}
	facts, err := host.Probe(ctx)
	if err != nil {
		return nil, err
	}
	out, err := decode.Run(ctx, w.stage.sessions[0], w.stage.graph, decode.Options{
		Prompt: ids[:r.Prompt], New: r.New, Duration: r.Duration, MaxBytes: facts.Room() / 2,
		Progress: func(s decode.Step) {
			what := "decoding without the cache"
			if s.Cached {
				what = "decoding with the cache"
			}
			w.send(response{Progress: &progress{what, int64(s.Repeat), 0}})
		},
	})
	return &out, err
}

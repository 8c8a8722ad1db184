package ort

import (
	"context"
	"fmt"
	"sync"

	"optim/internal/tensor"
)

// RunLent is RunContext without the copies: the results lie in ONNX Runtime's
// own memory. They may be read until release is called, which may happen more
// than once and on any goroutine, but has to happen before Close. An error comes
// without a release.
func (s *Session) RunLent(ctx context.Context, in map[string]tensor.Tensor, names []string) (out map[string]tensor.Tensor, release func(), err error) {
	s.life.RLock()
	defer s.life.RUnlock()
	names, results, err := s.run(ctx, in, names)
	if err != nil {
		return nil, nil, err
	}
	out = make(map[string]tensor.Tensor, len(names))
	for i, name := range names {
		if out[name], err = lendValue(results[i]); err != nil {
			releaseAll(results)
			return nil, nil, fmt.Errorf("output %q: %w", name, err)
		}
	}
	return out, sync.OnceFunc(func() { releaseAll(results) }), nil
}

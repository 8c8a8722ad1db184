package gate

import (
	"errors"

	"optim/internal/ort"
	"optim/internal/workload"
)

// findInputs returns the first sample of the data, or else made-up inputs that
// the source runs with; nil, with a warning, where it runs with none.
func (r *run) findInputs(s *ort.Session) (*workload.Found, error) {
	sizes := workload.Small
	if r.times() { // which says little of what runs in microseconds
		sizes = workload.Typical
	}
	found, err := workload.Find(r.ctx, workload.Model{Graph: r.Source, Session: s}, r.Probe.Source, r.Probe.Read, sizes)
	var unfit *workload.UnfitError
	if errors.As(err, &unfit) {
		r.warnf("the source runs with none of the input sizes that were tried: the result was loaded, not compared (give --dim or --shape); the last: %v", unfit.Last)
		return nil, nil
	}
	return found, err
}

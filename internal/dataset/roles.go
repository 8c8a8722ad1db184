package dataset

import "optim/internal/ort"

// IDs returns the name of the input that takes the ids of a text; empty: the
// model has none.
func (m ModelInfo) IDs() string {
	sh := &shaper{model: m}
	sh.assignRoles()
	return sh.ids
}

// IsMade reports whether an input of a model for text follows from its ids and
// need not be given: the mask, token types, positions, an empty cache.
func (m ModelInfo) IsMade(in ort.Info) bool {
	sh := &shaper{model: m}
	sh.assignRoles()
	return sh.isMade(in)
}

// isMade reports whether an input is left to Set.finish.
func (sh *shaper) isMade(in ort.Info) bool {
	if sh.ids == "" {
		return false
	}
	return in.Name == sh.mask || in.Name == sh.types || in.Name == sh.positions || isPast(in) || in.Name == "use_cache_branch"
}

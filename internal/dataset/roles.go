package dataset

import "optim/internal/ort"

// Roles are the names of the inputs of a model for text that exporters name by
// convention; empty: the model has none.
type Roles struct{ IDs, Mask, Types, Positions string }

// Roles returns which inputs take what.
func (m ModelInfo) Roles() Roles {
	sh := &shaper{model: m}
	sh.assignRoles()
	return Roles{sh.ids, sh.mask, sh.types, sh.positions}
}

// IDs returns the name of the input that takes the ids of a text; empty: the
// model has none.
func (m ModelInfo) IDs() string { return m.Roles().IDs }

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
	return in.Name == sh.mask || in.Name == sh.types || in.Name == sh.positions || IsPast(in) || in.Name == "use_cache_branch"
}

package quant

import "optim/internal/rounding"

type Solution struct {
	Grid  rounding.Grid
	Codes func(dst []byte) error
}
type Solutions map[string]*Solution

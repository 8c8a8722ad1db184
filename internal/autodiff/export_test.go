package autodiff

import "slices"

// Differentiable lists the operators through which gradients pass.
func Differentiable() []string {
	return slices.DeleteFunc(sortedKeys(rules), func(op string) bool { return rules[op] == nil })
}

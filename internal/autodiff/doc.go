// Package autodiff writes the gradients of an ONNX graph as an ONNX graph. A
// model is frozen for inputs of fixed sizes, so that the type and shape of every
// value is known and all arithmetic on shapes is done (Freeze); losses and
// optimizers are built on it with the operators of Graph; and Gradients appends
// the nodes of reverse-mode differentiation, one vector-Jacobian rule per operator
// (see rules).
package autodiff

// Package ort runs models with ONNX Runtime. It finds and loads the runtime's
// shared library, opens sessions with every option that the commands need, runs
// them with tensors of any element type, and reads the profiles they write.
//
// It is the only importer of onnxruntime_go, which does the loading, the
// environment, the session options and the creation of sessions. What that
// module lacks (results of half precision, 8-bit floats, 4-bit integers and
// scalars; named dimensions; optional inputs; the list of providers; operator
// libraries) is done by the small cgo layer in native.c against the same C API.
//
// Nothing is loaded before Load is called: commands that need no runtime pay
// nothing for it.
package ort

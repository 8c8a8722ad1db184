package ort

// Relu is the model that providers are tried with.
const Relu = relu

// Package checkpoint reads quantized checkpoints of Hugging Face: weights in
// safetensors files, whose matrices GPTQ or AWQ have made integers of. It
// knows neither a runtime nor ONNX; package quant fits a checkpoint to a graph.
//
// Layouts, as the loaders of transformers, AutoGPTQ, GPTQModel and AutoAWQ read
// them, for a product of K inputs and N outputs:
//
//	GPTQ  qweight int32 [K·bits/32, N]      codes along K, low bits first; 3 bits
//	                                        run on over the ends of words
//	      qzeros  int32 [groups, N·bits/32] zero points along N, less 1; as they
//	                                        are in format gptq_v2
//	      scales  float [groups, N]
//	      g_idx   int32 [K]                 group of each input; may be missing
//	AWQ   qweight int32 [K, N/8]            codes along N; a word holds columns
//	                                        0 2 4 6 1 3 5 7, low bits first
//	      qzeros  int32 [groups, N/8]       likewise
//	      scales  float [groups, N]
//
// A weight is scale · (code − zero point) of its group.
//
// Everything is untrusted: sizes are checked before anything is allocated, and
// no file outside the folder is opened.
package checkpoint

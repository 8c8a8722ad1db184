// The part of the C API of ONNX Runtime that onnxruntime_go does not reach:
// results of every element type, named dimensions, providers, operator
// libraries, profiles. Every function that returns an OrtStatus* returns NULL
// on success; the caller releases the rest with opt_release_status.
#ifndef OPTIM_ORT_NATIVE_H
#define OPTIM_ORT_NATIVE_H

#include "onnxruntime_c_api.h"

// opt_return_large makes malloc give blocks of 4 MiB and more back to the system when they are
// freed. glibc raises that limit by itself to the largest block that was freed,
// and then keeps blocks of 20 MB, one for each product, in its heaps.
void opt_return_large(void);

// opt_probe opens a library and reads its version. 0: fine, *handle and
// *version are set; 1: dlopen failed; 2: it is not ONNX Runtime. *text is a
// message (1) to be freed, or else the path that was really opened, or NULL.
int opt_probe(const char *path, void **handle, const char **version, char **text);
void opt_close(void *handle);
// opt_use takes the C API of an opened library for all calls below; nonzero:
// it does not offer the wanted version of the API.
int opt_use(void *handle);

const char *opt_message(const OrtStatus *s);
void opt_release_status(OrtStatus *s);
void opt_free(void *p);  // frees what ONNX Runtime's default allocator gave

OrtStatus *opt_providers(char ***names, int *n);
void opt_release_providers(char **names, int n);
OrtStatus *opt_custom_ops(void *options, const char *library);
OrtStatus *opt_cancel_load(void *options);  // from any thread, while a session is made

OrtStatus *opt_tensor_over(void *data, size_t size, const int64_t *dims, size_t rank, int type, OrtValue **out);
OrtStatus *opt_tensor_new(const int64_t *dims, size_t rank, int type, OrtValue **out);
OrtStatus *opt_set_string(OrtValue *v, size_t i, const char *s, size_t n);
OrtStatus *opt_strings_size(const OrtValue *v, size_t *n);
OrtStatus *opt_strings(const OrtValue *v, void *buf, size_t size, size_t *offsets, size_t n);
OrtStatus *opt_value_kind(const OrtValue *v, int *kind, int *present);
OrtStatus *opt_value_type(const OrtValue *v, int *type, size_t *rank, OrtTensorTypeAndShapeInfo **info);
OrtStatus *opt_value_data(OrtValue *v, void **data);
void opt_release_value(OrtValue *v);

OrtStatus *opt_dims(const OrtTensorTypeAndShapeInfo *info, int64_t *dims, size_t rank);
OrtStatus *opt_symbols(const OrtTensorTypeAndShapeInfo *info, const char **names, size_t rank);
void opt_release_info(OrtTensorTypeAndShapeInfo *info);

// Kinds of a session's slots.
enum { OPT_INPUT = 0, OPT_OUTPUT = 1, OPT_OVERRIDABLE = 2 };
OrtStatus *opt_slots(const OrtSession *s, int side, size_t *n);
// opt_slot: *info stays owned by *owner, which opt_release_type releases; it is
// NULL where the slot is no tensor.
OrtStatus *opt_slot(const OrtSession *s, int side, size_t i, char **name, int *kind, OrtTypeInfo **owner,
                    const OrtTensorTypeAndShapeInfo **info, int *type, size_t *rank);
void opt_release_type(OrtTypeInfo *t);

OrtStatus *opt_run_options(OrtRunOptions **o);
OrtStatus *opt_terminate(OrtRunOptions *o);
void opt_release_run_options(OrtRunOptions *o);
OrtStatus *opt_run(OrtSession *s, const OrtRunOptions *o, const char **in_names, OrtValue **in, size_t n_in,
                   const char **out_names, OrtValue **out, size_t n_out);
OrtStatus *opt_end_profiling(OrtSession *s, char **file);

OrtStatus *opt_binding(OrtSession *s, OrtIoBinding **b);
OrtStatus *opt_bind_input(OrtIoBinding *b, const char *name, const OrtValue *v);
OrtStatus *opt_bind_output(OrtIoBinding *b, const char *name, const OrtValue *v);  // v NULL: ONNX Runtime allocates
OrtStatus *opt_run_binding(OrtSession *s, const OrtRunOptions *o, OrtIoBinding *b);
// opt_time_runs runs the bindings in turn, from the one at first on, and writes
// when each run began and ended into at, as pairs of nanoseconds of the
// monotonic clock. It ends after most runs, before a run that would begin after
// until, or when *stop is not 0; *done is how many runs were made. An error of a
// run ends it, too.
OrtStatus *opt_time_runs(OrtSession *s, const OrtRunOptions *o, OrtIoBinding **b, size_t n, size_t first, size_t most,
                         int64_t until, const volatile int *stop, int64_t *at, size_t *done);
int64_t opt_clock(void);  // the monotonic clock, in nanoseconds
int64_t opt_read_clock(size_t n);  // how long n readings take
OrtStatus *opt_bound_outputs(const OrtIoBinding *b, OrtValue ***values, size_t *n);
void opt_release_binding(OrtIoBinding *b);

#endif

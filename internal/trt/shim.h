// The C boundary of the shim: no type, value or flag of NVIDIA crosses it, since their
// numbers and layouts change between versions.
#ifndef OPTIM_TRT_SHIM_H
#define OPTIM_TRT_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { OTRT_OK, OTRT_FAILED, OTRT_NOT_PARSED, OTRT_CANCELED, OTRT_NO_DRIVER };

// Bits of otrt_options.flags.
enum {
	OTRT_NO_TF32 = 1,
	OTRT_VERSION_COMPATIBLE = 2,
	OTRT_REFIT = 4,
	OTRT_DETAILED = 8,
};

// otrt_range is what one input may be in one profile: n dimensions, or n values of a shape
// tensor.
typedef struct {
	const char *input;
	int32_t profile, values, n;
	const int64_t *min, *opt, *max;
} otrt_range;

typedef struct {
	uint64_t workspace; // bytes; 0: the library's own limit
	int32_t opt_level;  // below 0: the library's own
	int32_t flags;
	int32_t hw_compat; // 0: none, 1: Ampere and later, 2: same compute capability
	int32_t n_capabilities, n_profiles, n_ranges, n_plugins;
	const int32_t *capabilities; // 89 for 8.9
	const otrt_range *ranges;
	const char *const *plugins;
	const void *timing_cache; // NULL: none is wanted
	size_t timing_cache_size; // 0: an empty one
} otrt_options;

// otrt_result is a built engine. plan lies in memory of the library until otrt_free_result.
typedef struct {
	const void *plan;
	size_t size;
	char *network;    // JSON: inputs, outputs, element types of the layers' outputs
	void *cache;      // the timing cache as it is now
	size_t cache_size;
	void *owner;
} otrt_result;

int otrt_is_rtx(void);
int otrt_headers(void); // 10000 · major + 100 · minor + patch
int otrt_library(void); // of the library that is open
const char *otrt_path(void);

// otrt_open opens the libraries of a folder (NULL: where the loader finds them). It may be
// called again. *err is a text to be freed.
int otrt_open(const char *dir, char **err);

// otrt_build parses a model file and builds an engine of it. What the library says and how
// far it is goes to optimTrtLog and optimTrtProgress with the handle. Where the model does
// not parse, *err is a JSON list of nodes.
int otrt_build(const char *model, const otrt_options *o, uintptr_t handle, otrt_result *r, char **err);
void otrt_free_result(otrt_result *r);

typedef struct otrt_engine otrt_engine;
typedef struct otrt_context otrt_context;

int otrt_load(const void *plan, size_t size, otrt_engine **out, char **err);
char *otrt_engine_json(otrt_engine *e);   // tensors, profiles, device memory
char *otrt_engine_layers(otrt_engine *e); // the inspector's JSON
void otrt_engine_free(otrt_engine *e);

int otrt_context_new(otrt_engine *e, otrt_context **out, char **err);
int otrt_context_profile(otrt_context *c, int32_t profile, uintptr_t stream);
int otrt_context_input_shape(otrt_context *c, const char *input, const int64_t *dims, int32_t n);
int otrt_context_shape(otrt_context *c, const char *tensor, int64_t *dims, int32_t *n); // up to 8
int otrt_context_bind(otrt_context *c, const char *tensor, uintptr_t device);
char *otrt_context_missing(otrt_context *c); // names of tensors without shape or address; NULL: none
int otrt_context_enqueue(otrt_context *c, uintptr_t stream);
void otrt_context_free(otrt_context *c);

void otrt_free(void *p);
char *otrt_said(void); // errors of the library since the last call, one a line; to be freed

// Of the Go side.
void optimTrtLog(uintptr_t handle, int32_t severity, char *text);
int32_t optimTrtProgress(uintptr_t handle, char *phase, int32_t done, int32_t total); // 0: cancel

#ifdef __cplusplus
}
#endif
#endif

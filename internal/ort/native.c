#define _GNU_SOURCE  // dladdr
#include "native.h"

#include <dlfcn.h>
#include <time.h>

#ifdef __GLIBC__
#include <malloc.h>

void opt_return_large(void) { mallopt(M_MMAP_THRESHOLD, 4 << 20); }
#else
void opt_return_large(void) {}
#endif

// The one C API in use; set once by opt_use, under the lock of the Go side.
static const OrtApi *api;
static OrtAllocator *allocator;
static OrtMemoryInfo *host;

typedef const OrtApiBase *(*base_fn)(void);

int opt_probe(const char *path, void **handle, const char **version, char **text) {
  *text = NULL;
  void *h = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
  if (h == NULL) {
    const char *why = dlerror();
    *text = strdup(why != NULL ? why : "unknown error");
    return 1;
  }
  void *sym = dlsym(h, "OrtGetApiBase");
  if (sym == NULL) {
    dlclose(h);
    return 2;
  }
  *handle = h;
  *version = ((base_fn)sym)()->GetVersionString();
  Dl_info where;
  if (dladdr(sym, &where) != 0 && where.dli_fname != NULL) *text = strdup(where.dli_fname);
  return 0;
}

void opt_close(void *handle) { dlclose(handle); }

int opt_use(void *handle) {
  const OrtApi *a = ((base_fn)dlsym(handle, "OrtGetApiBase"))()->GetApi(ORT_API_VERSION);
  if (a == NULL) return 1;
  OrtStatus *s = a->GetAllocatorWithDefaultOptions(&allocator);
  if (s == NULL) s = a->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &host);
  if (s != NULL) {
    a->ReleaseStatus(s);
    return 1;
  }
  api = a;
  return 0;
}

const char *opt_message(const OrtStatus *s) { return api->GetErrorMessage(s); }
void opt_release_status(OrtStatus *s) { api->ReleaseStatus(s); }

void opt_free(void *p) {
  OrtStatus *s = api->AllocatorFree(allocator, p);
  if (s != NULL) api->ReleaseStatus(s);
}

OrtStatus *opt_providers(char ***names, int *n) { return api->GetAvailableProviders(names, n); }

void opt_release_providers(char **names, int n) {
  OrtStatus *s = api->ReleaseAvailableProviders(names, n);
  if (s != NULL) api->ReleaseStatus(s);
}

OrtStatus *opt_custom_ops(void *options, const char *library) {
  return api->RegisterCustomOpsLibrary_V2((OrtSessionOptions *)options, library);
}

OrtStatus *opt_cancel_load(void *options) {
  return api->SessionOptionsSetLoadCancellationFlag((OrtSessionOptions *)options, true);
}

OrtStatus *opt_tensor_over(void *data, size_t size, const int64_t *dims, size_t rank, int type, OrtValue **out) {
  return api->CreateTensorWithDataAsOrtValue(host, data, size, dims, rank, (ONNXTensorElementDataType)type, out);
}

OrtStatus *opt_tensor_new(const int64_t *dims, size_t rank, int type, OrtValue **out) {
  return api->CreateTensorAsOrtValue(allocator, dims, rank, (ONNXTensorElementDataType)type, out);
}

OrtStatus *opt_set_string(OrtValue *v, size_t i, const char *s, size_t n) {
  // Not FillStringTensorElement: that one stops at the first zero byte.
  char *buf = NULL;
  OrtStatus *st = api->GetResizedStringTensorElementBuffer(v, i, n, &buf);
  if (st == NULL && n > 0) memcpy(buf, s, n);
  return st;
}

OrtStatus *opt_strings_size(const OrtValue *v, size_t *n) { return api->GetStringTensorDataLength(v, n); }

OrtStatus *opt_strings(const OrtValue *v, void *buf, size_t size, size_t *offsets, size_t n) {
  return api->GetStringTensorContent(v, buf, size, offsets, n);
}

OrtStatus *opt_value_kind(const OrtValue *v, int *kind, int *present) {
  OrtStatus *s = api->HasValue(v, present);
  if (s != NULL || !*present) return s;
  enum ONNXType t;
  s = api->GetValueType(v, &t);
  *kind = (int)t;
  return s;
}

OrtStatus *opt_value_type(const OrtValue *v, int *type, size_t *rank, OrtTensorTypeAndShapeInfo **info) {
  OrtStatus *s = api->GetTensorTypeAndShape(v, info);
  if (s != NULL) return s;
  enum ONNXTensorElementDataType t;
  s = api->GetTensorElementType(*info, &t);
  if (s == NULL) s = api->GetDimensionsCount(*info, rank);
  if (s != NULL) {
    api->ReleaseTensorTypeAndShapeInfo(*info);
    *info = NULL;
    return s;
  }
  *type = (int)t;
  return NULL;
}

OrtStatus *opt_value_data(OrtValue *v, void **data) { return api->GetTensorMutableData(v, data); }
void opt_release_value(OrtValue *v) { api->ReleaseValue(v); }

OrtStatus *opt_dims(const OrtTensorTypeAndShapeInfo *info, int64_t *dims, size_t rank) {
  return api->GetDimensions(info, dims, rank);
}

OrtStatus *opt_symbols(const OrtTensorTypeAndShapeInfo *info, const char **names, size_t rank) {
  return api->GetSymbolicDimensions(info, names, rank);
}

void opt_release_info(OrtTensorTypeAndShapeInfo *info) { api->ReleaseTensorTypeAndShapeInfo(info); }

OrtStatus *opt_slots(const OrtSession *s, int side, size_t *n) {
  if (side == OPT_INPUT) return api->SessionGetInputCount(s, n);
  if (side == OPT_OUTPUT) return api->SessionGetOutputCount(s, n);
  return api->SessionGetOverridableInitializerCount(s, n);
}

static OrtStatus *slot_name(const OrtSession *s, int side, size_t i, char **name) {
  if (side == OPT_INPUT) return api->SessionGetInputName(s, i, allocator, name);
  if (side == OPT_OUTPUT) return api->SessionGetOutputName(s, i, allocator, name);
  return api->SessionGetOverridableInitializerName(s, i, allocator, name);
}

static OrtStatus *slot_type(const OrtSession *s, int side, size_t i, OrtTypeInfo **t) {
  if (side == OPT_INPUT) return api->SessionGetInputTypeInfo(s, i, t);
  if (side == OPT_OUTPUT) return api->SessionGetOutputTypeInfo(s, i, t);
  return api->SessionGetOverridableInitializerTypeInfo(s, i, t);
}

OrtStatus *opt_slot(const OrtSession *s, int side, size_t i, char **name, int *kind, OrtTypeInfo **owner,
                    const OrtTensorTypeAndShapeInfo **info, int *type, size_t *rank) {
  *info = NULL;
  *owner = NULL;
  OrtStatus *st = slot_name(s, side, i, name);
  if (st != NULL) return st;
  st = slot_type(s, side, i, owner);
  if (st != NULL) return st;
  enum ONNXType k;
  st = api->GetOnnxTypeFromTypeInfo(*owner, &k);
  if (st != NULL) return st;
  *kind = (int)k;
  if (k != ONNX_TYPE_TENSOR) return NULL;
  st = api->CastTypeInfoToTensorInfo(*owner, info);
  if (st != NULL || *info == NULL) return st;
  enum ONNXTensorElementDataType t;
  st = api->GetTensorElementType(*info, &t);
  *type = (int)t;
  return st != NULL ? st : api->GetDimensionsCount(*info, rank);
}

void opt_release_type(OrtTypeInfo *t) {
  if (t != NULL) api->ReleaseTypeInfo(t);
}

OrtStatus *opt_run_options(OrtRunOptions **o) { return api->CreateRunOptions(o); }
OrtStatus *opt_terminate(OrtRunOptions *o) { return api->RunOptionsSetTerminate(o); }
void opt_release_run_options(OrtRunOptions *o) { api->ReleaseRunOptions(o); }

OrtStatus *opt_run(OrtSession *s, const OrtRunOptions *o, const char **in_names, OrtValue **in, size_t n_in,
                   const char **out_names, OrtValue **out, size_t n_out) {
  return api->Run(s, o, in_names, (const OrtValue *const *)in, n_in, out_names, n_out, out);
}

OrtStatus *opt_end_profiling(OrtSession *s, char **file) { return api->SessionEndProfiling(s, allocator, file); }

OrtStatus *opt_binding(OrtSession *s, OrtIoBinding **b) { return api->CreateIoBinding(s, b); }

OrtStatus *opt_bind_input(OrtIoBinding *b, const char *name, const OrtValue *v) { return api->BindInput(b, name, v); }

OrtStatus *opt_bind_output(OrtIoBinding *b, const char *name, const OrtValue *v) {
  return v != NULL ? api->BindOutput(b, name, v) : api->BindOutputToDevice(b, name, host);
}

OrtStatus *opt_run_binding(OrtSession *s, const OrtRunOptions *o, OrtIoBinding *b) {
  return api->RunWithBinding(s, o, b);
}

int64_t opt_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t opt_read_clock(size_t n) {
  const int64_t begin = opt_clock();
  int64_t end = begin;
  while (n-- > 0) end = opt_clock();
  return end - begin;
}

OrtStatus *opt_time_runs(OrtSession *s, const OrtRunOptions *o, OrtIoBinding **b, size_t n, size_t first, size_t most,
                         int64_t until, const volatile int *stop, int64_t *at, size_t *done) {
  for (*done = 0; *done < most && !*stop; ++*done) {
    OrtIoBinding *binding = b[(first + *done) % n];
    const int64_t begin = opt_clock();
    if (begin >= until) return NULL;
    OrtStatus *st = api->RunWithBinding(s, o, binding);
    const int64_t end = opt_clock();
    if (st != NULL) return st;
    at[2 * *done] = begin;
    at[2 * *done + 1] = end;
  }
  return NULL;
}

OrtStatus *opt_bound_outputs(const OrtIoBinding *b, OrtValue ***values, size_t *n) {
  return api->GetBoundOutputValues(b, allocator, values, n);
}

void opt_release_binding(OrtIoBinding *b) { api->ReleaseIoBinding(b); }

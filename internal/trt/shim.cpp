//go:build cgo && trt

// The only file that sees NVIDIA's headers. It compiles against TensorRT 10.16 and later
// and TensorRT-RTX 1.3 and later, and opens the libraries when it is asked to.
#include "shim.h"

#include <NvInfer.h>
#include <NvOnnxParser.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

using namespace nvinfer1;

namespace {

#ifdef TRT_MAJOR_RTX
const char *const flavour = "TensorRT-RTX";
#define CORE_NAME "libtensorrt_rtx.so." OTRT_STRING(TRT_MAJOR_RTX)
#define PARSER_NAME "libtensorrt_onnxparser_rtx.so." OTRT_STRING(TRT_MAJOR_RTX)
#else
const char *const flavour = "TensorRT";
#define CORE_NAME "libnvinfer.so." OTRT_STRING(NV_TENSORRT_MAJOR)
#define PARSER_NAME "libnvonnxparser.so." OTRT_STRING(NV_TENSORRT_MAJOR)
#endif
#define OTRT_STRING(x) OTRT_STRING2(x)
#define OTRT_STRING2(x) #x

const int headers = NV_TENSORRT_MAJOR * 10000 + NV_TENSORRT_MINOR * 100 + NV_TENSORRT_PATCH;

char *copied(const std::string &s) { return strdup(s.c_str()); }

// Log is the one logger of the process: TensorRT keeps the first that it gets. It sends
// lines to the build that runs, and gathers errors.
class Log : public ILogger {
public:
	void log(Severity s, const char *text) noexcept override {
		std::lock_guard<std::mutex> lock(mutex);
		if (s <= Severity::kERROR) errors.push_back(text);
		if (handle != 0) optimTrtLog(handle, static_cast<int32_t>(s), const_cast<char *>(text));
	}
	void send(uintptr_t h) {
		std::lock_guard<std::mutex> lock(mutex);
		handle = h;
		errors.clear();
	}
	std::string said() {
		std::lock_guard<std::mutex> lock(mutex);
		std::string all;
		for (auto &e : errors) all += (all.empty() ? "" : "\n") + e;
		errors.clear();
		return all;
	}

private:
	std::mutex mutex;
	std::vector<std::string> errors;
	uintptr_t handle = 0;
};

Log &logger() {
	static Log *one = new Log; // never freed
	return *one;
}

// The functions of the libraries.
struct Library {
	void *(*builder)(void *, int32_t) = nullptr;
	void *(*runtime)(void *, int32_t) = nullptr;
	int32_t (*version)() = nullptr;
	void *(*parser)(void *, void *, int) = nullptr;
	std::string path;
} lib;

std::mutex building; // TensorRT's builder is not for several threads

void *openFile(const char *dir, const char *name, std::string &err) {
	std::string path = dir == nullptr || *dir == 0 ? name : std::string(dir) + "/" + name;
	void *h = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
	if (h == nullptr) err = dlerror();
	return h;
}

template <typename F> bool symbol(void *h, const char *name, F &f, std::string &err) {
	f = reinterpret_cast<F>(dlsym(h, name));
	if (f == nullptr) err = std::string("it has no ") + name;
	return f != nullptr;
}

std::string version(int v) {
	return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100);
}

// compatible compares the library with the headers: virtual tables of TensorRT-RTX change
// between minor versions, those of TensorRT within a major one only grow.
bool compatible(int library) {
#ifdef TRT_MAJOR_RTX
	return library / 100 == headers / 100;
#else
	return library / 10000 == headers / 10000 && library >= headers;
#endif
}

// JSON, as little as is needed.
std::string quoted(const char *s) {
	std::string out = "\"";
	for (; s != nullptr && *s != 0; s++) {
		unsigned char c = static_cast<unsigned char>(*s);
		if (c == '"' || c == '\\') {
			out += '\\';
			out += *s;
		} else if (c < 0x20) {
			char hex[8];
			snprintf(hex, sizeof hex, "\\u%04x", c);
			out += hex;
		} else {
			out += *s;
		}
	}
	return out + "\"";
}

std::string quoted(const std::string &s) { return quoted(s.c_str()); }

const char *typeName(DataType t) {
	switch (t) {
	case DataType::kFLOAT: return "float32";
	case DataType::kHALF: return "float16";
	case DataType::kINT8: return "int8";
	case DataType::kINT32: return "int32";
	case DataType::kBOOL: return "bool";
	case DataType::kUINT8: return "uint8";
	case DataType::kFP8: return "float8e4m3fn";
	case DataType::kBF16: return "bfloat16";
	case DataType::kINT64: return "int64";
	case DataType::kINT4: return "int4";
	default: return "other";
	}
}

std::string dimsText(const Dims &d) {
	std::string out = "[";
	for (int i = 0; i < d.nbDims; i++) out += (i ? "," : "") + std::to_string(d.d[i]);
	return out + "]";
}

std::string tensorText(const char *name, DataType t, const Dims &d) {
	return "{\"name\":" + quoted(name) + ",\"dtype\":\"" + typeName(t) + "\",\"shape\":" + dimsText(d) + "}";
}

// networkText tells the inputs and outputs, and of how many layers the first output has
// which element type: exact, as the network is strongly typed.
std::string networkText(INetworkDefinition &n) {
	std::string out = "{\"inputs\":[";
	for (int i = 0; i < n.getNbInputs(); i++) {
		auto *t = n.getInput(i);
		out += (i ? "," : "") + tensorText(t->getName(), t->getType(), t->getDimensions());
	}
	out += "],\"outputs\":[";
	for (int i = 0; i < n.getNbOutputs(); i++) {
		auto *t = n.getOutput(i);
		out += (i ? "," : "") + tensorText(t->getName(), t->getType(), t->getDimensions());
	}
	std::map<std::string, int> types;
	for (int i = 0; i < n.getNbLayers(); i++) {
		auto *l = n.getLayer(i);
		if (l->getNbOutputs() > 0 && l->getOutput(0) != nullptr) types[typeName(l->getOutput(0)->getType())]++;
	}
	out += "],\"types\":{";
	bool first = true;
	for (auto &t : types) {
		out += (first ? "" : ",") + quoted(t.first) + ":" + std::to_string(t.second);
		first = false;
	}
	return out + "},\"layers\":" + std::to_string(n.getNbLayers()) + "}";
}

std::string parserErrors(nvonnxparser::IParser &p) {
	std::string out = "[";
	for (int i = 0; i < p.getNbErrors(); i++) {
		auto *e = p.getError(i);
		out += std::string(i ? "," : "") + "{\"node\":" + std::to_string(e->node()) + ",\"name\":" + quoted(e->nodeName()) +
			",\"op\":" + quoted(e->nodeOperator()) + ",\"description\":" + quoted(e->desc()) + ",\"code\":" + std::to_string(static_cast<int>(e->code())) + "}";
	}
	return out + "]";
}

// Monitor tells how far a build is, and stops it when it is told to.
class Monitor : public IProgressMonitor {
public:
	explicit Monitor(uintptr_t h) : handle(h) {}
	void phaseStart(const char *name, const char *, int32_t steps) noexcept override {
		std::lock_guard<std::mutex> lock(mutex);
		totals[name] = steps;
		tell(name, 0, steps);
	}
	bool stepComplete(const char *name, int32_t step) noexcept override {
		std::lock_guard<std::mutex> lock(mutex);
		tell(name, step + 1, totals[name]);
		return !stopped;
	}
	void phaseFinish(const char *name) noexcept override {
		std::lock_guard<std::mutex> lock(mutex);
		tell(name, totals[name], totals[name]);
	}
	bool stopped = false;

private:
	void tell(const char *name, int32_t done, int32_t total) noexcept {
		if (optimTrtProgress(handle, const_cast<char *>(name), done, total) == 0) stopped = true;
	}
	std::mutex mutex;
	std::map<std::string, int32_t> totals;
	uintptr_t handle;
};

Dims dimsOf(const int64_t *v, int32_t n) {
	Dims d{};
	d.nbDims = n;
	for (int i = 0; i < n && i < Dims::MAX_DIMS; i++) d.d[i] = v[i];
	return d;
}

bool setValues(IOptimizationProfile &p, const char *input, OptProfileSelector s, const int64_t *v, int32_t n) {
#if !defined(TRT_MAJOR_RTX) && NV_TENSORRT_MAJOR * 100 + NV_TENSORRT_MINOR < 1011
	std::vector<int32_t> narrow(v, v + n);
	return p.setShapeValues(input, s, narrow.data(), n);
#else
	return p.setShapeValuesV2(input, s, v, n);
#endif
}

bool setRange(IOptimizationProfile &p, const otrt_range &r) {
	const OptProfileSelector places[3] = {OptProfileSelector::kMIN, OptProfileSelector::kOPT, OptProfileSelector::kMAX};
	const int64_t *values[3] = {r.min, r.opt, r.max};
	for (int i = 0; i < 3; i++) {
		bool ok = r.values ? setValues(p, r.input, places[i], values[i], r.n) : p.setDimensions(r.input, places[i], dimsOf(values[i], r.n));
		if (!ok) return false;
	}
	return true;
}

// configure sets all options; the text of what could not be set is empty if all was.
std::string configure(IBuilder &b, IBuilderConfig &c, const otrt_options &o) {
	if (o.workspace > 0) c.setMemoryPoolLimit(MemoryPoolType::kWORKSPACE, o.workspace);
	if (o.opt_level >= 0) c.setBuilderOptimizationLevel(o.opt_level);
	if (o.flags & OTRT_NO_TF32) c.clearFlag(BuilderFlag::kTF32);
	if (o.flags & OTRT_VERSION_COMPATIBLE) c.setFlag(BuilderFlag::kVERSION_COMPATIBLE);
	if (o.flags & OTRT_REFIT) c.setFlag(BuilderFlag::kREFIT);
	if (o.flags & OTRT_DETAILED) c.setProfilingVerbosity(ProfilingVerbosity::kDETAILED);
	if (o.hw_compat == 1) c.setHardwareCompatibilityLevel(HardwareCompatibilityLevel::kAMPERE_PLUS);
	if (o.hw_compat == 2) c.setHardwareCompatibilityLevel(HardwareCompatibilityLevel::kSAME_COMPUTE_CAPABILITY);
#ifdef TRT_MAJOR_RTX
	if (o.n_capabilities > 0) {
		c.setNbComputeCapabilities(o.n_capabilities);
		for (int i = 0; i < o.n_capabilities; i++)
			if (!c.setComputeCapability(static_cast<ComputeCapability>(o.capabilities[i]), i))
				return "compute capability " + std::to_string(o.capabilities[i] / 10) + "." + std::to_string(o.capabilities[i] % 10) + " is refused";
	}
#endif
	for (int i = 0; i < o.n_plugins; i++)
		if (b.getPluginRegistry().loadLibrary(o.plugins[i]) == nullptr) return std::string("plugin library ") + o.plugins[i] + " was not loaded";
	if (o.n_plugins > 0) c.setPluginsToSerialize(o.plugins, o.n_plugins);
	for (int k = 0; k < o.n_profiles; k++) {
		auto *p = b.createOptimizationProfile();
		for (int i = 0; i < o.n_ranges; i++)
			if (o.ranges[i].profile == k && !setRange(*p, o.ranges[i])) return std::string("profile ") + std::to_string(k) + " refuses the sizes of " + o.ranges[i].input;
		if (c.addOptimizationProfile(p) < 0) return "profile " + std::to_string(k) + " is refused";
	}
	return "";
}

int failed(char **err, const std::string &what) {
	std::string said = logger().said();
	*err = copied(said.empty() ? what : what + ": " + said);
	return OTRT_FAILED;
}

} // namespace

struct otrt_engine {
	std::unique_ptr<IRuntime> runtime; // outlives the engine
	std::unique_ptr<ICudaEngine> engine;
};

struct otrt_context {
	std::unique_ptr<IExecutionContext> context;
	otrt_engine *engine;
};

extern "C" {

int otrt_is_rtx(void) {
#ifdef TRT_MAJOR_RTX
	return 1;
#else
	return 0;
#endif
}

int otrt_headers(void) { return headers; }
int otrt_library(void) { return lib.version == nullptr ? 0 : lib.version(); }
const char *otrt_path(void) { return lib.path.c_str(); }

int otrt_open(const char *dir, char **err) {
	std::lock_guard<std::mutex> lock(building);
	if (lib.parser != nullptr) return OTRT_OK;
	const std::string who = std::string(flavour) + " " + OTRT_STRING(NV_TENSORRT_MAJOR);
	std::string why;
	Library l;
	void *core = openFile(dir, CORE_NAME, why);
	if (core == nullptr) return failed(err, who + " is not installed: " + why);
	if (!symbol(core, "createInferBuilder_INTERNAL", l.builder, why) || !symbol(core, "createInferRuntime_INTERNAL", l.runtime, why) ||
		!symbol(core, "getInferLibVersion", l.version, why))
		return failed(err, who + ": " + why);
	if (!compatible(l.version()))
		return failed(err, who + ": the library is version " + version(l.version()) + ", this program was built for " + version(headers));
	void *parser = openFile(dir, PARSER_NAME, why);
	if (parser == nullptr) return failed(err, who + ": the ONNX parser is not installed: " + why);
	if (!symbol(parser, "createNvOnnxParser_INTERNAL", l.parser, why)) return failed(err, who + ": " + why);
	Dl_info info;
	if (dladdr(reinterpret_cast<void *>(l.version), &info) != 0 && info.dli_fname != nullptr) l.path = info.dli_fname;
	lib = l;
	return OTRT_OK;
}

int otrt_build(const char *model, const otrt_options *o, uintptr_t handle, otrt_result *r, char **err) {
	std::lock_guard<std::mutex> lock(building);
	struct Target {
		explicit Target(uintptr_t h) { logger().send(h); }
		~Target() { logger().send(0); }
	} target(handle);
	std::unique_ptr<IBuilder> builder(static_cast<IBuilder *>(lib.builder(static_cast<ILogger *>(&logger()), NV_TENSORRT_VERSION)));
	if (!builder) return failed(err, "TensorRT made no builder");
#if defined(TRT_MAJOR_RTX) || NV_TENSORRT_MAJOR > 10
	const NetworkDefinitionCreationFlags typed = 0; // always so
#else
	const NetworkDefinitionCreationFlags typed = 1U << static_cast<uint32_t>(NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
#endif
	std::unique_ptr<INetworkDefinition> network(builder->createNetworkV2(typed));
	if (!network) return failed(err, "TensorRT made no network");
	std::unique_ptr<nvonnxparser::IParser> parser(
		static_cast<nvonnxparser::IParser *>(lib.parser(network.get(), static_cast<ILogger *>(&logger()), NV_ONNX_PARSER_VERSION)));
	if (!parser) return failed(err, "TensorRT made no parser");
	if (!parser->parseFromFile(model, static_cast<int>(ILogger::Severity::kWARNING))) {
		if (parser->getNbErrors() == 0) return failed(err, "the model did not parse");
		*err = copied(parserErrors(*parser));
		return OTRT_NOT_PARSED;
	}
	std::unique_ptr<IBuilderConfig> config(builder->createBuilderConfig());
	if (!config) return failed(err, "TensorRT made no configuration");
	std::string refused = configure(*builder, *config, *o);
	if (!refused.empty()) return failed(err, refused);
	Monitor monitor(handle);
	config->setProgressMonitor(&monitor);
#ifndef TRT_MAJOR_RTX
	std::unique_ptr<ITimingCache> cache;
	if (o->timing_cache != nullptr) {
		cache.reset(config->createTimingCache(o->timing_cache_size > 0 ? o->timing_cache : nullptr, o->timing_cache_size));
		if (!cache || !config->setTimingCache(*cache, false)) return failed(err, "the timing cache is refused");
	}
#endif
	std::unique_ptr<IHostMemory> plan(builder->buildSerializedNetwork(*network, *config));
	if (monitor.stopped) return OTRT_CANCELED;
	if (!plan) return failed(err, "TensorRT built no engine");
#ifndef TRT_MAJOR_RTX
	if (cache) {
		std::unique_ptr<IHostMemory> bytes(cache->serialize());
		if (bytes && (r->cache = malloc(bytes->size())) != nullptr) {
			memcpy(r->cache, bytes->data(), bytes->size());
			r->cache_size = bytes->size();
		}
	}
#endif
	r->network = copied(networkText(*network));
	r->plan = plan->data();
	r->size = plan->size();
	r->owner = plan.release();
	return OTRT_OK;
}

void otrt_free_result(otrt_result *r) {
	delete static_cast<IHostMemory *>(r->owner);
	free(r->network);
	free(r->cache);
	memset(r, 0, sizeof *r);
}

int otrt_load(const void *plan, size_t size, otrt_engine **out, char **err) {
	std::lock_guard<std::mutex> lock(building);
	logger().send(0);
	std::unique_ptr<otrt_engine> e(new otrt_engine);
	e->runtime.reset(static_cast<IRuntime *>(lib.runtime(static_cast<ILogger *>(&logger()), NV_TENSORRT_VERSION)));
	if (e->runtime) e->engine.reset(e->runtime->deserializeCudaEngine(plan, size));
	if (!e->engine) {
		failed(err, "the plan was refused");
		return strstr(*err, "cudaError 35") != nullptr || strstr(*err, "CUDA driver version is insufficient") != nullptr ? OTRT_NO_DRIVER : OTRT_FAILED;
	}
	*out = e.release();
	return OTRT_OK;
}

char *otrt_engine_json(otrt_engine *e) {
	auto &g = *e->engine;
	std::string out = "{\"tensors\":[";
	for (int i = 0; i < g.getNbIOTensors(); i++) {
		const char *name = g.getIOTensorName(i);
		bool input = g.getTensorIOMode(name) == TensorIOMode::kINPUT;
		std::string t = tensorText(name, g.getTensorDataType(name), g.getTensorShape(name));
		t.pop_back();
		out += (i ? "," : "") + t + ",\"input\":" + (input ? "true" : "false") + ",\"profiles\":[";
		for (int p = 0; input && p < g.getNbOptimizationProfiles(); p++) {
			auto at = [&](OptProfileSelector s) { return dimsText(g.getProfileShape(name, p, s)); };
			out += std::string(p ? "," : "") + "{\"min\":" + at(OptProfileSelector::kMIN) + ",\"opt\":" + at(OptProfileSelector::kOPT) + ",\"max\":" + at(OptProfileSelector::kMAX) + "}";
		}
		out += "]}";
	}
	return copied(out + "],\"profiles\":" + std::to_string(g.getNbOptimizationProfiles()) + ",\"device_memory\":" + std::to_string(g.getDeviceMemorySizeV2()) + "}");
}

char *otrt_engine_layers(otrt_engine *e) {
	std::unique_ptr<IEngineInspector> inspector(e->engine->createEngineInspector());
	return inspector ? copied(inspector->getEngineInformation(LayerInformationFormat::kJSON)) : nullptr;
}

void otrt_engine_free(otrt_engine *e) { delete e; }

int otrt_context_new(otrt_engine *e, otrt_context **out, char **err) {
	std::unique_ptr<IExecutionContext> c(e->engine->createExecutionContext());
	if (!c) return failed(err, "TensorRT made no execution context");
	*out = new otrt_context{std::move(c), e};
	return OTRT_OK;
}

int otrt_context_profile(otrt_context *c, int32_t profile, uintptr_t stream) {
	return c->context->setOptimizationProfileAsync(profile, reinterpret_cast<cudaStream_t>(stream)) ? OTRT_OK : OTRT_FAILED;
}

int otrt_context_input_shape(otrt_context *c, const char *input, const int64_t *dims, int32_t n) {
	return c->context->setInputShape(input, dimsOf(dims, n)) ? OTRT_OK : OTRT_FAILED;
}

int otrt_context_shape(otrt_context *c, const char *tensor, int64_t *dims, int32_t *n) {
	Dims d = c->context->getTensorShape(tensor);
	if (d.nbDims < 0) return OTRT_FAILED;
	*n = d.nbDims;
	for (int i = 0; i < d.nbDims; i++) dims[i] = d.d[i];
	return OTRT_OK;
}

int otrt_context_bind(otrt_context *c, const char *tensor, uintptr_t device) {
	return c->context->setTensorAddress(tensor, reinterpret_cast<void *>(device)) ? OTRT_OK : OTRT_FAILED;
}

char *otrt_context_missing(otrt_context *c) {
	const char *names[8];
	int32_t n = c->context->inferShapes(8, names);
	std::string out;
	for (int32_t i = 0; i < std::min(n, 8); i++) out += (out.empty() ? "" : ", ") + std::string(names[i]);
	if (n < 0) out = "the shapes are refused";
	return out.empty() ? nullptr : copied(out);
}

int otrt_context_enqueue(otrt_context *c, uintptr_t stream) {
	return c->context->enqueueV3(reinterpret_cast<cudaStream_t>(stream)) ? OTRT_OK : OTRT_FAILED;
}

void otrt_context_free(otrt_context *c) { delete c; }

void otrt_free(void *p) { free(p); }

char *otrt_said(void) { return copied(logger().said()); }

} // extern "C"

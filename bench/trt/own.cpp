// TensorRT-RTX's side of bench/trt.sh: parses a model, builds an engine with one profile (axes that are
// open: the first from 1 to 8, others from 1 to 128, best at half) and writes it. Prints the seconds from
// the start to the end and the peak memory in bytes.
//
//   own LIBRARY_FOLDER MODEL ENGINE
#include <NvInfer.h>
#include <NvOnnxParser.h>
#include <dlfcn.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

using namespace nvinfer1;

struct Quiet : ILogger {
	void log(Severity s, const char *text) noexcept override {
		if (s <= Severity::kERROR) fprintf(stderr, "%s\n", text);
	}
};

template <typename F> F *function(void *lib, const char *name) { return reinterpret_cast<F *>(dlsym(lib, name)); }

int main(int, char **argv) {
	auto start = std::chrono::steady_clock::now();
	std::string folder = argv[1];
	void *core = dlopen((folder + "/libtensorrt_rtx.so.1").c_str(), RTLD_NOW);
	void *onnx = dlopen((folder + "/libtensorrt_onnxparser_rtx.so.1").c_str(), RTLD_NOW);
	if (core == nullptr || onnx == nullptr) return fprintf(stderr, "%s\n", dlerror()), 1;
	Quiet log;
	std::unique_ptr<IBuilder> builder(static_cast<IBuilder *>(function<void *(void *, int)>(core, "createInferBuilder_INTERNAL")(&log, NV_TENSORRT_VERSION)));
	std::unique_ptr<INetworkDefinition> network(builder->createNetworkV2(0));
	std::unique_ptr<nvonnxparser::IParser> parser(
		static_cast<nvonnxparser::IParser *>(function<void *(void *, void *, int)>(onnx, "createNvOnnxParser_INTERNAL")(network.get(), &log, NV_ONNX_PARSER_VERSION)));
	if (!parser->parseFromFile(argv[2], 2)) return 1;
	std::unique_ptr<IBuilderConfig> config(builder->createBuilderConfig());
	config->setMemoryPoolLimit(MemoryPoolType::kWORKSPACE, 1 << 30);
	auto *profile = builder->createOptimizationProfile();
	for (int i = 0; i < network->getNbInputs(); i++) {
		auto *in = network->getInput(i);
		Dims low = in->getDimensions(), best = low, high = low;
		for (int a = 0; a < low.nbDims; a++)
			if (low.d[a] < 0) low.d[a] = 1, high.d[a] = a == 0 ? 8 : 128, best.d[a] = high.d[a] / 2;
		profile->setDimensions(in->getName(), OptProfileSelector::kMIN, low);
		profile->setDimensions(in->getName(), OptProfileSelector::kOPT, best);
		profile->setDimensions(in->getName(), OptProfileSelector::kMAX, high);
	}
	config->addOptimizationProfile(profile);
	std::unique_ptr<IHostMemory> plan(builder->buildSerializedNetwork(*network, *config));
	if (!plan) return 1;
	std::ofstream(argv[3], std::ios::binary).write(static_cast<const char *>(plan->data()), static_cast<std::streamsize>(plan->size()));
	rusage use;
	getrusage(RUSAGE_SELF, &use);
	printf("%.3f %ld\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), use.ru_maxrss * 1024L);
}

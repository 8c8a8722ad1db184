#!/bin/sh
# Fetches what build-engine is built and tested with, into $TRT_DEPS (build/trt):
#   headers/   NVIDIA's headers of TensorRT 10.16, 11.1 and 11.4 and of TensorRT-RTX 1.3 to 1.7,
#              as the Rust crate trtx-sys has them (Apache-2.0)
#   lib        TensorRT-RTX 1.7.1 with its ONNX parser (NVIDIA's licence, which downloading accepts:
#              https://docs.nvidia.com/deeplearning/tensorrt-rtx/latest/reference/sla.html)
#   cuda       CUDA 12.9's headers, cuda13 those of 13.0 (NVIDIA's licence), cuda-stub a libcuda to link with
# Nothing of this is part of optim, nor may it be passed on alone.
set -eu
deps=${TRT_DEPS:-build/trt}
mkdir -p "$deps"
deps=$(cd "$deps" && pwd)

need() {
	command -v "$1" >/dev/null 2>&1 || { echo "trt-deps needs $1: $2" >&2; exit 1; }
}
need cargo "it fetches the crate with the headers (https://rustup.rs)"
need python3 "its pip fetches TensorRT-RTX"
need "${CXX:-g++}" "the part that talks to TensorRT is C++"
need cc "it makes the stub of libcuda"
python3 -m pip --version >/dev/null 2>&1 || { echo "trt-deps needs pip: python3 -m ensurepip" >&2; exit 1; }

echo "NVIDIA's licences apply to the libraries and to CUDA's headers: they are fetched for your own use."

for version in 0.9.1 0.8.0 0.5.0; do
	[ -d "$deps/headers/$version" ] && continue
	CARGO_HOME="$deps/cargo" cargo info --quiet "trtx-sys@$version" >/dev/null
	found=$(ls -d "$deps"/cargo/registry/src/*/trtx-sys-"$version"*/TensorRT-Headers)
	mkdir -p "$deps/headers"
	ln -sfn "$found" "$deps/headers/$version"
done

wheel() { # FOLDER NAME==VERSION HASH
	[ -d "$deps/wheels/$1" ] && return
	printf '%s --hash=sha256:%s\n' "$2" "$3" >"$deps/requirements.txt"
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --only-binary :all: \
		--require-hashes --target "$deps/wheels/$1.part" -r "$deps/requirements.txt"
	mv "$deps/wheels/$1.part" "$deps/wheels/$1"
}
rm -rf "$deps"/wheels/*.part
mkdir -p "$deps/wheels"
wheel rtx tensorrt-rtx-cu13-libs==1.7.1.116 e3fd45fed001240d63304e77a2d4006319b839994237cb294b6e7ad72acaabcd
wheel cuda12 nvidia-cuda-runtime-cu12==12.9.79 25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3
wheel cuda13 nvidia-cuda-runtime==13.0.96 7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
ln -sfn wheels/rtx/tensorrt_rtx_libs "$deps/lib"
ln -sfn wheels/cuda12/nvidia/cuda_runtime/include "$deps/cuda"
ln -sfn wheels/cuda13/nvidia/cu13/include "$deps/cuda13"

# A libcuda to link with: every call answers 34, CUDA_ERROR_STUB_LIBRARY.
stub=$deps/cuda-stub
mkdir -p "$stub"
echo '#include <cuda.h>' | cc -E -P -I"$deps/cuda" -xc - | grep -oE '\bcu[A-Z][A-Za-z0-9_]*[[:space:]]*\(' | tr -d '( ' | sort -u |
	sed 's/.*/int &(void) { return 34; }/' >"$stub/stub.c"
cc -w -O1 -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$stub/libcuda.so" "$stub/stub.c"
echo "TensorRT-RTX 1.7.1 in $deps/lib: OPTIM_TRT_LIB=$deps/lib bin/optim-trt build-engine MODEL"

# What the comparisons with Python need, to be read by their scripts: $out with a virtual environment, $python in it,
# and $out/optim on the Python package's own library.
out=bench/out
python=$out/venv/bin/python
mkdir -p $out
if [ ! -x $python ]; then
	python3 -m venv $out/venv
	$python -m pip install --quiet --requirement bench/peers/requirements.txt
fi
GOEXPERIMENT=simd go build -o $out/optim ./cmd/optim # as make build does
OPTIM_ORT_LIB=$($python -c 'import glob, os, onnxruntime as o; print(glob.glob(os.path.join(os.path.dirname(o.__file__), "capi", "libonnxruntime.so*"))[0])')
export OPTIM_ORT_LIB

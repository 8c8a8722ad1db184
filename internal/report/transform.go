package report

import "encoding/json"

// Transform is the result of a command that writes a model: quantize, prune,
// distill. Pointers are nil where a figure was not measured.
type Transform struct {
	Header
	Method string `json:"method,omitempty"` // "dynamic", "gptq" …
	Format string `json:"format,omitempty"` // "int8", "nf4" …
	Bits   int    `json:"bits,omitempty"`   // range of the weights, where it is less than the format's

	Input  File  `json:"input"`
	Output *File `json:"output,omitempty"`
	// Acceptable is false when a limit was missed; Missed then says which and
	// by how much. No output was written in that case.
	Acceptable bool     `json:"acceptable"`
	Missed     []string `json:"missed,omitempty"`
	// Skipped says that the output existed, made by the same recipe from the
	// same bytes (--if-unchanged skip).
	Skipped bool `json:"skipped,omitempty"`

	// Wrote are the files that were written beside the output: external data, pictures.
	Wrote []string `json:"wrote,omitempty"`
	// Masks says that the output holds masks of weights, and no model.
	Masks bool `json:"masks,omitempty"`

	SizeReduction *float64    `json:"size_reduction,omitempty"` // fraction of the source's bytes
	Changes       []Change    `json:"changes"`
	Unchanged     []Unchanged `json:"unchanged"`
	Ledger        []Ledger    `json:"ledger,omitempty"`
	Quality       *Quality    `json:"quality,omitempty"`
	Loss          *Loss       `json:"loss,omitempty"`
	Speed         *Speed      `json:"speed,omitempty"`
	Needs         *Needs      `json:"needs,omitempty"`
	// Cosine is the least of the outputs' on the run that compared the result
	// with the source.
	Cosine *float64 `json:"cosine,omitempty"`
	// Kernels counts the operators of the result as ONNX Runtime ran them,
	// after fusion.
	Kernels map[string]int `json:"kernels,omitempty"`

	Sparsity         *float64     `json:"sparsity,omitempty"`          // zeros among the weights concerned
	ModelSparsity    *float64     `json:"model_sparsity,omitempty"`    // zeros among all weights
	CompressionRatio *float64     `json:"compression_ratio,omitempty"` // parameters before / non-zero after
	Layers           []LayerZeros `json:"layers,omitempty"`            // of prune

	Students []Student `json:"students,omitempty"` // one for each stage
	Epochs   []Epoch   `json:"epochs,omitempty"`
	Curve    []Point   `json:"curve,omitempty"`
	Duration float64   `json:"duration_s"`
	PeakRSS  int64     `json:"peak_rss_bytes,omitempty"`
	Warnings []string  `json:"warnings"`
}

// File is a model file with its external data.
type File struct {
	Path       string `json:"path"`
	Bytes      int64  `json:"bytes"`
	Parameters int64  `json:"parameters,omitempty"`
	Nonzero    *int64 `json:"nonzero,omitempty"`
	// MACs is the multiply-accumulates of a run with symbolic dimensions 1.
	MACs *int64 `json:"macs,omitempty"`
	// Compressed is the bytes by Zstandard, fast: where zeros are worth something.
	Compressed *int64 `json:"compressed_bytes,omitempty"`
	Estimated  bool   `json:"compressed_estimated,omitempty"` // from a part of a large file
}

// LayerZeros is a weight of a pruned model. Before counts the source's elements; 0 where
// it has no weight of this name.
type LayerZeros struct {
	Name       string  `json:"name"` // of the weight
	Op         string  `json:"op"`
	Before     int64   `json:"parameters_before,omitempty"`
	Parameters int64   `json:"parameters"`
	Nonzero    int64   `json:"nonzero"`
	Sparsity   float64 `json:"sparsity"`
}

// Change is a node that was changed, and how.
type Change struct {
	Node   string `json:"node"`
	Op     string `json:"op"`
	Action string `json:"action"`
	Format string `json:"format"`
}

// Unchanged is a node that was left as it is, and why.
type Unchanged struct {
	Node   string `json:"node"`
	Op     string `json:"op"`
	Reason string `json:"reason"`
}

// Ledger is what mixed precision weighed for one node: what each format would
// cost the outputs if this node alone had it, and the format that it got.
type Ledger struct {
	Node   string             `json:"node"`
	Format string             `json:"format"`
	Bytes  int64              `json:"bytes"`
	Loss   map[string]float64 `json:"loss"`
}

// Quality compares source and result on data. Retention and Limit are
// fractions; the result is acceptable when retention is greater than limit.
type Quality struct {
	Metric    string   `json:"metric"`
	Before    *float64 `json:"before,omitempty"`
	After     *float64 `json:"after,omitempty"`
	Retention *float64 `json:"retention,omitempty"`
	Limit     *float64 `json:"limit,omitempty"`
	// KL is the mean divergence from the source's predictions, where these are of ids.
	KL         *float64 `json:"kl,omitempty"`
	Acceptable bool     `json:"acceptable"`
	Samples    int      `json:"samples"`
}

// Loss is the mean loss of training before and after.
type Loss struct {
	Before   float64 `json:"before"`
	After    float64 `json:"after"`
	Increase float64 `json:"increase"`
}

// Speed compares the time of one run, source against result; Low and High
// bound the speed-up's 95 % interval.
type Speed struct {
	BeforeMS float64 `json:"before_ms"`
	AfterMS  float64 `json:"after_ms"`
	Speedup  float64 `json:"speedup"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	// Sizes are the shapes of the inputs, each once: "1 x 128".
	Sizes []string `json:"sizes,omitempty"`
}

// Needs is the least that can run the result.
type Needs struct {
	Opset       int64  `json:"opset"`
	ONNXRuntime string `json:"onnxruntime"`
}

// Student tells how a smaller network was made of its teacher.
type Student struct {
	Stage      int      `json:"stage"`
	Teacher    int64    `json:"teacher_parameters"`
	Parameters int64    `json:"parameters"`
	Ratio      float64  `json:"ratio"`                 // teacher's parameters by the student's
	Layers     []int    `json:"layers_kept,omitempty"` // of the teacher, from 0
	Divided    []string `json:"divided,omitempty"`     // what else became less, in words
	Quality    *float64 `json:"quality,omitempty"`     // the metric of --eval, where there is one
	Best       int      `json:"best_epoch,omitempty"`  // whose weights were kept
}

// Point is a step of a training's curve: losses averaged since the point before.
type Point struct {
	Stage int                `json:"stage,omitempty"`
	Step  int                `json:"step"`
	Epoch float64            `json:"epoch"`
	Rate  float64            `json:"rate"`
	Total float64            `json:"total"`
	Parts map[string]float64 `json:"parts,omitempty"`
}

// Epoch is the mean losses of an epoch of training.
type Epoch struct {
	Stage     int      `json:"stage,omitempty"`
	Total     float64  `json:"total"`
	KD        *float64 `json:"kd,omitempty"`
	Task      *float64 `json:"task,omitempty"`
	Attention *float64 `json:"attention,omitempty"`
	Hidden    *float64 `json:"hidden,omitempty"`
	Metric    *float64 `json:"metric,omitempty"` // of --eval, after the epoch
	Seconds   float64  `json:"seconds"`
}

// MarshalJSON writes lists that are empty as [], so that scripts need no case
// for null.
func (t Transform) MarshalJSON() ([]byte, error) {
	type plain Transform
	t.Changes = orEmpty(t.Changes)
	t.Unchanged = orEmpty(t.Unchanged)
	t.Warnings = orEmpty(t.Warnings)
	return json.Marshal(plain(t))
}

func orEmpty[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

// Plan is what a command would do (--dry-run). No weight was touched.
type Plan struct {
	Header
	Input     string      `json:"input,omitempty"`
	Plan      []Step      `json:"plan"`
	Unchanged []Unchanged `json:"unchanged"`
	Output    PlannedFile `json:"output"`
	Warnings  []string    `json:"warnings,omitempty"`
}

// Step is what would be done with one node; the bytes are its weights'.
type Step struct {
	Node        string `json:"node"`
	Op          string `json:"op"`
	Action      string `json:"action"`
	Format      string `json:"format"`
	BytesBefore int64  `json:"bytes_before"`
	BytesAfter  int64  `json:"bytes_after"`
}

// PlannedFile is the file that would be written; Bytes is an estimate.
type PlannedFile struct {
	Path  string `json:"path,omitempty"`
	Bytes int64  `json:"bytes"`
}

// MarshalJSON writes lists that are empty as [].
func (p Plan) MarshalJSON() ([]byte, error) {
	type plain Plan
	p.Plan = orEmpty(p.Plan)
	p.Unchanged = orEmpty(p.Unchanged)
	return json.Marshal(plain(p))
}

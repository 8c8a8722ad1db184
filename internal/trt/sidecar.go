package trt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"optim/internal/onnx"
)

// Sidecar is what is known of an engine, kept beside it as NAME.engine.json, so that
// it can be looked at on a machine that cannot load it. It is what
// "optim build-engine --json" prints.
type Sidecar struct {
	Command   string         `json:"command"`
	Config    string         `json:"config,omitempty"`
	Input     File           `json:"input,omitzero"` // absent: of an engine without a sidecar nobody knows
	Output    File           `json:"output,omitzero"`
	Flavour   string         `json:"flavour"`
	Library   string         `json:"library,omitempty"`
	Headers   string         `json:"headers,omitempty"`
	Precision Precision      `json:"precision,omitempty"`
	Layers    map[string]int `json:"layers"` // of the engine, by the type they compute in
	Inputs    []Tensor       `json:"inputs"`
	Outputs   []Tensor       `json:"outputs"`
	Profiles  []Profile      `json:"profiles"`

	Capabilities    []string          `json:"compute_capabilities,omitempty"`
	Workspace       int64             `json:"workspace_bytes,omitempty"`
	WeightsBytes    *int64            `json:"weights_bytes,omitempty"`
	ActivationBytes *int64            `json:"activation_bytes,omitempty"`
	BuildSeconds    float64           `json:"build_s,omitempty"`
	PeakRSS         int64             `json:"peak_rss_bytes,omitempty"`
	Prepared        []string          `json:"prepared,omitempty"` // what was done to the model
	Options         map[string]string `json:"options,omitempty"`  // that decide the bytes of the engine
	Plan            *PlanFacts        `json:"plan,omitempty"`
	Skipped         bool              `json:"skipped,omitempty"` // --if-unchanged: nothing was done
	Warnings        []string          `json:"warnings"`
}

// File is a file that was read or written.
type File struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"`
	Hash   string `json:"hash,omitempty"` // XXH3 of a model's bytes, external data included
}

// PlanFacts are the header of the plan and its hash.
type PlanFacts struct {
	Magic   string `json:"magic"`
	Version string `json:"version"`
	SHA256  string `json:"sha256,omitempty"`
}

// SidecarPath is where the sidecar of an engine lies.
func SidecarPath(engine string) string { return engine + ".json" }

// sidecarMax bounds what is read: more is no sidecar.
const sidecarMax = 16 << 20

// ErrStale says that a sidecar is not of the engine that lies beside it.
var ErrStale = errors.New("it describes another engine")

// ReadSidecar reads the sidecar of an engine and compares its hash with the file.
// It fails with fs.ErrNotExist where there is none, and with ErrStale where it is
// of another engine.
func ReadSidecar(engine string) (*Sidecar, error) {
	path := SidecarPath(engine)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > sidecarMax {
		return nil, fmt.Errorf("%s: not a sidecar of an engine", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := ParseSidecar(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	sum, err := HashFile(engine)
	if err != nil {
		return nil, err
	}
	if s.Plan.SHA256 != sum {
		return nil, fmt.Errorf("%s: %w", path, ErrStale)
	}
	return s, nil
}

// ParseSidecar reads what a sidecar holds.
func ParseSidecar(b []byte) (*Sidecar, error) {
	var s Sidecar
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	if s.Command != "build-engine" || s.Plan == nil || len(s.Plan.SHA256) != 2*sha256.Size {
		return nil, errors.New("not a sidecar of an engine")
	}
	for _, p := range s.Profiles {
		for name, r := range p {
			if len(r.Min) != len(r.Opt) || len(r.Opt) != len(r.Max) {
				return nil, fmt.Errorf("profile of input %q: sizes of different rank", name)
			}
		}
	}
	return &s, nil
}

// HashFile returns the SHA-256 of a file, in hexadecimal.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Describe fills in what the model and the plan say about themselves.
func (s *Sidecar) Describe(m *onnx.Model, plan []byte) error {
	h, err := ParseHeader(plan)
	if err != nil {
		return err
	}
	if h.Size != uint64(len(plan)) {
		return fmt.Errorf("the engine says that it has %d bytes, and the library gave %d", h.Size, len(plan))
	}
	s.Plan = &PlanFacts{Magic: h.Magic, Version: h.Version}
	s.Inputs, s.Outputs = []Tensor{}, outputs(m)
	for _, v := range m.Graph.Inputs {
		if !m.Graph.IsBound(v.Name) {
			s.Inputs = append(s.Inputs, tensorOf(v))
		}
	}
	return nil
}

// WriteEngine writes an engine and its sidecar, both under temporary names that are
// then renamed: on error nothing is left. Without force a file that came to stand
// there meanwhile is not replaced. The plan is written from where it lies.
func WriteEngine(path string, plan []byte, s *Sidecar, force bool) (err error) {
	h := sha256.New()
	engine, err := stage(path, func(w io.Writer) error {
		for rest := plan; len(rest) > 0; { // hashed and written while it is in the cache
			n := min(len(rest), 1<<20)
			h.Write(rest[:n])
			if _, err := w.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer os.Remove(engine)
	s.Plan.SHA256 = hex.EncodeToString(h.Sum(nil))
	s.Output = File{Path: path, Bytes: int64(len(plan)), SHA256: s.Plan.SHA256}
	side, err := stage(SidecarPath(path), encoder(s))
	if err != nil {
		return err
	}
	defer os.Remove(side)
	if err := place(engine, path, force); err != nil {
		return err
	}
	if err := place(side, SidecarPath(path), force); err != nil {
		_ = os.Remove(path)
		return err
	}
	return nil
}

// encoder writes a value as indented JSON.
func encoder(v any) func(io.Writer) error {
	return func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
}

// WriteFile writes bytes under a temporary name that is then renamed.
func WriteFile(path string, b []byte) error {
	staged, err := stage(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	defer os.Remove(staged)
	return os.Rename(staged, path)
}

// stage writes a temporary file beside path and syncs it.
func stage(path string, write func(io.Writer) error) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".optim-*")
	if err != nil {
		return "", err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("output %q: %w", path, err)
	}
	return f.Name(), nil
}

// place gives a staged file its name. Linking fails where renaming would replace.
func place(from, to string, force bool) error {
	if force {
		return os.Rename(from, to)
	}
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, e := os.Lstat(to); e == nil {
		return &fs.PathError{Op: "write", Path: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to) // a file system without hard links
}

// Load takes inputs, outputs, profiles, memory and layers from a loaded engine.
func (s *Sidecar) Load(e Engine) error {
	s.Inputs, s.Outputs, s.Profiles = []Tensor{}, []Tensor{}, make([]Profile, e.Profiles())
	for i := range s.Profiles {
		s.Profiles[i] = Profile{}
	}
	for _, t := range e.Tensors() {
		if !t.Input {
			s.Outputs = append(s.Outputs, t)
			continue
		}
		s.Inputs = append(s.Inputs, t)
		for i := range s.Profiles {
			r, err := e.ProfileShape(t.Name, i)
			if err != nil {
				return err
			}
			s.Profiles[i][t.Name] = r
		}
	}
	memory := e.DeviceMemory()
	s.ActivationBytes = &memory
	text, err := e.Describe()
	if err != nil {
		return err
	}
	layers, err := ParseInspector(text)
	if types := Types(layers); len(types) > 0 { // names alone, where the engine was not built to tell more
		s.Layers = types
	}
	return err
}

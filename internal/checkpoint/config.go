package checkpoint

import (
	"errors"
	"fmt"
	"strings"
)

// Config is what a checkpoint says of its quantization.
type Config struct {
	Method    string // gptq or awq
	Bits      int
	GroupSize int  // inputs that share a scale; −1: all
	Mixed     bool // some layers have other bits or groups

	plainZeros bool // GPTQ: qzeros are stored as they are (v2)
}

// rawConfig is the union of the keys that GPTQ and AWQ tools write, under
// quantization_config of config.json or in a file of their own.
type rawConfig struct {
	Method   string `json:"quant_method"`
	Bits     int    `json:"bits"`
	WBit     int    `json:"w_bit"` // AutoAWQ before transformers
	Group    *int   `json:"group_size"`
	QGroup   *int   `json:"q_group_size"`
	Format   string `json:"checkpoint_format"` // gptq, gptq_v2, marlin, …; GPTQModel for AWQ: gemm, …
	Marlin   bool   `json:"is_marlin_format"`
	Version  string `json:"version"` // AWQ: gemm, gemv, …
	Dynamic  any    `json:"dynamic"` // GPTQModel: other settings by layer
	PackType string `json:"pack_dtype"`
}

// readConfig finds out how the weights are stored.
func (d *folder) readConfig() (Config, error) {
	raw, from, err := d.rawConfig()
	if err != nil {
		return Config{}, err
	}
	c, err := raw.check()
	if err != nil {
		return Config{}, fmt.Errorf("file %q: %w", from, err)
	}
	return c, nil
}

// rawConfig reads the first file that has the settings.
func (d *folder) rawConfig() (*rawConfig, string, error) {
	var model struct {
		Quantization *rawConfig `json:"quantization_config"`
	}
	if _, err := d.readJSON("config.json", &model); err != nil {
		return nil, "", err
	}
	if model.Quantization != nil {
		return model.Quantization, "config.json", nil
	}
	for _, name := range []string{"quantize_config.json", "quant_config.json"} {
		raw := &rawConfig{}
		found, err := d.readJSON(name, raw)
		if err != nil {
			return nil, "", err
		}
		if found {
			return raw, name, nil
		}
	}
	return nil, "", errors.New("neither quantization_config in config.json nor quantize_config.json is in the folder: is the checkpoint quantized?")
}

// check makes one of the ways to write the settings, and refuses what cannot be
// read.
func (r *rawConfig) check() (Config, error) {
	c := Config{Method: strings.ToLower(r.Method), Bits: r.Bits, GroupSize: 128}
	if layers, ok := r.Dynamic.(map[string]any); ok {
		c.Mixed = len(layers) > 0
	}
	if c.Bits == 0 {
		c.Bits = r.WBit
	}
	for _, g := range []*int{r.QGroup, r.Group} {
		if g != nil {
			c.GroupSize = *g
		}
	}
	if c.Method == "" {
		c.Method = "gptq" // AutoGPTQ's own file does not say it
		if r.WBit != 0 {
			c.Method = "awq"
		}
	}
	format := strings.ToLower(r.Format)
	if r.Marlin {
		format = "marlin"
	}
	if c.Method == "awq" && format == "" {
		format = strings.ToLower(r.Version)
	}
	if err := c.checkFormat(format); err != nil {
		return c, err
	}
	switch {
	case c.Method == "awq" && c.Bits != 4:
		return c, fmt.Errorf("AWQ at %d bits: 4 can be read", c.Bits)
	case c.Bits != 2 && c.Bits != 3 && c.Bits != 4 && c.Bits != 8:
		return c, fmt.Errorf("%d bits: 2, 3, 4 and 8 can be read", c.Bits)
	case c.GroupSize != -1 && (c.GroupSize < 1 || c.GroupSize > 1<<20):
		return c, fmt.Errorf("group_size is %d: need −1 or a positive number", c.GroupSize)
	case r.PackType != "" && r.PackType != "int32":
		return c, fmt.Errorf("pack_dtype is %q: int32 can be read", r.PackType)
	}
	return c, nil
}

// checkFormat refuses layouts that are made for one kernel.
func (c *Config) checkFormat(format string) error {
	valid := map[string][]string{"gptq": {"", "gptq", "gptq_v2"}, "awq": {"", "gemm"}}[c.Method]
	if valid == nil {
		return fmt.Errorf("quant_method is %q: gptq and awq can be read", c.Method)
	}
	for _, f := range valid {
		if f == format {
			c.plainZeros = format == "gptq_v2"
			return nil
		}
	}
	return fmt.Errorf("the %s format %q cannot be read: %s can", c.Method, format, strings.Join(valid[1:], ", "))
}

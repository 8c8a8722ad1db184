package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/report"
	"optim/internal/trt"
)

const inspectLong = `Tell what is in a model: inputs, outputs, operators, weights by type, formats,
sizes and cost. Nothing is run, so no runtime library is needed, and models are
read that no runtime would load.

--values shows how the number formats represent a list of numbers, --tensor the
same for a tensor of the model. One scale serves all of them: INT8 and INT4 are
symmetric (scale = max|x| / 127 and max|x| / 7), NF4 is 4-bit NormalFloat.

Of a TensorRT engine it tells the version, and what build-engine wrote beside it.`

const inspectExample = `  optim inspect model.onnx
  optim inspect model.onnx --weights --nodes
  optim inspect model.onnx --tensor fc1.weight
  optim inspect --values 1.2345,-0.6789,3.1415,-2.7182
  optim inspect model.onnx --json`

// inspectOptions are the flags of inspect.
type inspectOptions struct {
	model          string // may be empty with values
	tensor         string
	values         []float32
	nodes, weights bool
}

func newInspectCmd(a *app) *cobra.Command {
	o := &inspectOptions{}
	var values string
	cmd := &cobra.Command{
		Use:               "inspect MODEL|ENGINE [flags]",
		Short:             "Tell what is in a model, without running it",
		Long:              inspectLong,
		Example:           inspectExample,
		Annotations:       map[string]string{noteExit: "3"},
		ValidArgsFunction: completeModel,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if values != "" {
				if o.values, err = parseValues(values); err != nil {
					return err
				}
			}
			if values == "" || len(args) > 0 {
				if o.model, err = oneModel("MODEL", args); err != nil {
					return err
				}
			}
			return runInspect(cmd.Context(), a, o)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.tensor, "tensor", "", "show the tensor of this `name` in each format")
	fs.StringVar(&values, "values", "", "show this `list` of numbers in each format")
	fs.BoolVar(&o.nodes, "nodes", false, "list the nodes")
	fs.BoolVar(&o.weights, "weights", false, "list the weights")
	choose(fs, "numbers", "tensor", "values")
	return cmd
}

// parseValues reads a list of finite numbers.
func parseValues(text string) ([]float32, error) {
	var out []float32
	for _, s := range strings.Split(text, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 32)
		if err != nil || v-v != 0 {
			return nil, usagef("--values takes finite numbers separated by commas, not %q", s)
		}
		out = append(out, float32(v))
	}
	return out, nil
}

func runInspect(ctx context.Context, a *app, o *inspectOptions) error {
	header := report.Header{Command: "inspect", Config: a.configFile}
	var numbers *inspect.Numbers
	if o.values != nil {
		n, err := inspect.Represent(o.values)
		if err != nil {
			return err
		}
		if numbers = &n; o.model == "" {
			return a.emit(&report.Values{Header: header, Numbers: n})
		}
	}
	if trt.IsPlan(o.model) {
		if o.tensor != "" || o.nodes || o.weights || o.values != nil {
			return usagef("%s is a TensorRT engine: --tensor, --values, --nodes and --weights are for models", o.model)
		}
		return a.inspectEngine(o.model)
	}
	m, err := onnx.Open(o.model)
	if err != nil {
		return badInput(err)
	}
	defer m.Close()
	if o.tensor != "" {
		if numbers, err = inspectTensor(m, o.tensor); err != nil {
			return badInput(err)
		}
	}
	summary, err := inspect.Model(m, inspect.Options{Nodes: o.nodes, Weights: o.weights})
	if err != nil {
		return badInput(err)
	}
	summary.Path = o.model
	if err := ctx.Err(); err != nil {
		return err
	}
	return a.emit(&report.Inspect{Header: header, Summary: summary, Numbers: numbers})
}

func inspectTensor(m *onnx.Model, name string) (*inspect.Numbers, error) {
	t, err := inspect.Find(m, name)
	if err != nil {
		return nil, err
	}
	v, err := t.Value()
	if err != nil {
		return nil, err
	}
	defer t.Release()
	n, err := inspect.Tensor(name, v)
	return &n, err
}

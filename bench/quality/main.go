// Command quality measures what language models lose by each way of rounding
// weights to few bits:
//
//	go run ./bench/quality [-optim bin/optim] [-seeds 3] [-compute fp32] MODEL TEXT-TO-CALIBRATE TEXT-TO-TEST TOKENIZER
//
// It prints dCE = ln(perplexity after / before) in nats, and the share of the
// loss of plain rounding (scales from extremes) that a method avoids. Methods
// that use data are repeated with as many parts of the calibration text, of
// 128 windows each; what is printed is the mean and, behind ±, the greatest
// deviation. Both sides of a comparison see the same windows.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
)

// settings are the sizes of blocks and the bits that are tried.
var settings = []struct {
	name  string
	flags []string
}{
	{"4 bits, groups of 64", []string{"--int4", "--block-size", "64"}},
	{"4 bits, one group a row (256)", []string{"--int4", "--block-size", "256"}},
	{"3 bits, groups of 64", []string{"--int4", "--bits", "3", "--block-size", "64"}},
	{"2 bits, groups of 32", []string{"--int4", "--bits", "2", "--block-size", "32"}},
}

// methods are the ways of rounding; the first is what others are compared with.
var methods = []struct {
	name  string
	flags []string
	calib bool
}{
	{"rtn, plain scales", []string{"--method", "rtn", "--scales", "extremes"}, false},
	{"rtn", []string{"--method", "rtn"}, false},
	{"hqq", []string{"--method", "hqq"}, false},
	{"awq", []string{"--method", "awq"}, true},
	{"gptq, plain scales", []string{"--method", "gptq", "--scales", "extremes"}, true},
	{"gptq", []string{"--method", "gptq"}, true},
	{"auto", nil, true},
}

// floats are formats of 4-bit floats beside integers of as many bits a weight.
var floats = []struct {
	name  string
	flags []string
}{
	{"int4, symmetric, groups of 64, plain scales: 4.5 bits", []string{"--int4", "--method", "rtn", "--scales", "extremes", "--symmetric", "--block-size", "64"}},
	{"nf4: 4.13 bits", []string{"--nf4"}},
	{"nf4, float scales: 4.5 bits", []string{"--nf4", "--double-quant=false"}},
	{"fp4: 4.13 bits", []string{"--fp4"}},
}

type bench struct {
	optim, compute     string
	model, test, token string
	parts              []string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "quality:", err)
		os.Exit(1)
	}
}

func run() error {
	b := bench{}
	flag.StringVar(&b.optim, "optim", "bin/optim", "the `program`")
	flag.StringVar(&b.compute, "compute", "fp32", "what products compute in: fp32 shows the rounding of weights alone")
	seeds := flag.Int("seeds", 3, "parts of the calibration text")
	flag.Parse()
	if flag.NArg() != 4 {
		return errors.New("give MODEL, two texts and a tokenizer")
	}
	b.model, b.test, b.token = flag.Arg(0), flag.Arg(2), flag.Arg(3)
	dir, err := os.MkdirTemp("", "quality-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := b.split(flag.Arg(1), dir, *seeds); err != nil {
		return err
	}
	for _, s := range settings {
		fmt.Printf("%s\n", s.name)
		plain := 0.0
		for _, m := range methods {
			flags := append(append([]string{}, s.flags...), m.flags...)
			mean, spread, err := b.repeated(dir, append(flags, "--compute-dtype", b.compute), m.calib)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", s.name, m.name, err)
			}
			if plain == 0 {
				plain = mean
			}
			fmt.Printf("  %-20s dCE %.4f ± %.4f   gap closed %3.0f %%\n", m.name, mean, spread, 100*(1-mean/plain))
		}
	}
	fmt.Println("4-bit floats")
	for _, f := range floats {
		mean, _, err := b.repeated(dir, f.flags, false)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		fmt.Printf("  %-55s dCE %.4f\n", f.name, mean)
	}
	return nil
}

// split cuts a text into parts.
func (b *bench) split(text, dir string, parts int) error {
	all, err := os.ReadFile(text)
	if err != nil {
		return err
	}
	for i := range parts {
		file := filepath.Join(dir, fmt.Sprintf("part%d.txt", i))
		if err := os.WriteFile(file, all[i*len(all)/parts:(i+1)*len(all)/parts], 0o666); err != nil {
			return err
		}
		b.parts = append(b.parts, file)
	}
	return nil
}

// repeated returns the mean loss over the parts, and the greatest deviation.
func (b *bench) repeated(dir string, flags []string, calib bool) (mean, spread float64, err error) {
	var all []float64
	for _, part := range b.parts {
		args := append([]string{"quantize"}, flags...)
		if calib {
			args = append(args, "--calib", part)
		}
		d, err := b.loss(append(args, "--force", "-o", filepath.Join(dir, "out.onnx")))
		if err != nil {
			return 0, 0, err
		}
		all = append(all, d)
		if !calib {
			break
		}
	}
	for _, d := range all {
		mean += d / float64(len(all))
	}
	for _, d := range all {
		spread = max(spread, math.Abs(d-mean))
	}
	return mean, spread, nil
}

// loss quantizes and returns dCE on the test text.
func (b *bench) loss(args []string) (float64, error) {
	args = append(args, "--eval", b.test, "--tokenizer", b.token, "--max-loss", "1", "--measure", "off", "--json", b.model)
	out, err := exec.Command(b.optim, args...).Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			return 0, fmt.Errorf("%v: %s", err, failed.Stderr)
		}
		return 0, err
	}
	var r struct {
		Quality struct{ Before, After float64 }
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return 0, err
	}
	return math.Log(r.Quality.After / r.Quality.Before), nil
}

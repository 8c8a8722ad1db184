package main

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"optim/internal/quant"
)

// compareRow is one format and method that --compare tries.
type compareRow struct {
	name           string
	format, method string
	flags          []string
	calib          bool // it needs calibration data
}

// compareOrder is that of the formats in the table.
var compareOrder = []quant.Format{quant.FP16, quant.BF16, quant.Int8, quant.Int4, quant.NF4, quant.FP4}

// compareRows lists what quantize can make without learning: each method of each
// format, and NF4 once more with its scales in floats.
func compareRows() []compareRow {
	formats := slices.Clone(quant.Formats)
	slices.SortStableFunc(formats, func(a, b quant.Format) int {
		return cmp.Compare(slices.Index(compareOrder, a), slices.Index(compareOrder, b))
	})
	var rows []compareRow
	for _, f := range formats {
		methods := quant.MethodsOf(f)
		for _, m := range methods {
			q := &quant.Options{Format: f, Method: m}
			if q.Trained() || m == quant.AutoRound { // these learn: for minutes where the others take seconds
				continue
			}
			r := compareRow{name: string(f), format: string(f), method: string(m), flags: []string{"--" + string(f)}, calib: q.Calibrated()}
			if len(methods) > 1 {
				r.name, r.flags = r.name+" "+r.method, append(r.flags, "--method", r.method)
			}
			rows = append(rows, r)
		}
		if f == quant.NF4 {
			r := rows[len(rows)-1]
			r.name, r.method, r.flags = r.name+" float-scales", r.method+" float-scales", append(r.flags, "--double-quant=false")
			rows = append(rows, r)
		}
	}
	return rows
}

// applies returns why a row has no place in this comparison; empty: it has.
func (r compareRow) applies(o *quantizeOptions) string {
	if r.calib && o.calib == "" {
		return "it needs data: give --calib DATA"
	}
	return ""
}

// comparedFlags are what --compare decides by itself, idleCompared what means nothing
// for it.
var (
	comparedFlags = append(words(quant.Formats), "format", "method", "bits", "double-quant", "from-checkpoint")
	idleCompared  = []string{"output", "force", "if-unchanged", "min-speedup"}
)

// checkCompare refuses what contradicts --compare.
func (o *quantizeOptions) checkCompare(flags *pflag.FlagSet) error {
	for _, name := range comparedFlags {
		if given(flags, name) {
			return withHint(usagef("--%s and --compare exclude each other", name), "--compare tries every format and method")
		}
	}
	for _, name := range idleCompared {
		if given(flags, name) {
			return withHint(usagef("--%s means nothing for --compare, which writes no model", name), "give it with the format that is chosen")
		}
	}
	if name := trainingFlag(flags); name != "" {
		return withHint(usagef("--%s means nothing for --compare, which trains nothing", name), "--method qat trains")
	}
	for _, name := range []string{"calibrator", "calib-samples", "smooth"} {
		if given(flags, name) && o.calib == "" {
			return withHint(usagef("--%s means nothing without calibration", name), "give --calib DATA")
		}
	}
	for _, f := range []struct{ name, value string }{{"--calib", o.calib}, {"--eval", o.write.eval}, {"--plot", o.compare.plot}} {
		if f.value == "" && !given(flags, f.name[2:]) {
			continue
		}
		if err := notStdin(f.name, f.value); err != nil {
			return err
		}
	}
	for _, name := range []string{o.model, o.calib, o.write.eval, o.read.tokenizer} {
		if !utf8.ValidString(name) { // the settings of the rows' processes are JSON
			return usagef("the name %q is not UTF-8", name)
		}
	}
	if err := o.read.check(); err != nil {
		return err
	}
	o.write.minSpeedup = 0 // set below, for runs that write a model
	return o.write.check(flags)
}

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"optim/internal/tensor"
)

// sortedKeys returns the keys of m in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}

// enumValue is a flag that takes one of a few words.
type enumValue struct {
	dst   *string
	valid []string
}

// enumVar registers a flag that takes one of the words in valid.
func enumVar(fs *pflag.FlagSet, dst *string, name, def, usage string, valid ...string) {
	*dst = def
	fs.Var(&enumValue{dst, valid}, name, usage+": "+strings.Join(valid, ", "))
}

func (e *enumValue) String() string { return *e.dst }
func (e *enumValue) Type() string   { return "word" }

func (e *enumValue) Set(s string) error {
	if !slices.Contains(e.valid, s) {
		return fmt.Errorf("must be one of %s", strings.Join(e.valid, ", "))
	}
	*e.dst = s
	return nil
}

// sizeValue is a flag that takes a number of bytes.
type sizeValue struct{ dst *int64 }

// sizeVar registers a flag that takes a size as parseSize does; 0: not given.
func sizeVar(fs *pflag.FlagSet, dst *int64, name, usage string) {
	fs.Var(&sizeValue{dst}, name, usage)
}

func (v *sizeValue) Type() string { return "size" }

func (v *sizeValue) String() string {
	if *v.dst == 0 {
		return ""
	}
	if gib := *v.dst >> 30; gib<<30 == *v.dst {
		return strconv.FormatInt(gib, 10) + "GiB"
	}
	return strconv.FormatInt(*v.dst, 10)
}

func (v *sizeValue) Set(s string) (err error) {
	*v.dst, err = parseSize(s)
	return err
}

// sizeUnits are the units of parseSize, in lower case.
var sizeUnits = map[string]float64{
	"": 1, "b": 1,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// parseSize reads a positive number of bytes: "64MiB", "1.5 GB", "4096".
func parseSize(s string) (int64, error) {
	text := strings.TrimSpace(s)
	end := strings.LastIndexAny(text, "0123456789.") + 1
	unit, ok := sizeUnits[strings.ToLower(strings.TrimSpace(text[end:]))]
	n, err := strconv.ParseFloat(text[:end], 64)
	if err != nil || !ok || strings.ContainsAny(text[:end], "xXpP_+-eEiInN") {
		return 0, errors.New("must be a size such as 64MiB, 1GB or 4096")
	}
	n = math.Round(n * unit)
	if n < 1 || n >= math.MaxInt64 {
		return 0, errors.New("must be a size of at least one byte and below 8 EiB")
	}
	return int64(n), nil
}

// regexValue is a repeatable flag that takes regular expressions.
type regexValue struct{ dst *[]*regexp.Regexp }

// regexVar registers a repeatable flag that takes regular expressions (RE2).
func regexVar(fs *pflag.FlagSet, dst *[]*regexp.Regexp, name, usage string) {
	fs.Var(&regexValue{dst}, name, usage)
}

// Type is "stringArray" so that a list in the configuration file sets the flag
// once for each of its entries: a comma is part of an expression.
func (v *regexValue) Type() string { return "stringArray" }

func (v *regexValue) String() string { return strings.Join(v.list(), " ") }

// list returns the expressions as they were given.
func (v *regexValue) list() []string {
	var out []string
	for _, re := range *v.dst {
		out = append(out, re.String())
	}
	return out
}

func (v *regexValue) Set(s string) error {
	re, err := regexp.Compile(s)
	if err != nil {
		return err
	}
	*v.dst = append(*v.dst, re)
	return nil
}

// parseShapes reads the values of --shape: "NAME:1x3x224x224". A dimension of
// names is taken apart at the last colon, since tensor names may hold some.
func parseShapes(list []string) (map[string]tensor.Shape, error) {
	out := map[string]tensor.Shape{}
	for _, s := range list {
		i := strings.LastIndexByte(s, ':')
		if i < 1 {
			return nil, usagef("--shape must be NAME:1x128, not %q", s)
		}
		name := s[:i]
		if _, twice := out[name]; twice {
			return nil, usagef("--shape names %q twice", name)
		}
		dims := tensor.Shape{}
		for _, d := range strings.Split(s[i+1:], "x") {
			n, err := strconv.ParseInt(d, 10, 64)
			if err != nil || n < 1 || n > math.MaxInt32 {
				return nil, usagef("--shape must be NAME:1x128, not %q", s)
			}
			dims = append(dims, n)
		}
		out[name] = dims
	}
	return out, nil
}

// parseDims reads the values of --dim: "batch=1".
func parseDims(list []string) (map[string]int64, error) {
	out := map[string]int64{}
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if !ok || name == "" || err != nil || n < 1 || n > math.MaxInt32 {
			return nil, usagef("--dim must be NAME=SIZE, not %q", s)
		}
		if _, twice := out[name]; twice {
			return nil, usagef("--dim names %q twice", name)
		}
		out[name] = n
	}
	return out, nil
}

// oneModel checks the positional arguments of a command with one model.
func oneModel(what string, args []string) (string, error) {
	switch {
	case len(args) == 0:
		return "", usagef("%s is missing", what)
	case len(args) > 1:
		return "", usagef("one %s is taken, not %d: %q", what, len(args), args)
	}
	return args[0], notStdin(what, args[0])
}

// fileError leaves the name of the system call out of an error of a file.
func fileError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}

// notStdin refuses "-" and the empty string: models and data are mapped, so
// they have to be files.
func notStdin(what, path string) error {
	switch path {
	case "":
		return usagef("%s must not be empty", what)
	case "-":
		return usagef("%s may not be %q: name a file", what, path)
	}
	return nil
}

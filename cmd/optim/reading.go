package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"optim/internal/dataset"
	"optim/internal/recipe"
)

// readingOptions are the names that describe sets.
var readingOptions = []string{"reading", "tokenizer", "config"}

// describe sets what decides how samples of the sources are read for a model: flags that
// are not the default, and the contents of the files beside the model that make ids of
// texts.
func (d *dataFlags) describe(set func(name, value string), model string, sources ...string) {
	var parts []string
	for _, f := range []struct{ name, value, usual string }{
		{"seq-len", fmt.Sprint(d.seqLen), "0"}, {"stride", fmt.Sprint(d.stride), "0"}, {"text-as", d.textAs, "auto"}, {"preprocess", d.preprocess, ""},
		{"layout", d.layout, "auto"}, {"shape", strings.Join(d.shape, ","), ""}, {"dim", strings.Join(d.dim, ","), ""},
	} {
		if f.value != f.usual {
			parts = append(parts, f.name+"="+f.value)
		}
	}
	set("reading", strings.Join(parts, " "))
	if !slices.ContainsFunc(sources, isText) {
		return
	}
	for name, file := range d.textFiles(model) {
		if sum, err := recipe.Fingerprint(file); err == nil {
			set(name, sum)
		}
	}
}

// isText reports whether a source's samples may be texts.
func isText(source string) bool {
	return slices.Contains([]string{".txt", ".jsonl", ".csv", ".tsv"}, strings.ToLower(filepath.Ext(source)))
}

// textFiles returns the files beside model and data that decide how texts become ids;
// some may not exist.
func (d *dataFlags) textFiles(model string) map[string]string {
	folder := filepath.Dir(model)
	files := map[string]string{"tokenizer": d.tokenizer, "config": filepath.Join(folder, "config.json")}
	if d.tokenizer == "" {
		files["tokenizer"] = filepath.Join(folder, "tokenizer.json")
	} else if _, err := os.Stat(files["config"]); err != nil {
		files["config"] = filepath.Join(filepath.Dir(d.tokenizer), "config.json")
	}
	return files
}

// fingerprint identifies the contents of data; "random" and "" are their own.
func fingerprint(source string) (string, error) {
	if source == "" || source == dataset.Random {
		return source, nil
	}
	sum, err := recipe.Fingerprint(source)
	if err != nil {
		return "", badInput(fileError(err))
	}
	return sum, nil
}

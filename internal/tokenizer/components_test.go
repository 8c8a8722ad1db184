package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// componentLine is what the reference library makes of one component; see the
// README of the fixtures.
type componentLine struct {
	Part   string               `json:"part"`
	Config json.RawMessage      `json:"config"`
	Cases  [][2]json.RawMessage `json:"cases"`
}

// TestComponents compares every component with the reference library.
func TestComponents(t *testing.T) {
	path := os.Getenv("COMPONENTS_JSONL") // a longer list than the repository's
	if path == "" {
		path = filepath.Join(fixtureDir, "components.jsonl")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 64<<20)
	seen := map[string]int{}
	for scanner.Scan() {
		var line componentLine
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		seen[line.Part]++
		checkComponent(t, line)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"normalizer", "pre_tokenizer", "decoder", "post_processor", "tokenizer"} {
		if seen[part] == 0 {
			t.Errorf("no case of %s", part)
		}
	}
}

func checkComponent(t *testing.T, line componentLine) {
	t.Helper()
	run := runners[line.Part]
	if run == nil {
		t.Fatalf("part %q", line.Part)
	}
	apply, err := run(line.Config)
	if err != nil {
		t.Errorf("%s %s: %v", line.Part, line.Config, err)
		return
	}
	bad := 0
	for _, c := range line.Cases {
		got, err := apply(c[0])
		if err != nil {
			t.Errorf("%s %s: %s: %v", line.Part, line.Config, c[0], err)
			continue
		}
		if want := reencode(t, c[1]); !reflect.DeepEqual(got, want) {
			if bad++; bad <= 3 {
				t.Errorf("%s %s: %s:\n got %q\nwant %q", line.Part, line.Config, c[0], got, want)
			}
		}
	}
	if bad > 3 {
		t.Errorf("%s %s: %d of %d cases differ", line.Part, line.Config, bad, len(line.Cases))
	}
}

// reencode decodes JSON into any, and any value by way of JSON likewise.
func reencode(t testing.TB, v any) any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// runners build a component, and apply it to an input.
var runners = map[string]func(config json.RawMessage) (func(in json.RawMessage) (any, error), error){
	"normalizer":     runNormalizer,
	"pre_tokenizer":  runPreTokenizer,
	"decoder":        runDecoder,
	"post_processor": runPostProcessor,
	"tokenizer":      runTokenizer,
}

func runNormalizer(config json.RawMessage) (func(json.RawMessage) (any, error), error) {
	n, err := readNormalizer(component{config, "normalizer", 0})
	return func(in json.RawMessage) (any, error) {
		var s string
		if err := json.Unmarshal(in, &s); err != nil {
			return nil, err
		}
		out, err := n.normalize(s)
		return out, err
	}, err
}

func runPreTokenizer(config json.RawMessage) (func(json.RawMessage) (any, error), error) {
	p, err := readPreTokenizer(component{config, "pre_tokenizer", 0})
	return func(in json.RawMessage) (any, error) {
		var s string
		if err := json.Unmarshal(in, &s); err != nil {
			return nil, err
		}
		out := []any{}
		if s == "" {
			return out, nil
		}
		pieces, err := p.split([]piece{{s, true}})
		for _, p := range pieces {
			out = append(out, p.text)
		}
		return out, err
	}, err
}

func runDecoder(config json.RawMessage) (func(json.RawMessage) (any, error), error) {
	d, err := readDecoder(component{config, "decoder", 0})
	return func(in json.RawMessage) (any, error) {
		var tokens []string
		if err := json.Unmarshal(in, &tokens); err != nil {
			return nil, err
		}
		tokens, err := d.decode(tokens)
		text := ""
		for _, s := range tokens {
			text += s
		}
		return text, err
	}, err
}

// shell is a tokenizer of a few whole words with this post-processor.
func shell(post json.RawMessage) ([]byte, error) {
	vocab := map[string]int{}
	for i, w := range []string{"[CLS]", "[SEP]", "?", "the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"} {
		vocab[w] = i
	}
	return json.Marshal(map[string]any{
		"post_processor": post, "pre_tokenizer": map[string]string{"type": "WhitespaceSplit"},
		"model": map[string]any{"type": "WordLevel", "vocab": vocab, "unk_token": "?"},
	})
}

func runPostProcessor(config json.RawMessage) (func(json.RawMessage) (any, error), error) {
	data, err := shell(config)
	if err != nil {
		return nil, err
	}
	tok, err := Parse(data)
	return func(in json.RawMessage) (any, error) {
		var a string
		var b *string
		var o Options
		if err := json.Unmarshal(in, &[]any{&a, &b, &o.Special, &o.MaxLength}); err != nil {
			return nil, err
		}
		e, err := tok.EncodeWith(a, b, o)
		return []any{floats(e.IDs), floats(e.TypeIDs)}, err
	}, err
}

func runTokenizer(config json.RawMessage) (func(json.RawMessage) (any, error), error) {
	tok, err := Parse(config)
	return func(in json.RawMessage) (any, error) {
		var s string
		if err := json.Unmarshal(in, &s); err != nil {
			return nil, err
		}
		e, err := tok.Encode(s, true)
		if err != nil {
			return nil, err
		}
		text, err := tok.Decode(e.IDs, true)
		tokens := []any{}
		for _, s := range e.Tokens {
			tokens = append(tokens, s)
		}
		return []any{floats(e.IDs), tokens, text}, err
	}, err
}

// floats are numbers as JSON decodes them.
func floats(ids []int64) []any {
	out := []any{}
	for _, id := range ids {
		out = append(out, float64(id))
	}
	return out
}

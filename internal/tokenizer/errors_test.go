package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const words = `"model":{"type":"WordLevel","vocab":{"a":0,"<unk>":1},"unk_token":"<unk>"}`

func TestParseErrors(t *testing.T) {
	charsmap := func(b ...byte) string { return base64.StdEncoding.EncodeToString(b) }
	with := func(field, value string) string { return `{` + words + `,"` + field + `":` + value + `}` }
	tests := []struct{ name, json, want string }{
		{"empty", ``, "unexpected end"},
		{"cut", `{"model":`, "unexpected end"},
		{"array", `[]`, "cannot unmarshal array"},
		{"no model", `{}`, "model: is missing"},
		{"model null", `{"model":null}`, "model: is missing"},
		{"model text", `{"model":"BPE"}`, "model: json: cannot unmarshal string"},
		{"model type", `{"model":{"type":"Neural","vocab":{"a":0}}}`, `model: type "Neural" is not supported`},
		{"vocab missing", `{"model":{"type":"BPE"}}`, "model.vocab: "},
		{"vocab empty", `{"model":{"type":"BPE","vocab":{}}}`, "model.vocab: is empty"},
		{"vocab type", `{"model":{"type":"BPE","vocab":{"a":"b"}}}`, "model.vocab: json: cannot unmarshal string"},
		{"id negative", `{"model":{"type":"BPE","vocab":{"a":-1}}}`, `token "a": id -1 is out of range`},
		{"id huge", `{"model":{"type":"BPE","vocab":{"a":4000000000}}}`, `token "a": id 4000000000 is out of range`},
		{"id fraction", `{"model":{"type":"BPE","vocab":{"a":0.5}}}`, "model.vocab: json: cannot unmarshal number"},
		{"token long", `{"model":{"type":"BPE","vocab":{"` + strings.Repeat("a", 3000) + `":1}}}`, "3000 bytes, more than 2048"},
		{"merge token", `{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"],["a","x"]]}}`, `model.merges[1]: token "x" is not`},
		{"merge result", `{"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}}`, `merged token "ab" is not`},
		{"merge form", `{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b c"]}}`, `merge "a b c" is not two tokens`},
		{"merge count", `{"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}}`, `a merge of 1 tokens`},
		{"dropout", `{"model":{"type":"BPE","vocab":{"a":0},"dropout":0.1}}`, "dropout 0.1 is not supported"},
		{"unk token", `{"model":{"type":"BPE","vocab":{"a":0},"unk_token":"?"}}`, `model.unk_token: token "?" is not`},
		{"wordpiece unk", `{"model":{"type":"WordPiece","vocab":{"a":0}}}`, `model.unk_token: token "[UNK]" is not`},
		{"wordpiece chars", `{"model":{"type":"WordPiece","vocab":{"[UNK]":0},"max_input_chars_per_word":-1}}`, "-1 is negative"},
		{"unigram unk", `{"model":{"type":"Unigram","vocab":[["a",0]],"unk_id":1}}`, "model.unk_id: 1 is out of range"},
		{"unigram pair", `{"model":{"type":"Unigram","vocab":[["a",0,0]]}}`, "is not an array of two elements"},
		{"unigram null", `{"model":{"type":"Unigram","vocab":[["a",null]]}}`, "is not an array of two elements"},
		{"unigram score", `{"model":{"type":"Unigram","vocab":[["a","b"]]}}`, "cannot unmarshal string"},
		{"unigram empty", `{"model":{"type":"Unigram","vocab":[]}}`, "model.vocab: is empty"},
		{"added no id", with("added_tokens", `[{"content":"x"}]`), `added_tokens[0]: token "x" has no id`},
		{"added conflict", with("added_tokens", `[{"id":7,"content":"a"}]`), `token "a" has id 7 here and 0 before`},
		{"added id", with("added_tokens", `[{"id":-7,"content":"x"}]`), "id -7 is out of range"},
		{"normalizer", with("normalizer", `{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Rot13"}]}`), `normalizer.normalizers[1]: type "Rot13" is not supported`},
		{"no type", with("normalizer", `{}`), "normalizer: has no type"},
		{"null in sequence", with("normalizer", `{"type":"Sequence","normalizers":[null]}`), "normalizer.normalizers[0]: is null"},
		{"replace pattern", with("normalizer", `{"type":"Replace","pattern":{},"content":""}`), "normalizer: pattern is neither"},
		{"replace content", with("normalizer", `{"type":"Replace","pattern":{"String":"a"},"content":"`+strings.Repeat("x", 2000)+`"}`), "content has 2000 bytes"},
		{"regex", with("pre_tokenizer", `{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"}`), `pre_tokenizer: pattern "(a": the group at byte 0 is not closed`},
		{"behavior", with("pre_tokenizer", `{"type":"Split","pattern":{"Regex":"a"},"behavior":"Odd"}`), `behavior "Odd" is not supported`},
		{"delimiter", with("pre_tokenizer", `{"type":"CharDelimiterSplit","delimiter":"ab"}`), `delimiter "ab" is not one character`},
		{"scheme", with("pre_tokenizer", `{"type":"Metaspace","replacement":"_","prepend_scheme":"often"}`), `prepend_scheme "often"`},
		{"length", with("pre_tokenizer", `{"type":"FixedLength","length":0}`), "length 0 is not positive"},
		{"pre type", with("pre_tokenizer", `{"type":"UnicodeScripts"}`), `pre_tokenizer: type "UnicodeScripts" is not`},
		{"charsmap base64", with("normalizer", `{"type":"Precompiled","precompiled_charsmap":"***"}`), "illegal base64"},
		{"charsmap size", with("normalizer", `{"type":"Precompiled","precompiled_charsmap":"`+charsmap(255, 0, 0, 0, 1)+`"}`), "trie of 255 bytes in 1"},
		{"charsmap short", with("normalizer", `{"type":"Precompiled","precompiled_charsmap":"`+charsmap(1)+`"}`), "has 1 bytes"},
		{"template token", with("post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}]}`), `post_processor.single: special token "x" is not defined`},
		{"template text", with("post_processor", `{"type":"TemplateProcessing","single":[{"Sequence":{"id":"C"}}]}`), `text "C" is neither A nor B`},
		{"template B", with("post_processor", `{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B"}}]}`), "names a second text"},
		{"template id", with("post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{"x":{"ids":[9],"tokens":["x"]}}}`), `id 9 of token "x" is not in the vocabulary`},
		{"bert", with("post_processor", `{"type":"BertProcessing"}`), "sep or cls is missing"},
		{"two processors", with("post_processor", `{"type":"Sequence","processors":[{"type":"BertProcessing","sep":["a",0],"cls":["a",0]},{"type":"BertProcessing","sep":["a",0],"cls":["a",0]}]}`), "second processor"},
		{"decoder", with("decoder", `{"type":"Sequence","decoders":[{"type":"Nope"}]}`), `decoder.decoders[0]: type "Nope" is not`},
		{"strip", with("decoder", `{"type":"Strip","content":"ab","start":1,"stop":0}`), `content "ab"`},
		{"ctc", with("decoder", `{"type":"CTC","pad_token":""}`), "pad_token"},
		{"padding", with("padding", `{"pad_id":77}`), "pad_id 77 is not in the vocabulary"},
		{"truncation", with("truncation", `{"max_length":-1}`), "max_length -1 is negative"},
		{"deep", with("normalizer", strings.Repeat(`{"type":"Sequence","normalizers":[`, 20)+strings.Repeat(`]}`, 20)), "nested deeper than 16"},
		{"wide", with("normalizer", `{"type":"Sequence","normalizers":[`+strings.Repeat(`{"type":"NFC"},`, 64)+`{"type":"NFC"}]}`), "65 components, more than 64"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tok, err := Parse([]byte(test.json))
			if err == nil || tok != nil && err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	if _, err := Load(path); !os.IsNotExist(err) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"model":null}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || err.Error() != path+": model: is missing" {
		t.Errorf("error %v", err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(pipe); err == nil || err.Error() != pipe+": not a regular file" {
		t.Errorf("error %v", err)
	}
}

// TestGrowthIsBounded checks that a file cannot make a text explode.
func TestGrowthIsBounded(t *testing.T) {
	long := strings.Repeat("x", 1000)
	grow := `{"type":"Replace","pattern":{"String":"x"},"content":"` + long + `"}`
	prepend := `{"type":"Prepend","prepend":"` + long + `"}`
	spaces := `{"type":"Metaspace","replacement":"%","prepend_scheme":"always"}`
	halves := `{"type":"FixedLength","length":1}`
	for name, field := range map[string]string{
		"replace": `"normalizer":` + grow,
		"prepend": `"normalizer":{"type":"Sequence","normalizers":[` + strings.Repeat(prepend+",", 40) + prepend + `]}`,
		"pieces":  `"pre_tokenizer":{"type":"Sequence","pretokenizers":[` + strings.Repeat(halves+","+spaces+","+strings.ReplaceAll(spaces, "%", "漢")+",", 15) + halves + `]}`,
	} {
		tok, err := Parse([]byte(`{` + words + `,` + field + `}`))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := tok.Encode(strings.Repeat("xy", 500), true); err == nil || !strings.Contains(err.Error(), "grows to more than") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestHostileCharsmap walks tables that point outside of themselves.
func TestHostileCharsmap(t *testing.T) {
	for seed := range 200 {
		raw := make([]byte, 4+64+8)
		binary.LittleEndian.PutUint32(raw, 64)
		x := uint64(seed)*0x9e3779b97f4a7c15 + 1
		for i := 4; i < len(raw); i++ {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			raw[i] = byte(x)
			if i%4 != 0 && x>>60 != 0 {
				raw[i] &= 3 // small offsets are followed further
			}
		}
		text := base64.StdEncoding.EncodeToString(raw)
		n, err := readNormalizer(component{[]byte(`{"type":"Precompiled","precompiled_charsmap":"` + text + `"}`), "normalizer", 0})
		if err != nil {
			t.Fatal(err)
		}
		for c := range 256 {
			s := string([]byte{byte(c), byte(c * 7), byte(seed)})
			if out, err := n.normalize(s); err == nil && len(out) > maxGrowth(len(s)) {
				t.Errorf("seed %d: %d bytes", seed, len(out))
			}
		}
	}
}

func TestOldFiles(t *testing.T) {
	tests := []struct{ name, json, text, want string }{
		{"no type, merges", `{"model":{"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"],"unk_token":""}}`, "abba", "ab b a"},
		{"no type, word pieces", `{"model":{"vocab":{"[UNK]":0,"a":1,"##b":2},"unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":9}}`, "ab", "a ##b"},
		{"no type, scores", `{"model":{"vocab":[["a",-1],["b",-1],["ab",-1]],"unk_id":0}}`, "abb", "ab b"},
		{"no type, words", `{"model":{"vocab":{"ab":0},"unk_token":"ab"}}`, "ab", "ab"},
		{"add_prefix_space", `{"pre_tokenizer":{"type":"Metaspace","replacement":"_","add_prefix_space":false},"model":{"vocab":[["_",-1],["a",-1]],"unk_id":0}}`, "a a", "a _ a"},
	}
	for _, test := range tests {
		tok, err := Parse([]byte(test.json))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		e, err := tok.Encode(test.text, true)
		if got := strings.Join(e.Tokens, " "); err != nil || got != test.want {
			t.Errorf("%s: %q %v, want %q", test.name, got, err, test.want)
		}
	}
}

func TestModelsWithoutUnknownToken(t *testing.T) {
	for _, m := range []string{`{"type":"WordLevel","vocab":{"a":0}}`, `{"type":"Unigram","vocab":[["a",0]]}`} {
		tok, err := Parse([]byte(`{"model":` + m + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tok.Encode("漢", false); err == nil || !strings.Contains(err.Error(), `"漢" is not in the vocabulary`) {
			t.Errorf("%s: error %v", m, err)
		}
	}
}

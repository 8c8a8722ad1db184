package pattern

import (
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func all(t testing.TB, expr, text string) []string {
	t.Helper()
	re, err := Compile(expr)
	if err != nil {
		t.Fatal(err)
	}
	found, err := re.All(text)
	if err != nil {
		t.Fatalf("%s on %q: %v", expr, text, err)
	}
	var out []string
	for _, f := range found {
		out = append(out, text[f[0]:f[1]])
	}
	return out
}

func TestAll(t *testing.T) {
	tests := []struct {
		expr, text string
		want       []string
	}{
		{`a`, "", nil},
		{``, "ab", []string{"", "", ""}},
		{`a*`, "baac", []string{"", "aa", ""}},
		{`a|ab`, "ab", []string{"a"}},
		{`(?:a|ab)c`, "abc", []string{"abc"}},
		{`a+?b?`, "aab", []string{"a", "ab"}},
		{`a??b`, "ab", []string{"ab"}},
		{`a*+a`, "aaa", nil},
		{`(?>a*)b`, "aab", []string{"aab"}},
		{`(?>a|ab)c`, "abc", nil},
		{`(?:ab)++a`, "ababa", []string{"ababa"}},
		{`a{2}`, "aaaaa", []string{"aa", "aa"}},
		{`a{2,}`, "aaaaa", []string{"aaaaa"}},
		{`a{,2}b`, "aaab", []string{"aab"}},
		{`a{1,2}?`, "aa", []string{"a", "a"}},
		{`a{`, "a{", []string{"a{"}},
		{`(?:ab){1,2}c`, "abababc", []string{"ababc"}},
		{`(?:a|b)*c`, "abac", []string{"abac"}},
		{`\s+(?!\S)`, "a   b  ", []string{"  ", "  "}},
		{`\w(?=!)`, "a!b", []string{"a"}},
		{`(?<=a)b`, "abb", []string{"b"}},
		{`(?<!a)b`, "abb", []string{"b"}},
		{`(?i:re)|x`, "RE re X x", []string{"RE", "re", "x"}},
		{`(?i)a(?-i)b`, "Ab AB", []string{"Ab"}},
		{`(?i:[^a])`, "aAb", []string{"b"}},
		{`.`, "a\n漢", []string{"a", "漢"}},
		{`(?m:.)`, "a\n", []string{"a", "\n"}},
		{`^\w|\w$`, "ab\ncd", []string{"a", "b", "c", "d"}},
		{`\A\w|\w\z`, "ab\ncd", []string{"a", "d"}},
		{`\w\Z`, "ab\n", []string{"b"}},
		{`\bab\b`, "ab abc ab", []string{"ab", "ab"}},
		{`a\Bb`, "ab", []string{"ab"}},
		{`[a-c&&[^b]]+`, "abcab", []string{"a", "ca"}},
		{`[]a]+`, "a]b", []string{"a]"}},
		{`[a\-z]+`, "a-zb", []string{"a-z"}},
		{`[\d\s-]+`, "1 -२a", []string{"1 -२"}},
		{`[[:alpha:][:^ascii:]]+`, "aé1", []string{"aé"}},
		{`\p{Lu}\p{^Lu}\P{L}`, "Aa1", []string{"Aa1"}},
		{`\x41\x{6f22}\u5b57`, "A漢字", []string{"A漢字"}},
		{`\t\n\.\\`, "\t\n.\\", []string{"\t\n.\\"}},
	}
	for _, test := range tests {
		if got := all(t, test.expr, test.text); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s on %q: %q, want %q", test.expr, test.text, got, test.want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for expr, want := range map[string]string{
		`(a`: "is not closed", `a)`: "unmatched )", `[a`: "is not closed", `*a`: "nothing to repeat", `a{3,1}`: "is not within",
		`a{2000}`: "is not within", `(?:a*)*`: "can be empty", `(?P<n>a)`: "not supported", `(a)\1`: `escape \1`, `\`: "ends in a backslash",
		`\p{Klingon}`: `"Klingon" is not known`, `\pL`: "no {name}", `[[:odd:]]`: `"odd" is not known`, `(?<=ab)c`: "not a single character",
		`[z-a]`: "no valid end", `\x{110000}`: "no code point", `\uD800`: "no code point", `\x4`: "lacks 2", `(?x)a`: "not supported", `(?i`: "not closed",
		strings.Repeat("(", 60) + strings.Repeat(")", 60):                                     "nested deeper",
		strings.Repeat("[", 60) + strings.Repeat("]", 60):                                     "nested deeper",
		strings.Repeat("a", 20000):                                                            "longer than",
		"(?:(?:a{100}b){100}c){100}":                                                          "instructions",
		strings.Repeat("(?:", 40) + strings.Repeat("){1000}", 40) + strings.Repeat("a?", 100): "",
		"\xff": "not UTF-8",
	} {
		re, err := Compile(expr)
		if want == "" {
			if err != nil {
				t.Errorf("%.40s: %v", expr, err)
			}
			continue
		}
		if err == nil || re != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: error %v, want one with %q", expr, err, want)
		}
	}
}

// TestHostilePatterns takes exponential time where steps are not bounded.
func TestHostilePatterns(t *testing.T) {
	for _, expr := range []string{`(?:a+)+b`, `(?:a|a)*b`, `(?:a|aa)+$b`, `(?:(?:a+)+)+(?!a)c`} {
		re, err := Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := re.All(strings.Repeat("a", 5000)); err == nil || !strings.Contains(err.Error(), "takes too long") {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

// randomExpr writes an expression that Go's regexp reads in the same way.
func randomExpr(rng *rand.Rand, depth int) string {
	atoms := []string{"a", "b", "é", "[ab]", "[^a]", "(?i:A)", `[\x{e9}b-c]`}
	switch n := rng.IntN(9); {
	case depth == 0 || n < 3:
		return atoms[rng.IntN(len(atoms))]
	case n < 5:
		return randomExpr(rng, depth-1) + randomExpr(rng, depth-1)
	case n < 7:
		return "(?:" + randomExpr(rng, depth-1) + "|" + randomExpr(rng, depth-1) + ")"
	default:
		marks := []string{"*", "+", "?", "{2}", "{1,3}", "*?", "+?", "??", "{1,2}?"}
		return "(?:" + randomExpr(rng, depth-1) + ")" + marks[rng.IntN(len(marks))]
	}
}

// TestAgainstGo compares with Go's regexp, which has the same order of
// alternatives, where both know an expression.
func TestAgainstGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	compared := 0
	for range 6000 {
		expr := randomExpr(rng, 5)
		re, err := Compile(expr)
		if err != nil {
			if !strings.Contains(err.Error(), "can be empty") {
				t.Errorf("%s: %v", expr, err)
			}
			continue
		}
		reference := regexp.MustCompile(expr)
		var b strings.Builder
		for range rng.IntN(12) {
			b.WriteRune([]rune("aabcéA漢")[rng.IntN(7)])
		}
		text := b.String()
		got, err := re.All(text)
		if err != nil {
			t.Fatalf("%s on %q: %v", expr, text, err)
		}
		want := reference.FindAllStringIndex(text, -1)
		if len(got) != len(want) {
			t.Fatalf("%s on %q: %v, want %v", expr, text, got, want)
		}
		for i := range want {
			if got[i][0] != want[i][0] || got[i][1] != want[i][1] {
				t.Fatalf("%s on %q: %v, want %v", expr, text, got, want)
			}
		}
		compared++
	}
	if compared < 2000 {
		t.Errorf("only %d comparisons", compared)
	}
}

const llama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// TestLongText makes sure that usual patterns stay within the bounds.
func TestLongText(t *testing.T) {
	for _, unit := range []string{" ", "a", "\n", " \n", "1", "!", "'s", "漢", "word, and 12 more\n", " x"} {
		text := strings.Repeat(unit, 50000/len(unit))
		if got := strings.Join(all(t, llama3, text), ""); got != text {
			t.Errorf("%q: the matches have %d of %d bytes", unit, len(got), len(text))
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add(llama3, "it's 1234 x\n\n  y")
	f.Add(`[^(\s|[.,!?…。，、।۔،])]+`, "a (b), c")
	f.Add(`(?<=\s)\S|[a-z&&[^b]]{2,3}+`, "abc \xff")
	f.Add(`(?>a|ab)*?\b$|^\Z`, "aab\n")
	f.Fuzz(func(t *testing.T, expr, text string) {
		if len(text) > 1<<10 || len(expr) > 1<<10 {
			return
		}
		re, err := Compile(expr)
		if err != nil {
			return
		}
		found, err := re.All(text)
		if err != nil {
			return
		}
		last := 0
		for _, m := range found {
			if m[0] < last || m[1] < m[0] || m[1] > len(text) {
				t.Fatalf("%q on %q: matches %v", expr, text, found)
			}
			last = m[1]
		}
	})
}

func BenchmarkLlama3(b *testing.B) {
	text := strings.Repeat("The quick brown fox's 12 lazy dogs, they said (in 1987).\n", 2000)
	re, err := Compile(llama3)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := re.All(text); err != nil {
			b.Fatal(err)
		}
	}
}

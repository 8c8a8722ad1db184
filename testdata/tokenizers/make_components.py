"""Writes components.jsonl: what the library tokenizers makes of single components of a tokenizer.json.

Run in this folder with tokenizers 0.23.3 installed. A line is {"part", "config", "cases"}; a case is [input, result]:
normalizer text -> text; pre_tokenizer text -> pieces; decoder tokens -> text; post_processor and truncation
[a, b or null, special, max length or 0] -> [ids, type ids]; tokenizer text -> [ids, tokens, decoded].
"""
import json
import random
import sys

from tokenizers import Tokenizer

rng = random.Random(20)
seed_texts = [json.loads(line)["text"] for line in open("gpt2.jsonl", encoding="utf-8")]
extra = [
    "I'LL say it's THEY'RE'VE 'ſ don't", "1234567 12,345.67 ¾ ² Ⅻ ٣٤٥", "a\r\n\r\n  b\n \n\tc  \n", "   lead and trail   ",
    "x  +=\t1; // C++ <<= foo_bar->baz()[0]", "HTTPServer camelCase ÀÉÎ éa\u0301e\u0301 ǅungla", "漢字かな交じり文、テスト。한국어 문장 ไทย",
    "a--b..c!!d - e_f", "\u00a0nbsp\u2003em\u3000ideo\u200bzw\u2028ls\u0085nel", "İstanbul ΣΑΣ ẞ straße ﬁ ﬀ Å Ω K", "…“quoted”—dash‘s’ ¿qué?",
    "\u0301\u0302\u0303 a\u0327\u0301 \u0344", "ａｂｃ１２３ ㈱ ㍿ ½ ﷺ", "👩‍👩‍👧 🇩🇪 ✊🏽 ☃️", "tab\ttab\x0b\x0c\x01\x7f", "▁meta▁space _under", "a", "'", " ", "\n", "  ",
    "aaa bbb", "....", "1a2b3", "🙂1🙂", "ᾼ ﬃ ǰ ŉ",
]
ranges = [(32, 127), (32, 127), (9, 14), (0xa0, 0x250), (0x300, 0x363), (0x370, 0x530), (0x590, 0x700), (0x900, 0x980), (0xe00, 0xe80),
          (0x1e00, 0x2070), (0x2070, 0x2200), (0x2e80, 0x2fd6), (0x3000, 0x3100), (0x4e00, 0x4f00), (0xac00, 0xad00), (0xff00, 0xfff0), (0x1f300, 0x1f650)]


def noise(n):
    out = []
    while len(out) < n:
        lo, hi = rng.choice(ranges)
        for _ in range(rng.randrange(1, 5)):
            out.append(rng.choice(" '\n" + chr(rng.randrange(lo, hi)) * 5))
    return "".join(out)


NOISE = int(sys.argv[1]) if len(sys.argv) > 1 else 16
TEXTS = [t for t in rng.sample(seed_texts, 35) if len(t) < 200] + extra + [noise(rng.randrange(2, 30)) for _ in range(NOISE)]
# Unicode 16, which the library has and Go has not, counts these as letters.
TEXTS = [t for t in TEXTS if not any("\u0363" <= c <= "\u036f" for c in t)]
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
QWEN35 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT4_POSSESSIVE = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
PATTERNS = [GPT2, LLAMA3, QWEN2, QWEN35, O200K, GPT4_POSSESSIVE, DEEPSEEK, BLOOM, r"\w+|[^\w\s]+", r"[一-龥぀-ゟ゠-ヿ]+", r"[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯ]+",
            r"\s+$", r"\d", r"a*", r"[a-z]+?", r"(?:ab|a)+", r"\bx?\w", r"(?<=\s)\S", r"(?<!\w)\d+", r"[[:punct:]]", r"[[:alpha:]]+", r"[\p{L}&&[^\p{Han}]]+", r"\p{Han}+",
            r"^.", r"\h+", r"x{,2}y|\S{2}+", r"(?>a|ab)b?", r"(?i)https?|É|k", r"[^a-zß](?=[a-z])", r"(?m).{3}", r"[\x{4e00}-\u9fff]", r"\P{L}+", r"\p{^Lu}", r"(?:\r\n|\r|\n)", r".", r"[]a]", r"\p{Alphabetic}+"]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
S = "Sequence"
split = lambda p, b="Isolated", i=False: {"type": "Split", "pattern": p, "behavior": b, "invert": i}
bl = lambda p=False, r=True: {"type": "ByteLevel", "add_prefix_space": p, "trim_offsets": True, "use_regex": r}
meta = lambda s, sp=True: {"type": "Metaspace", "replacement": "▁", "prepend_scheme": s, "split": sp}
PRE = [split({"Regex": p}) for p in PATTERNS]
PRE += [split({"String": s}, b, i) for b in BEHAVIORS for i in (False, True) for s in (" ", "a")]
PRE += [split({"Regex": r"\s+|[.!-]"}, b, i) for b in BEHAVIORS for i in (False, True)]
PRE += [bl(), bl(True), bl(True, False), meta("always"), meta("first"), meta("never"), meta("always", False)]
PRE += [{"type": t} for t in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")]
PRE += [{"type": "Punctuation", "behavior": b} for b in BEHAVIORS]
PRE += [{"type": "Digits", "individual_digits": b} for b in (True, False)]
PRE += [{"type": "CharDelimiterSplit", "delimiter": "-"}, {"type": "FixedLength", "length": 3}]
PRE += [{"type": S, "pretokenizers": p} for p in (
    [split({"Regex": LLAMA3}), bl(False, False)], [{"type": "Digits", "individual_digits": True}, bl()],
    [{"type": "WhitespaceSplit"}, meta("first")], [split({"String": "a"}), meta("first")], [{"type": "Whitespace"}, meta("always", False), bl()])]
NORM = [{"type": t} for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")]
NORM += [{"type": "Strip", "strip_left": a, "strip_right": b} for a in (True, False) for b in (True, False)]
NORM += [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
         {"type": "Replace", "pattern": {"Regex": r"\s{2,}|'"}, "content": "<>"}, {"type": "Replace", "pattern": {"Regex": r"[a-c]*"}, "content": "-"}]
NORM += [{"type": "BertNormalizer", "clean_text": c, "handle_chinese_chars": h, "strip_accents": s, "lowercase": l}
         for c, h, s, l in ((True, True, None, True), (True, True, None, False), (True, False, True, False), (False, True, False, True), (False, False, None, False))]
NORM += [{"type": S, "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}]}, {"type": S, "normalizers": []}]
TOKENS = [[], ["a"], ["Hello", ",", "##wor", "wor", "##ld", " ", "##", "do", "not", "n't", "'s", "."], ["▁Hey", "▁", "you▁", "▁▁x"], ["<0xE2>", "<0x96>", "<0x81>", "a", "<0xFF>", "<0x41>", "<0xE2>", "<0x9>", "<0xZZ>"],
          ["ĠHe", "llo", "Ġ", "âĸ", "ģ", "Ã", "<|x|>", "漢", "Ġthere", "Ċ"], ["<pad>", "h", "h", "<pad>", "e", "l", "<pad>", "l", "o", "|", "|", "w", "'s", "<pad>"], ["lo", "w</w>", "er</w>", "</w>"], ["  a", " b ", "c  "], ["â", "Ģ", "ð", "Ł", "ĺ", "A"]]
DEC = [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, {"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "WordPiece", "prefix": "##", "cleanup": False},
       meta("always"), meta("first"), meta("never"), {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
       {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": False}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}, {"type": "Strip", "content": " ", "start": 2, "stop": 1},
       {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "Replace", "pattern": {"Regex": "l+"}, "content": "L"},
       {"type": S, "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}]
special = lambda s, t: {"SpecialToken": {"id": s, "type_id": t}}
seq = lambda s, t: {"Sequence": {"id": s, "type_id": t}}
POST = [None, {"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0]}, {"type": "RobertaProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0], "trim_offsets": True, "add_prefix_space": False},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        {"type": "TemplateProcessing", "single": [special("[CLS]", 0), seq("A", 0), special("[SEP]", 0)], "pair": [special("[CLS]", 0), seq("A", 0), special("[SEP]", 0), seq("B", 1), special("[SEP]", 1)],
         "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [0], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [1], "tokens": ["[SEP]"]}}},
        {"type": "TemplateProcessing", "single": [seq("A", 2), special("two", 1)], "pair": [seq("B", 1), special("two", 3), seq("A", 0)], "special_tokens": {"two": {"id": "two", "ids": [1, 0], "tokens": ["[SEP]", "[CLS]"]}}}]
POST.append({"type": S, "processors": [POST[3], POST[4]]})
WORDS = "the quick brown fox jumps over a lazy dog".split()


def shell(**parts):
    vocab = {w: i for i, w in enumerate(["[CLS]", "[SEP]", "?"] + WORDS)}
    j = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
         "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "?"}}
    j.update(parts)
    return j


added = lambda i, c, **k: {"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False, **k}
letters = ["a", "b", "c", "d", "e", "ab", "bc", "abc", "cd", "abcd", "é", "▁", "▁a", "<unk>"]
bpe = lambda extra=(), **k: {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                             "vocab": {w: i for i, w in enumerate(letters + list(extra))}, "merges": [["b", "c"], ["a", "b"], ["a", "bc"], ["ab", "c"], ["c", "d"], ["abc", "d"], ["▁", "a"]], **k}
uni = lambda **k: {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0], ["b", -1.5], ["ab", -1.2], ["abc", -4.0], ["c", -2.0], ["▁", -1.1], ["▁a", -1.3], ["xx", -9.0]] + k.pop("extra", []), "byte_fallback": False, **k}
hexes = ["<0x%02X>" % i for i in range(256)]
TOK = [shell(model=bpe()), shell(model=bpe(unk_token="<unk>")), shell(model=bpe(unk_token="<unk>", fuse_unk=True)), shell(model=bpe(hexes, byte_fallback=True)), shell(model=bpe(hexes[:0xe0], byte_fallback=True, unk_token="<unk>", fuse_unk=True)),
       shell(model=bpe(["abdé"], ignore_merges=True)), shell(model=bpe(["a</w>", "b</w>", "ab</w>", "c</w>"], end_of_word_suffix="</w>", unk_token="<unk>", merges=[["a", "b</w>"], ["a", "b"]]), decoder={"type": "BPEDecoder", "suffix": "</w>"}),
       shell(model=bpe(["##b", "##c", "##a"], continuing_subword_prefix="##", unk_token="<unk>", merges=[["a", "##b"], ["ab", "##c"]]), decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}),
       shell(model=uni()), shell(model=uni(extra=[[h, -8.0] for h in hexes], byte_fallback=True), decoder={"type": S, "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}), shell(model=uni(), pre_tokenizer=meta("first"), decoder=meta("first")),
       shell(added_tokens=[added(12, "<x>", lstrip=True, special=True), added(13, "<y>", rstrip=True), added(14, "fo", single_word=True), added(15, "<xx>", lstrip=True, rstrip=True), added(11, "dog", normalized=True), added(16, "<", special=True)],
             normalizer={"type": "Lowercase"}),
       shell(pre_tokenizer=meta("first"), model=uni(), added_tokens=[added(9, "<x>", special=True), added(10, "ÀB", normalized=True)], normalizer={"type": S, "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}]})]
TOK_TEXTS = ["", "abc", "abcabcd abab", "a b c", "abxabc", "xx xyz", "é漢a", "abdé", "zzaéz", "ab\u00e9\u6f22\u5b57", "👍a👎", "the fo fox fo. _fo", "a <x>  b <y>  c <xx> d", "<xx><x> <y> <<x>", "Dog DOG dog hotdog", "  the", "<x>a", "a<x>a", "àb ÀB a\u0300b", "bcd abcd cdcd"]


def emit(out, part, config, cases):
    out.write(json.dumps({"part": part, "config": config, "cases": cases}, ensure_ascii=False) + "\n")


def safe(f, t):
    try:
        return f(t)
    except BaseException as e:  # the library panics on some inputs
        return None


with open("components.jsonl", "w", encoding="utf-8") as out:
    for c in NORM:
        t = Tokenizer.from_str(json.dumps(shell(normalizer=c)))
        emit(out, "normalizer", c, [[x, t.normalizer.normalize_str(x)] for x in TEXTS])
    for c in PRE:
        t = Tokenizer.from_str(json.dumps(shell(pre_tokenizer=c)))
        emit(out, "pre_tokenizer", c, [[x, [p for p, _ in t.pre_tokenizer.pre_tokenize_str(x)]] for x in TEXTS])
    for c in DEC:
        t = Tokenizer.from_str(json.dumps(shell(decoder=c)))
        cases = [[x, safe(t.decoder.decode, x)] for x in TOKENS]
        emit(out, "decoder", c, [x for x in cases if x[1] is not None])
    for c in POST:
        cases = []
        for a, b in (("", None), ("the fox", None), ("a lazy dog", "the quick brown fox"), ("the quick brown fox jumps over", "a dog"), ("", "dog"), ("a the a the", "dog fox dog fox")):
            for sp in (True, False):
                for m in (0, 4, 5, 7):
                    t = Tokenizer.from_str(json.dumps(shell(post_processor=c)))
                    if m:
                        t.enable_truncation(m)
                    e = t.encode(a, b, add_special_tokens=sp)
                    cases.append([[a, b, sp, m], [e.ids, e.type_ids]])
        emit(out, "post_processor", c, cases)
    for c in TOK:
        t = Tokenizer.from_str(json.dumps(c))
        cases = []
        for x in TOK_TEXTS:
            e = t.encode(x)
            cases.append([x, [e.ids, e.tokens, t.decode(e.ids)]])
        emit(out, "tokenizer", c, cases)

# SPDX-License-Identifier: MIT
"""Makes the golden files of this folder with the real library (written with transformers 5.23, tokenizers 0.23).

    python make_tokenizer_goldens.py --opt ../../../../shared/opt-tokenizer [--demo ../../../examples/demo-model]

`tiny/` is a byte-level BPE of 600 entries trained on the text below. strings.json: hand-written strings with their ids; random.json:
random strings [text, OPT's ids, tiny's ids]; decode.json: random ids and their text; variants.json: other settings files; classes.txt:
every range of code points that the split takes as letters, numbers or white space; demo.json: the demo model's own vocabulary.
"""
import argparse
import json
import random
import shutil
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

HERE = Path(__file__).parent
CONFIG = {"add_bos_token": True, "add_prefix_space": False, "bos_token": "</s>", "eos_token": "</s>", "errors": "replace",
          "pad_token": "<pad>", "unk_token": "</s>", "tokenizer_class": "GPT2Tokenizer"}

OWN_TEXT = """\
The ferry left the harbour at seven, and nobody on the upper deck noticed that the clock had stopped. She said it wasn't late; he said
they'd be there before the others, and we'll see who's right. I've counted 1204 steps, 37 lamps and 2 dogs between here and the station.
Reading a matrix row by row is quick; reading it column by column is not, unless the rows are short. The layer norm comes before the block,
the residual after it, and the sum of both goes to the next layer. In 2023 the measured rate was 350.5 GFLOP/s, about 80 % of the peak.
for (std::size_t i = 0; i + 1 < n; ++i) {
    if (values[i] > values[i + 1]) std::swap(values[i], values[i + 1]);
}
def mean(values):
    return sum(values) / len(values) if values else 0.0
Über den Fluss führt eine alte Brücke; der Zug fährt später. L'été dernier, nous étions à la mer, où la lumière était très claire.
El niño comió una piña mañana. Zażółć gęślą jaźń. Старый мост над рекой построили давно. Ο παλιός δρόμος περνά από το χωριό.
古い橋を渡ると、川の向こうに小さな村がある。春には桜が咲く。 오래된 다리를 건너면 마을이 있다. שלום עולם, מה שלומך. مرحبا بالعالم 🙂🙂🎉
The the and and of of to to in in that that is is was was for for with with as as on on at at by by from from it it be be this this
""" * 3

WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200b))) + "\u2028\u2029\u202f\u205f\u3000"
NOT_WHITE = "\x1c\x1d\x1e\x1f\u180e\u200b\u200c\u200d\u2060\ufeff\x00\x7f\x80\x9f"

STRINGS = [
    "", "a", " ", "I like you.", "Hello world! cécé herlolip", "don't DON'T we'll I'm they've you're he'd it's 'tis 's 're 'S 'Ll",
    "don’t we’ll", "x'sy 'll'd''s'", "1234567890 3.14159 1,000,000 ½ ² Ⅷ ٣٤٥ १२३ 〇 ①", "a1b2 3c 4 d5", "     ", "   a", "a   ", "a  b   c    d",
    "\n", "\n\n\n", "a\n\n b  c   \n", "a\r\nb\r\n\r\nc\rd", "\t\tindent\t x\t\t\ty", " \t \n \r ", "a\tb", "a \t b", "x\n y\n  z\n   w",
    WHITE, NOT_WHITE, *["a" + w + "b" + w + w + "c " + w + "d" + w for w in WHITE], *["a" + w + "b " + w + " " + w for w in NOT_WHITE],
    "🙂", "👩‍👩‍👧‍👦 👍🏽 🇩🇪 ❤️", "naïve café 漢字 🙂", "e\u0301 \u0301 a\u0308\u0323", "한국어 \u1112\u1161\u11ab", "שָׁלוֹם עולם 123", "مرحبا\u200fبالعالم \u0640",
    "漢字仮名交じり文。、「」", "日本語 と English が まざる", "ไทยภาษา ไม่มีช่องว่าง", "नमस्ते दुनिया", "\u202eRTL\u202c", "ǅ ʰ ª º ﬁ Ａ １",
    "\ud7ff\ue000 \ue000\ud7ff", "\uffff\ufffe\ufffd", "\U00010000\U0010ffff \U0010fffd", "\U0001e4d0x \U00031350y \U00011f02 \U000105c0\U00010d40",
    "\ua7cb\u1c89 \U00016d40\U0001ccf0 \U0001e5f1\U0001e5d0", "\x00", "a\x00b \x00\x00 c", "\x01\x02\x7f\x80\x9f\xad\xa0\xff\u0100\u0143\u0144",
    "Ġthe ĊĠ Ġ", "</s>", "a </s> b", "</s></s>", "a</s>b<pad>c", " <pad> ", "</s", "<</s>>", "</S>", "<s>", "<unk>", "<mask>", "<|endoftext|>",
    "<s>a</s> <mask> <|endoftext|> madeupword0000 <pad", "x </s>\n\n</s>  y", "  </s>  ", "</s>'s 's</s>'s", "http://example.org/a_b?c=d&e=%20#f",
    "for (int i = 0; i < 10; ++i) {\n\tprintf(\"%d\\n\", i);\n}\n", "def f(x):\n    return x**2  # square\n", "<html><p class=\"a\">b</p></html>",
    "a" * 47, "a" * 48, "a" * 49, "ab" * 500, "a" * 3000, " " * 3000, " " * 2999 + "x", "\n" * 1000, "x" + "\t" * 500 + "y", "!" * 700,
    "0" * 600, "é" * 300, "漢" * 300, "🙂" * 200, "-=" * 300, "the" * 400, "abcdefghijklmnopqrstuvwxyz" * 20, "'s" * 100, "\u3000" * 300 + "z",
    "Antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis" * 3, OWN_TEXT[:1500],
]

VARIANTS = {
    "no settings": {},
    "no bos": {"tokenizer_config.json": {**CONFIG, "add_bos_token": False}},
    "space before, end after": {"tokenizer_config.json": {**CONFIG, "add_prefix_space": True, "add_eos_token": True}},
    "tokens as objects": {"tokenizer_config.json": {k: ({"__type": "AddedToken", "content": v, "lstrip": False, "normalized": True,
                                                         "rstrip": False, "single_word": False} if k.endswith("_token") and isinstance(v, str) else v)
                                                    for k, v in CONFIG.items()}},
    "the map goes first": {"tokenizer_config.json": CONFIG, "special_tokens_map.json": {"bos_token": "<s>", "pad_token": "<unk>"}},
    "a new pad token": {"tokenizer_config.json": {**CONFIG, "pad_token": "[PAD]"}},
    "no pad token": {"tokenizer_config.json": {**CONFIG, "pad_token": None}},
    "tokens that begin alike": {"tokenizer_config.json": {**CONFIG, "additional_special_tokens": ["<s>", "<s>>", "the"]}},
    "listed tokens": {"tokenizer_config.json": {**CONFIG, "added_tokens_decoder": {
        str(i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": s}
        for i, t, s in ((1, "<pad>", True), (2, "</s>", True), (600, "<img 1>", True), (601, "[x]", False))}}},
    "added_tokens.json": {"tokenizer_config.json": CONFIG, "added_tokens.json": {"[y]": 601, "[x]": 600}},
}
VARIANT_STRINGS = ["", "a </s> b<pad>c", "<s>the<s>>the </s>", " x[PAD] y[x]z <img 1>[y]", "<|endoftext|><unk>", "\n</s>the end"]


def load(folder, extra=None):
    """The folder's tokenizer as a user's AutoTokenizer gives it; `extra` are settings files next to vocabulary and merges."""
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        for f in ("vocab.json", "merges.txt"):
            shutil.copy(folder / f, d / f)
        (d / "config.json").write_text('{"model_type": "opt"}')
        for name, content in (extra or {}).items():
            (d / name).write_text(json.dumps(content))
        return AutoTokenizer.from_pretrained(d)


def train_tiny(folder):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.train_from_iterator([OWN_TEXT], trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    state = json.loads(tok.to_str())["model"]
    vocab = dict(sorted(state["vocab"].items(), key=lambda kv: kv[1]))
    assert list(vocab.values()) == list(range(600))
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False) + "\n", encoding="utf-8")
    merges = [m if isinstance(m, str) else " ".join(m) for m in state["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")


def random_string(r):
    ranges = ((0x20, 0x7f), (0x20, 0x7f), (0x00, 0x100), (0x100, 0x600), (0x600, 0x2000), (0x2000, 0x2100), (0x3000, 0x3100),
              (0x4e00, 0xa000), (0xa000, 0x10000), (0x10000, 0x20000), (0x1f300, 0x1f700), (0x20000, 0x110000))
    pick = lambda a, b: next(c for c in iter(lambda: r.randrange(a, b), None) if not 0xd800 <= c < 0xe000)
    pieces = []
    for _ in range(r.randrange(1, 7)):
        kind = r.random()
        if kind < 0.4:
            pieces.append("".join(chr(pick(*r.choice(ranges))) for _ in range(r.randrange(1, 3))))
        elif kind < 0.6:
            pieces.append(r.choice(WHITE) * r.randrange(1, 4))
        elif kind < 0.7:
            pieces.append(r.choice(("'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "</s>", "<pad>", "<s>", "\r\n", " '", "' ")))
        else:
            pieces.append(r.choice(OWN_TEXT.split(" ")[:300])[:9])
    return "".join(pieces)


def ranges_of_classes():
    """Asked of the library by how it splits: two characters of one class stay together."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    runs = []
    for code in range(0x110000):
        if 0xd800 <= code < 0xe000:
            continue
        c = chr(code)
        kind = "" if len(split("!" + c)) == 1 else "L" if len(split("a" + c)) == 1 else "N" if len(split("1" + c)) == 1 else "S"
        if runs and runs[-1][0] == kind and runs[-1][2] == code - 1:
            runs[-1][2] = code
        else:
            runs.append([kind, code, code])
    return "".join(f"{k} {a:x} {b:x}\n" for k, a, b in runs if k)


def write(name, value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("],[", "],\n[")
    (HERE / name).write_text(text + "\n", encoding="utf-8", newline="\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--opt", type=Path, required=True)
    ap.add_argument("--demo", type=Path)
    args = ap.parse_args()
    r = random.Random(3)
    train_tiny(HERE / "tiny")
    opt, tiny = load(args.opt, {"tokenizer_config.json": CONFIG}), load(HERE / "tiny", {"tokenizer_config.json": CONFIG})
    ids = lambda tok, s: tok(s)["input_ids"]

    write("strings.json", [[s, ids(opt, s), ids(tiny, s)] for s in STRINGS])
    strings = [random_string(r) for _ in range(2000)]
    write("random.json", [[s, ids(opt, s), ids(tiny, s)] for s in strings])
    lists = [[r.randrange(600) for _ in range(r.randrange(1, 12))] for _ in range(300)] + [[2, 1, 599, 600, 5000, 0, 3], [], [1], [700]]
    write("decode.json", [[i, tiny.decode(i), tiny.decode(i, skip_special_tokens=True)] for i in lists])
    variants = {}
    for name, files in VARIANTS.items():
        tok = load(HERE / "tiny", files)
        variants[name] = {"files": {f: json.dumps(c) for f, c in files.items()}, "cases": [[s, ids(tok, s)] for s in VARIANT_STRINGS]}
    write("variants.json", variants)
    (HERE / "classes.txt").write_text(ranges_of_classes())
    if args.demo:
        demo = AutoTokenizer.from_pretrained(args.demo)
        write("demo.json", [[s, ids(demo, s)] for s in STRINGS + strings[:200]])


if __name__ == "__main__":
    main()

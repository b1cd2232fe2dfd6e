# SPDX-License-Identifier: MIT
"""Makes saved.json and word_characters.txt: tokenizers saved as tokenizer.json, by several versions of transformers and by hand, and their ids.

    OLDER_PYTHON make_saved_goldens.py save FOLDER    # with each version (written with 4.30, 4.41, 4.57 and 5.24)
    python make_saved_goldens.py read FOLDER          # with transformers 5

Every case has the settings files and tokenizer.json without its model's vocabulary and merges, which are the tiny vocabulary's; `pairs`
says how merges are spelt, `alone` that the folder has no vocab.json and merges.txt.
"""
import copy
import json
import shutil
import sys
import tempfile
from pathlib import Path

import transformers
from tokenizers import AddedToken

HERE = Path(__file__).parent
TINY = HERE / "tiny"
CONFIG = json.loads((TINY / "tokenizer_config.json").read_text())
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# OPT's own settings, as on the hub: tokens that are objects, and normalized.
OPT_TOKEN = lambda t: {"content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
OPT_MAP = {"bos_token": OPT_TOKEN("</s>"), "eos_token": OPT_TOKEN("</s>"), "unk_token": OPT_TOKEN("</s>"), "pad_token": OPT_TOKEN("<pad>")}
OPT_CONFIG = {**CONFIG, **{k: {**v, "__type": "AddedToken"} for k, v in OPT_MAP.items() if k != "pad_token"}, "pad_token": "<pad>"}

STRINGS = ["", "a", "the</s>end", "a </s> b<pad>c", "x [NEW] y[NEW]z", "a  [L] b [L]c\n\t[L]\u3000[L]", "a [R] \n b[R]c[R]", "[B] a [B][B] \u00a0[B]\u2003x",
           "word a word, sword words word's _word word_ \u00e9word word\u0301 word", "<e>[a</s>]<e>", "[a]", "[ab] [ab", "the [x]y", " [E] <img 1>[E]",
           "  leading", "<mask> x <mask>", "a<mask>b", "</s", "[NEW", "[NEW][L][R][B]", "\u2028[L]\x85[L]\u200b[L]", "[R]\u1680 \u205fx[R]\u180e x"]
ADDED = ["[NEW]", AddedToken("[L]", lstrip=True), AddedToken("[R]", rstrip=True), AddedToken("[B]", lstrip=True, rstrip=True),
         AddedToken("word", single_word=True), AddedToken("[a", normalized=True), AddedToken("[ab]", normalized=False)]


def folder(files, where=None):
    where = Path(where or tempfile.mkdtemp())
    where.mkdir(exist_ok=True, parents=True)
    for f in ("vocab.json", "merges.txt"):
        shutil.copy(TINY / f, where / f)
    (where / "config.json").write_text('{"model_type": "opt"}')
    for name, content in files.items():
        (where / name).write_text(json.dumps(content), encoding="utf-8")
    return where


def save(out):
    version = transformers.__version__
    major = int(version.split(".")[0])
    load = transformers.AutoTokenizer if major >= 5 else transformers.GPT2TokenizerFast
    for name, files, added in (("plain", {"tokenizer_config.json": OPT_CONFIG, "special_tokens_map.json": OPT_MAP}, []),
                               ("with tokens", {"tokenizer_config.json": CONFIG}, ADDED),
                               ("space before", {"tokenizer_config.json": {**CONFIG, "add_prefix_space": True}}, ["[NEW]"])):
        tokenizer = load.from_pretrained(folder(files))
        tokenizer.add_tokens(added)
        tokenizer.save_pretrained(folder({}, out / f"{name}, {version}"))


def strip(content):
    content = copy.deepcopy(content)
    merges = content["model"].pop("merges")
    del content["model"]["vocab"]
    return content, bool(merges) and not isinstance(merges[0], str)


def case(where, alone=False):
    if alone:
        for f in ("vocab.json", "merges.txt"):
            (where / f).unlink(missing_ok=True)
    whole, pairs = strip(json.loads((where / "tokenizer.json").read_text(encoding="utf-8")))
    tokenizer = transformers.AutoTokenizer.from_pretrained(where)
    files = {f: (where / f).read_text(encoding="utf-8") for f in SETTINGS if (where / f).exists()}
    if "tokenizer_config.json" in files:  # what has no effect and differs between machines
        config = json.loads(files["tokenizer_config.json"])
        files["tokenizer_config.json"] = json.dumps({k: v for k, v in config.items() if k not in ("name_or_path", "special_tokens_map_file")})
    return {"files": files, "whole": json.dumps(whole), "pairs": pairs, "alone": alone,
            "decoded": tokenizer.decode(list(range(580, 607)), skip_special_tokens=True),
            "cases": [[s, tokenizer(s)["input_ids"]] for s in STRINGS]}


def by_hand(saved):
    """Folders that no version writes as they are, all from what transformers 5 saved with added tokens."""
    whole = json.loads((saved / "tokenizer.json").read_text(encoding="utf-8"))
    config = json.loads((saved / "tokenizer_config.json").read_text(encoding="utf-8"))
    template = whole["post_processor"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    after = copy.deepcopy(template)
    after["single"] = [after["single"][1], {"SpecialToken": {"id": "<s>", "type_id": 0}}]
    after["special_tokens"] = {"<s>": {"id": "<s>", "ids": [0, 3], "tokens": ["<s>", "<unk>"]}}
    two = {"type": "Sequence", "processors": [byte_level, template]}
    strings = copy.deepcopy(whole)
    strings["model"]["merges"] = [" ".join(m) for m in strings["model"]["merges"]]
    for k in ("byte_fallback", "ignore_merges", "fuse_unk"):
        del strings["model"][k]
    special = copy.deepcopy(whole)
    for token in special["added_tokens"]:
        token["special"] = True
    generic = {**config, "tokenizer_class": "TokenizersBackend"}
    list_of = lambda *tokens: {str(i): {k: v for k, v in t.items() if k != "id"} for i, t in tokens}
    tokens = [(t["id"], t) for t in whole["added_tokens"]]
    return {
        "no settings at all": {"tokenizer.json": whole},
        "add_bos_token does not count": {"tokenizer.json": {**whole, "post_processor": None}, "tokenizer_config.json": {**config, "add_bos_token": True}},
        "byte level post-processor": {"tokenizer.json": {**whole, "post_processor": byte_level}, "tokenizer_config.json": config},
        "a template after the text": {"tokenizer.json": {**whole, "post_processor": after}, "tokenizer_config.json": config},
        "a sequence of post-processors": {"tokenizer.json": {**whole, "post_processor": two}, "tokenizer_config.json": config},
        "merges as strings": {"tokenizer.json": strings, "tokenizer_config.json": config},
        "special tokens are split": {"tokenizer.json": special, "tokenizer_config.json": {**config, "split_special_tokens": True}},
        "a list in the settings goes before": {"tokenizer.json": whole, "tokenizer_config.json": {**config, "added_tokens_decoder": list_of(*tokens[:5])}},
        "named tokens as objects": {"tokenizer.json": {**whole, "added_tokens": whole["added_tokens"][:2]}, "tokenizer_config.json": {
            **config, "mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "rstrip": False, "normalized": True,
                                     "single_word": False, "special": True}}},
        "named tokens in an object": {"tokenizer.json": whole, "tokenizer_config.json": {**config, "extra_special_tokens": {"z_token": "<e>", "a_token": "[E]"},
                                                                                       "image_token": "<img 1>"}},
        "extra tokens in a list": {"tokenizer.json": whole, "tokenizer_config.json": {**config, "extra_special_tokens": ["<img 1>", "<e>"]}},
        "added_tokens.json beside it": {"tokenizer.json": {**whole, "added_tokens": whole["added_tokens"][:2]}, "tokenizer_config.json": config,
                                        "added_tokens.json": {"<e>": 601, "[E]": 600}},
        "the generic class": {"tokenizer.json": whole, "tokenizer_config.json": generic},
        "the generic class with its own space": {"tokenizer.json": {**whole, "pre_tokenizer": {
            "type": "Sequence", "pretokenizers": [{**byte_level, "add_prefix_space": True}]}}, "tokenizer_config.json": generic},
        "the older generic class, a list too": {"tokenizer.json": whole, "tokenizer_config.json": {
            **generic, "tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": list_of(*tokens[:5])}},
        "the space of the settings counts": {"tokenizer.json": {**whole, "pre_tokenizer": {**byte_level, "add_prefix_space": True}},
                                            "tokenizer_config.json": config},
    }


def word_characters():
    """Asked of the library: a token that must be a single word is none beside a word's character."""
    from tokenizers import Tokenizer, models
    tokenizer = Tokenizer(models.BPE(vocab={"q": 0}, merges=[], unk_token="q"))
    tokenizer.add_tokens([AddedToken("#", single_word=True, normalized=False)])
    token, runs = tokenizer.token_to_id("#"), []
    for code in range(0x110000):
        if 0xd800 <= code < 0xe000 or chr(code) == "#" or token in tokenizer.encode(chr(code) + "#").ids:
            continue
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{a:x} {b:x}\n" for a, b in runs)


def read(out):
    cases = {}
    for saved in sorted(p for p in out.iterdir() if p.is_dir()):
        cases[saved.name] = case(saved)
        if saved.name.startswith("with tokens"):
            cases[saved.name + ", alone"] = case(folder({f: json.loads((saved / f).read_text(encoding="utf-8")) for f in ("tokenizer.json", *SETTINGS)
                                                         if (saved / f).exists()}), alone=True)
    for name, files in by_hand(next(p for p in out.iterdir() if p.name.startswith("with tokens, 5"))).items():
        cases[name] = case(folder(files), alone="alone" in name)
    text = json.dumps(cases, ensure_ascii=False, separators=(",", ":")).replace("],[", "],\n[")
    (HERE / "saved.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    (HERE / "word_characters.txt").write_text(word_characters())


if __name__ == "__main__":
    {"save": save, "read": read}[sys.argv[1]](Path(sys.argv[2]))

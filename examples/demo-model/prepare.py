# SPDX-License-Identifier: MIT
"""Trains the byte-level BPE and turns the corpus into token files, one set per category.

    python prepare.py --corpus ../../../shared/corpus --work ../../../demo-work

Writes vocab.json and merges.txt into the work folder, and for each category NAME.train.npy and NAME.held.npy (uint16, documents one
after the other, without BOS) with NAME.train.ends.npy and NAME.held.ends.npy (where each document ends). Every 20th document is
held out whole.
"""
import argparse
import json
import lzma
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, decoders, trainers

CATEGORIES = ("articles", "ml", "code", "literature")
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]  # ids 0 to 3, as in OPT
VOCABULARY = 4096
HOLD_BACK_EVERY = 20


def documents(corpus, name):
    with lzma.open(corpus / f"{name}.txt.xz", "rt", encoding="utf-8", newline="") as f:
        parts = f.read().split("<|doc|>\n")
    return [d for d in (p.strip("\n") for p in parts) if d]


def train_tokenizer(docs, work):
    """GPT-2's split expression and byte symbols; the categories weigh about the same, whatever their size."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    smallest = min(sum(map(len, d)) for d in docs.values())

    def texts():
        for ds in docs.values():
            seen = 0
            for i, d in enumerate(ds):
                if i % HOLD_BACK_EVERY == HOLD_BACK_EVERY - 1:
                    continue
                yield d
                seen += len(d)
                if seen > 2 * smallest:
                    break

    # At most 16 bytes per token: no sentence of the corpus ends up in the vocabulary.
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIALS, max_token_length=16, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(texts(), trainer)
    state = json.loads(tok.to_str())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in state["merges"]]
    vocab = dict(sorted(state["vocab"].items(), key=lambda kv: kv[1]))
    assert list(vocab.values()) == list(range(VOCABULARY))
    (work / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (work / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8", newline="\n")


def load_tokenizer(folder):
    """Plain text only: the special tokens are not looked for, as a document may quote them."""
    tok = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    return tok


def token_bytes(folder):
    """How many bytes of text each id stands for; 0 for the special ones."""
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    return np.array([0 if i < len(SPECIALS) else len(t) for t, i in sorted(vocab.items(), key=lambda kv: kv[1])])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--corpus", type=Path, required=True)
    ap.add_argument("--work", type=Path, required=True)
    args = ap.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    docs = {c: documents(args.corpus, c) for c in CATEGORIES}
    train_tokenizer(docs, args.work)
    tok = load_tokenizer(args.work)
    for c, ds in docs.items():
        ids = [e.ids for e in tok.encode_batch(ds)]
        held = [d for i, d in enumerate(ids) if i % HOLD_BACK_EVERY == HOLD_BACK_EVERY - 1]
        rest = [d for i, d in enumerate(ids) if i % HOLD_BACK_EVERY != HOLD_BACK_EVERY - 1]
        for part, d in (("train", rest), ("held", held)):
            np.save(args.work / f"{c}.{part}.npy", np.concatenate([np.array(x, np.uint16) for x in d]))
            np.save(args.work / f"{c}.{part}.ends.npy", np.cumsum([len(x) for x in d]))
        size = sum(len(d.encode()) for d in ds)
        print(f"{c}: {len(rest)} documents, {sum(map(len, rest)):,} tokens; held out {len(held)}, {sum(map(len, held)):,}; "
              f"{sum(map(len, ids)) / size:.3f} tokens a byte", flush=True)


if __name__ == "__main__":
    main()

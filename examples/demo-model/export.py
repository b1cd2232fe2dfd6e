# SPDX-License-Identifier: MIT
"""Writes the checkpoint of train.py as a transformers model folder (fp16), and checks it.

    python export.py --work ../../../demo-work --out .  [--evaluate]

It takes the last weights or their running mean, whichever is better on the held-out windows. --evaluate adds the loss over the
held-out documents, read in windows of 1024 positions that each begin with BOS. Every file is written under
a temporary name, then renamed.
"""
import argparse
import json
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, GPT2TokenizerFast, GenerationConfig, OPTConfig, OPTForCausalLM

import train
from prepare import CATEGORIES, load_tokenizer, token_bytes


def to_opt(model):
    config = OPTConfig(vocab_size=train.VOCAB, hidden_size=train.HIDDEN, num_hidden_layers=train.LAYERS, ffn_dim=train.FFN,
                       num_attention_heads=train.HEADS, max_position_embeddings=train.POSITIONS, word_embed_proj_dim=train.HIDDEN,
                       do_layer_norm_before=True, activation_function="relu", enable_bias=True, layer_norm_elementwise_affine=True,
                       dropout=0.0, attention_dropout=0.0, layerdrop=0.0, bos_token_id=2, eos_token_id=2, pad_token_id=1,
                       tie_word_embeddings=True)
    opt = OPTForCausalLM(config).eval()
    sd, own = {}, model.state_dict()
    sd["model.decoder.embed_tokens.weight"] = own["tokens.weight"]
    # OPT counts positions from row 2; rows 0 and 1 belong to padding and stay zero.
    sd["model.decoder.embed_positions.weight"] = torch.cat([torch.zeros(2, train.HIDDEN), own["positions.weight"]])
    for kind in ("weight", "bias"):
        sd[f"model.decoder.final_layer_norm.{kind}"] = own[f"ln.{kind}"]
        for i in range(train.LAYERS):
            a, b = f"blocks.{i}.", f"model.decoder.layers.{i}."
            for name, x in zip("qkv", own[f"{a}qkv.{kind}"].chunk(3)):
                sd[f"{b}self_attn.{name}_proj.{kind}"] = x
            for x, y in (("out", "self_attn.out_proj"), ("ln1", "self_attn_layer_norm"), ("ln2", "final_layer_norm"),
                         ("fc1", "fc1"), ("fc2", "fc2")):
                sd[f"{b}{y}.{kind}"] = own[f"{a}{x}.{kind}"]
    missing, unexpected = opt.load_state_dict(sd, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    opt.tie_weights()
    return opt


def write_tokenizer(work, folder):
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(work / name, folder / name)
    end = {"content": "</s>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    special = {"bos_token": end, "eos_token": end, "unk_token": end,
               "pad_token": {**end, "content": "<pad>"}}
    added = {k: {**v, "__type": "AddedToken"} for k, v in special.items() if k != "pad_token"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"add_bos_token": True, "add_prefix_space": False, **added, "clean_up_tokenization_spaces": False, "errors": "replace",
         "model_max_length": train.POSITIONS, "pad_token": "<pad>", "tokenizer_class": "GPT2Tokenizer"}, indent=2) + "\n")


def check_tokenizer(work, folder):
    texts = ["Hello world! don't DON'T we'll", "\n\n\n", "   a", "a\n\n b  c   \n", "naïve café 漢字 🙂 \u00a0x", "\tif (x) {\n\t\treturn -1;\n",
             "", "1234 5.6e-7", "\x00\x7f\u200b\ufeff"]
    plain = load_tokenizer(work)
    auto, gpt2 = AutoTokenizer.from_pretrained(folder), GPT2TokenizerFast.from_pretrained(folder)
    for t in texts:
        want = [2] + plain.encode(t).ids
        for tok in (auto, gpt2):
            assert tok(t)["input_ids"] == want, (t, tok(t)["input_ids"], want)
            assert tok.decode(want, skip_special_tokens=True) == t
    assert auto("a </s>")["input_ids"][-1] == 2 and auto.pad_token_id == 1 and auto.bos_token_id == auto.eos_token_id == 2
    assert len(auto) == train.VOCAB, len(auto)


def evaluate_held(opt, work, nbytes, threads, most=60):
    """Per category the loss over held-out documents, in windows of 1024 positions (`most` of them, evenly spread)."""
    def one(c):
        ids, ends = np.load(work / f"{c}.held.npy").astype(np.int64), np.load(work / f"{c}.held.ends.npy")
        cuts = [(a, min(e, a + train.POSITIONS)) for s, e in zip(np.concatenate([[0], ends[:-1]]), ends)
                for a in range(s, e, train.POSITIONS)]
        nats = tokens = size = 0
        for i in sorted(set(np.linspace(0, len(cuts) - 1, most).astype(int))):
            y = torch.from_numpy(ids[cuts[i][0]: cuts[i][1]])
            x = torch.cat([torch.tensor([train.BOS]), y[:-1]])[None]
            with torch.no_grad():
                nats += torch.nn.functional.cross_entropy(opt(x).logits[0], y, reduction="sum").item()
            tokens += len(y)
            size += int(nbytes[y].sum())
        return {"tokens": tokens, "nats_per_token": round(nats / tokens, 3), "bits_per_byte": round(nats / size / math.log(2), 3)}

    torch.set_num_threads(1)
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return dict(zip(CATEGORIES, pool.map(one, CATEGORIES)))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", type=Path, required=True)
    ap.add_argument("--out", type=Path, default=Path("."))
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--evaluate", action="store_true")
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    state = torch.load(args.work / "checkpoint.pt")
    windows, nbytes = train.held_windows(args.work), torch.from_numpy(token_bytes(args.work))

    best = None
    for label in ("model", "ema"):
        model = train.Model().eval()
        model.load_state_dict(state[label])
        with torch.no_grad():
            losses = train.evaluate(model, windows, nbytes)
        mean = sum(v[0] for v in losses.values()) / len(losses)
        print(f"step {state['step']}, {state['tokens'] / 1e6:.2f}M tokens, {label}: {mean:.4f}",
              {c: tuple(round(x, 3) for x in v) for c, v in losses.items()}, flush=True)
        if best is None or mean < best[0]:
            best = (mean, model)
    model = best[1]

    opt = to_opt(model)
    ids = torch.randint(4, train.VOCAB, (2, train.POSITIONS))
    with torch.no_grad():
        want, got = model(ids), opt(ids).logits
        difference = (want - got).abs().max().item()
        assert difference < 2e-3, difference
        half = opt.half()
        side = args.out / ".export"
        shutil.rmtree(side, ignore_errors=True)
        side.mkdir(parents=True)
        half.generation_config = GenerationConfig(bos_token_id=2, eos_token_id=2, pad_token_id=1)
        half.save_pretrained(side)
        write_tokenizer(args.work, side)
        check_tokenizer(args.work, side)
        again, info = OPTForCausalLM.from_pretrained(side, dtype=torch.float32, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"], info
        assert not any(torch.isnan(p).any() or torch.isinf(p).any() for p in again.parameters())
        rounding = (again.eval()(ids).logits - want).abs().max().item()
    size = (side / "model.safetensors").stat().st_size
    assert size <= 16_000_000, size
    print(f"logits: {difference:.1e} apart from transformers, {rounding:.1e} after fp16; {size:,} bytes", flush=True)
    for f in sorted(side.iterdir()):
        f.chmod(0o644)
        os.replace(f, args.out / f.name)
    side.rmdir()
    if args.evaluate:
        result = evaluate_held(again, args.work, nbytes, args.threads)
        print(json.dumps(result, indent=2))
        (args.work / "losses.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

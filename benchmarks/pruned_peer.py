#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The smaller checkpoint that `isolate` writes: the time it saves. If transformers can read it (`isolate --even`), also
whether its logits are those of the whole model with the units of edits.json overwritten by hooks, and the time saved there.

    python benchmarks/pruned_peer.py --model DIR --isolated OUT --texts DIR... [--ours build/benchmarks/forward] [--rounds 9]

OUT is what isolate wrote (edits.json, model/). All in float32. Prints the largest difference of a logit over the largest
logit, and exits with 1 if it is above 1e-5; then the least time in seconds of a forward pass of ten texts of 512 tokens without
logits, whole model and smaller one in turn, next to the share of multiply-adds that was removed. Where transformers reads it,
heads that were removed are still computed: their columns of W_O are zeros. Needs torch, transformers.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import torch
from transformers import AutoTokenizer, OPTForCausalLM


def overwrite(model, edits):
    """Hooks that set neurons and heads to what edits.json says; returns them."""
    width = model.config.hidden_size // model.config.num_attention_heads
    handles = []

    def setter(indices, values):
        indices, values = torch.tensor(indices), torch.tensor(values or 0.0)

        def hook(_, inputs):
            x = inputs[0].clone()
            x[..., indices] = values
            return (x,)
        return hook
    for layer, what in zip(model.model.decoder.layers, edits["layers"], strict=True):
        if what.get("neurons"):
            handles.append(layer.fc2.register_forward_pre_hook(setter(what["neurons"], what.get("neuron_values"))))
        if what.get("heads"):
            columns = [head * width + i for head in what["heads"] for i in range(width)]
            handles.append(layer.self_attn.out_proj.register_forward_pre_hook(setter(columns, what.get("head_values"))))
    return handles


def sizes(folder):
    """(hidden size, neurons of every layer, columns of W_O of every layer, positions, vocabulary)."""
    config = json.loads((pathlib.Path(folder) / "config.json").read_text())
    hidden, layers, heads = config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"]
    columns = [n * hidden // heads for n in config.get("attention_heads", [heads] * layers)]
    return (hidden, config.get("ffn_dims", [config["ffn_dim"]] * layers), columns, config["max_position_embeddings"],
            config["vocab_size"])


def multiply_adds(folder, length):
    """Multiply-adds per token in all layers, without the masked half of the attention."""
    hidden, neurons, columns, *_ = sizes(folder)
    return sum(4 * hidden * c + 2 * hidden * n + length * c for n, c in zip(neurons, columns, strict=True))


def compare(models, args, length):
    """The largest difference of a logit between the smaller model and hooks on the whole one, over the largest logit."""
    tokenizer = AutoTokenizer.from_pretrained(args.isolated / "model")
    edits = json.loads((args.isolated / "edits.json").read_text())
    files = [f for folder in args.texts for f in sorted(folder.rglob("*.txt"))]
    texts = [torch.tensor([tokenizer(f.read_text(), truncation=True, max_length=length)["input_ids"]]) for f in files]
    untouched = [models["whole"](t).logits for t in texts]
    handles = overwrite(models["whole"], edits)
    difference = largest = changed = 0.0
    for text, before in zip(texts, untouched):
        edited, smaller = models["whole"](text).logits, models["smaller"](text).logits
        difference = max(difference, (smaller - edited).abs().max().item())
        changed = max(changed, (before - edited).abs().max().item())
        largest = max(largest, edited.abs().max().item())
    for handle in handles:
        handle.remove()
    print(f"{len(texts)} texts, largest logit {largest:.2f}: the removal changes a logit by up to {changed:.2f}; "
          f"smaller checkpoint against hooks: {difference / largest:.1e} of the largest logit")
    return difference / largest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--isolated", required=True, type=pathlib.Path)
    parser.add_argument("--texts", required=True, nargs="+", type=pathlib.Path)
    parser.add_argument("--ours", default="build/benchmarks/forward")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    folders = {"whole": args.model, "smaller": str(args.isolated / "model")}
    _, neurons, columns, positions, vocabulary = sizes(folders["smaller"])
    length = min(512, positions)
    gone = 1 - multiply_adds(folders["smaller"], length) / multiply_adds(folders["whole"], length)
    print(f"neurons {sum(sizes(folders['whole'])[1])} -> {sum(neurons)}, columns of W_O "
          f"{sum(sizes(folders['whole'])[2])} -> {sum(columns)}: {100 * gone:.0f} % of the multiply-adds gone")
    difference, models, who = 0.0, {}, ["optscope"]
    if len(set(neurons)) == 1 and columns == sizes(folders["whole"])[2]:
        models = {n: OPTForCausalLM.from_pretrained(f, dtype=torch.float32).eval() for n, f in folders.items()}
        difference, who = compare(models, args, length), ["transformers", "optscope"]
    else:
        print("layers of different sizes: transformers cannot read them")

    ids = (torch.arange(10)[:, None] * 977 + torch.arange(length) * 7919 + 3) % vocabulary
    seconds = {}
    for round_ in range(args.rounds + 1 if models else 0):
        for name in folders:
            begin = time.monotonic()
            models[name].model(ids, use_cache=False)
            if round_ > 0:  # the first is a warm-up
                seconds.setdefault(("transformers", name), []).append(time.monotonic() - begin)
    for _ in range(args.rounds):
        for name, folder in folders.items():
            out = subprocess.run([args.ours, folder, "1"], check=True, capture_output=True, text=True,
                                 env={k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}).stdout
            seconds.setdefault(("optscope", name), []).append(float(re.search(r"median ([\d.]+) s", out)[1]))
    for name in who:
        whole, smaller = (min(seconds[name, folder]) for folder in folders)
        print(f"{name:12} {whole:.3f} s -> {smaller:.3f} s: {100 * (1 - smaller / whole):.0f} % of the time saved")
    sys.exit(difference > 1e-5)


main()

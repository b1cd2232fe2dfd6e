#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The smaller checkpoint that `isolate --even` writes, read by transformers: whether its logits are those of the whole model
with the units of edits.json overwritten by hooks, and what it saves, there and with this library.

    python benchmarks/pruned_peer.py --model DIR --isolated OUT --texts DIR... [--ours build/benchmarks/forward] [--rounds 9]

OUT is what isolate wrote (edits.json, model/). All in float32. Prints the largest difference of a logit over the largest
logit, and exits with 1 if it is above 1e-5; then the least seconds of a forward pass of ten texts of 512 tokens without
logits, whole model and smaller one in turn, beside the share of multiply-adds that is gone. Heads that were removed are
still computed: their columns of W_O are zeros. Needs torch, transformers.
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


def multiply_adds(config, length):
    """Of a token in all layers, the masked half of the attention left out."""
    h = config.hidden_size
    return config.num_hidden_layers * (4 * h * h + 2 * h * config.ffn_dim + length * h)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--isolated", required=True, type=pathlib.Path)
    parser.add_argument("--texts", required=True, nargs="+", type=pathlib.Path)
    parser.add_argument("--ours", default="build/benchmarks/forward")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    if "ffn_dims" in json.loads((args.isolated / "model/config.json").read_text()):
        sys.exit(f"{args.isolated}: layers keep different numbers of neurons, which transformers cannot read: isolate --even")
    torch.set_grad_enabled(False)
    folders = {"whole": args.model, "smaller": str(args.isolated / "model")}
    models = {n: OPTForCausalLM.from_pretrained(f, dtype=torch.float32).eval() for n, f in folders.items()}
    config = models["whole"].config
    tokenizer = AutoTokenizer.from_pretrained(folders["smaller"])
    edits = json.loads((args.isolated / "edits.json").read_text())

    files = [f for folder in args.texts for f in sorted(folder.rglob("*.txt"))]
    length = min(512, config.max_position_embeddings)
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

    gone = 1 - multiply_adds(models["smaller"].config, length) / multiply_adds(config, length)
    print(f"neurons of a layer {config.ffn_dim} -> {models['smaller'].config.ffn_dim}: "
          f"{100 * gone:.0f} % of the multiply-adds gone")
    ids = (torch.arange(10)[:, None] * 977 + torch.arange(length) * 7919 + 3) % config.vocab_size
    seconds = {}
    for round_ in range(args.rounds + 1):
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
    for who in ("transformers", "optscope"):
        whole, smaller = (min(seconds[who, name]) for name in folders)
        print(f"{who:12} {whole:.3f} s -> {smaller:.3f} s: {100 * (1 - smaller / whole):.0f} % of the time saved")
    sys.exit(difference / largest > 1e-5)


main()

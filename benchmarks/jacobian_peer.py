#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Jacobian of an attention block: time of torch.func against our closed form, in one run.

    python benchmarks/jacobian_peer.py --model DIR [--ours build/benchmarks/jacobian] [--tokens 34] [--layer 5]

torch: vjp over the block (LayerNorm inside, no residual), vmapped over chunks of 64 rows of the identity; some chunks are
measured and the rest extrapolated from their median, in float64 (as ours) and float32. Ours is the whole closed form in
float64, measured. Needs torch, transformers.
"""
import argparse
import os
import re
import statistics
import subprocess
import time

import torch
from torch.func import vjp, vmap
from transformers import OPTForCausalLM

CHUNK = 64


def block_of(model, layer, tokens):
    module = model.model.decoder.layers[layer]
    ids = [2] + [(i * 7919 + 3) % model.config.vocab_size for i in range(1, tokens)]
    with torch.no_grad():
        x = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
    mask = torch.full((tokens, tokens), float("-inf"), dtype=x.dtype).triu(1)[None, None]
    return (lambda y: module.self_attn(module.self_attn_layer_norm(y)[None], attention_mask=mask)[0][0]), x


def seconds(f, x, chunks):
    """Median of a chunk's time, and the time of all chunks."""
    _, pull = vjp(f, x)
    rows = x.numel()
    pull_chunk = vmap(lambda y: pull(y)[0])
    times = []
    for i in range(chunks + 1):
        first = i * (rows - CHUNK) // max(1, chunks)
        unit = torch.zeros(CHUNK, rows, dtype=x.dtype)
        unit[torch.arange(CHUNK), first + torch.arange(CHUNK)] = 1
        start = time.monotonic()
        pull_chunk(unit.reshape(CHUNK, *x.shape))
        times.append(time.monotonic() - start)
    one = statistics.median(times[1:])  # the first warms up
    return one, one * rows / CHUNK


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--ours", default="build/benchmarks/jacobian")
    parser.add_argument("--tokens", type=int, default=34)
    parser.add_argument("--layer", type=int, default=5)
    parser.add_argument("--chunks", type=int, default=12)
    args = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    torch_time = {}
    for dtype in (torch.float64, torch.float32):
        model = OPTForCausalLM.from_pretrained(args.model, dtype=dtype).eval()
        model.set_attn_implementation("eager")
        one, torch_time[dtype] = seconds(*block_of(model, args.layer, args.tokens), args.chunks)
        print(f"torch.func, {dtype}: {1e3 * one:.0f} ms per chunk of {CHUNK} rows, all {args.tokens} tokens: "
              f"{torch_time[dtype]:.1f} s (extrapolated from {args.chunks} chunks)")
    out = subprocess.run([args.ours, args.model, str(args.tokens), str(args.layer)], check=True, capture_output=True,
                         text=True, env={k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}).stdout
    print(out, end="")
    ours = float(re.search(r"closed form of attention, every block: ([\d.]+) s", out)[1])
    for dtype, theirs in torch_time.items():
        print(f"ratio: {theirs / ours:.1f} times as fast as torch.func in {dtype}")


main()

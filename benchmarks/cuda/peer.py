#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same work with PyTorch on the same card: a forward pass of 10 x 512 tokens that keeps two activations of each layer
at ten positions, and greedy decoding of one prompt and of eight. Prints a Markdown table.

    python3 benchmarks/cuda/peer.py MODEL_DIR [REPEATS]

Needs torch with CUDA and transformers.
"""
import sys
import time

import torch
from transformers import OPTForCausalLM


def seconds(work):
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def median(values):
    return sorted(values)[len(values) // 2]


def main():
    folder, repeats = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print("| PyTorch | 10 x 512, two sites, ms | greedy, tokens/s | 8 prompts, tokens/s |\n| --- | --- | --- | --- |")
    for name, dtype, tf32 in (("fp32", torch.float32, False), ("TF32", torch.float32, True),
                              ("bf16", torch.bfloat16, False)):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        model = OPTForCausalLM.from_pretrained(folder, dtype=dtype).cuda().eval()
        kept, hooks = [], []
        positions = list(range(470, 510, 4))
        for layer in model.model.decoder.layers:
            hooks.append(layer.self_attn.register_forward_hook(lambda m, i, out: kept.append(out[0][:, positions].cpu())))
            hooks.append(layer.register_forward_hook(
                lambda m, i, out: kept.append((out[0] if isinstance(out, tuple) else out)[:, positions].cpu())))
        vocabulary = model.config.vocab_size
        ids = torch.tensor([[(t * 977 + i * 7919 + 3) % vocabulary for i in range(512)] for t in range(10)]).cuda()

        def forward():
            kept.clear()
            model.model(ids, use_cache=False)

        with torch.no_grad():
            forward()
            passes = median([seconds(forward) for _ in range(repeats)])
            for hook in hooks:
                hook.remove()
            rates = []
            for count in (1, 8):
                prompt = torch.tensor([[2, 133, 812]] * count).cuda()
                tokens = 16 * repeats
                generate = lambda: model.generate(prompt, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False)
                generate()
                rates.append(count * tokens / seconds(generate))
        print(f"| {name} | {1e3 * passes:.1f} | {rates[0]:.0f} | {rates[1]:.0f} |", flush=True)
        del model
        torch.cuda.empty_cache()


main()

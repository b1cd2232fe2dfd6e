#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden files of what single heads do: hooks on the real transformers, in float64.

    python tests/goldens/heads/make_heads_goldens.py

writes NAME.safetensors next to this file for two models of ../model and the texts below: `attention` (measure, layer, head, text)
with the measures first, previous, same, induction, entropy of units/attention_behaviour.hpp, by plain loops over the attention
weights; `uniform` (measure, text); `cosine` (layer, head, vector, vector), the cosines of every head's z at positions 1 to 3
of all texts. tests/units/test_attention_behaviour.cpp compares. Needs torch, transformers, safetensors.
"""
import math
import pathlib

import torch
from safetensors.torch import save_file
from transformers import OPTForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
TEXTS = [[2, 5, 17, 30, 5, 17, 5, 5, 9, 17, 30], [2, 7, 8, 9], [2, 40, 3, 40, 3, 40, 3, 2, 40]]
torch_softmax = torch.nn.functional.softmax  # the eager attention would compute it in float32
torch.nn.functional.softmax = lambda x, dim, dtype=None: torch_softmax(x, dim=dim)


def measures(pattern, ids):  # pattern (position, key)
    length = len(ids)

    def mean_at(targets):  # [position]: keys
        return sum(sum(float(pattern[t, key]) for key in keys) for t, keys in targets.items()) / len(targets) if targets else math.nan

    same = {t: [s for s in range(t) if ids[s] == ids[t]] for t in range(1, length)}
    after = {t: [s + 1 for s in range(t - 1) if ids[s] == ids[t]] for t in range(1, length)}
    entropy = [-sum(float(p) * math.log(float(p)) for p in pattern[t, :t + 1] if p > 0) for t in range(1, length)]
    return [mean_at({t: [0] for t in range(1, length)}), mean_at({t: [t - 1] for t in range(2, length)}),
            mean_at({t: keys for t, keys in same.items() if keys}), mean_at({t: keys for t, keys in after.items() if keys}),
            sum(entropy) / len(entropy)]


for name in ["head-dim-7", "post-ln-projected"]:
    model = OPTForCausalLM.from_pretrained(HERE.parent / "model" / name, dtype=torch.float64, attn_implementation="eager").eval()
    config, z = model.config, {}
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    for index, layer in enumerate(model.model.decoder.layers):
        layer.self_attn.out_proj.register_forward_pre_hook(
            lambda _, args, index=index: z.setdefault(index, []).append(args[0].detach().reshape(-1, heads, config.hidden_size // heads)[1:4]))
    attention = torch.zeros(5, layers, heads, len(TEXTS), dtype=torch.float64)
    uniform = torch.zeros(5, len(TEXTS), dtype=torch.float64)
    for text, ids in enumerate(TEXTS):
        with torch.no_grad():
            weights = model(torch.tensor([ids]), use_cache=False, output_attentions=True).attentions
        for layer in range(layers):
            for head in range(heads):
                attention[:, layer, head, text] = torch.tensor(measures(weights[layer][0, head], ids), dtype=torch.float64)
        alike = torch.tril(torch.ones(len(ids), len(ids), dtype=torch.float64))
        uniform[:, text] = torch.tensor(measures(alike / alike.sum(-1, keepdim=True), ids), dtype=torch.float64)
    vectors = torch.stack([torch.cat(z[layer]) for layer in range(layers)]).transpose(1, 2)  # (layer, head, vector, head_dim)
    unit = vectors / vectors.norm(dim=-1, keepdim=True)
    save_file({"attention": attention, "uniform": uniform, "cosine": (unit @ unit.transpose(-1, -2)).float().contiguous()},
              HERE / f"{name}.safetensors")
    print(name, attention[:, -1, -1, 0].tolist())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden files of first-order attribution: torch's autograd on the real transformers, in float64.

    python tests/goldens/attribution/make_attribution_goldens.py

writes NAME.safetensors next to this file for models of ../model: for the text below `neuron.effect`, `neuron.magnitude` (layer,
neuron), `head.effect`, `head.magnitude` (layer, head): a dL/da of the summed next-token loss and its absolute value, summed over
positions; and `resid_pre.effect` (layer, position), the same at the input of each layer. tests/units/test_attribution.cpp compares. Needs torch, transformers, safetensors.
"""
import pathlib

import torch
from safetensors.torch import save_file
from transformers import OPTForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
TEXT = [2, 5, 17, 30, 8, 31, 12, 23, 9]
torch_softmax = torch.nn.functional.softmax  # the eager attention would compute it in float32
torch.nn.functional.softmax = lambda x, dim, dtype=None: torch_softmax(x, dim=dim)

for name in ["pre-ln", "post-ln", "post-ln-projected", "pre-ln-projected", "no-affine", "no-bias", "untied", "head-dim-7",
             "activation-gelu-accurate", "activation-gelu-new", "activation-silu", "activation-relu2"]:
    model = OPTForCausalLM.from_pretrained(HERE.parent / "model" / name, dtype=torch.float64, attn_implementation="eager").eval()
    config, seen = model.config, {}
    for index, layer in enumerate(model.model.decoder.layers):
        for kind, module in (("neuron", layer.fc2), ("head", layer.self_attn.out_proj)):
            def keep(_, args, key=(kind, index)):
                seen[key] = args[0]
                args[0].retain_grad()
            module.register_forward_pre_hook(keep)

        def keep_input(_, args, kwargs, index=index):
            seen["resid_pre", index] = args[0] if args else kwargs["hidden_states"]
            seen["resid_pre", index].retain_grad()
        layer.register_forward_pre_hook(keep_input, with_kwargs=True)
    ids = torch.tensor([[token % config.vocab_size for token in TEXT][: config.max_position_embeddings]])
    logits = model(ids, use_cache=False).logits[0, :-1]
    torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").backward()
    out = {}
    for kind, units in (("neuron", config.ffn_dim), ("head", config.num_attention_heads)):
        products = []
        for index in range(config.num_hidden_layers):
            a = seen[kind, index]
            products.append((a * a.grad).reshape(ids.shape[1], units, -1).sum(-1))
        out[f"{kind}.effect"] = torch.stack([p.sum(0) for p in products]).detach()
        out[f"{kind}.magnitude"] = torch.stack([p.abs().sum(0) for p in products]).detach()
    inputs = [seen["resid_pre", index] for index in range(config.num_hidden_layers)]
    out["resid_pre.effect"] = torch.stack([(x * x.grad).sum(-1)[0] for x in inputs]).detach()
    save_file(out, HERE / f"{name}.safetensors")

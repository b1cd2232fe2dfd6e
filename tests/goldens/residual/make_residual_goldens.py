#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden files of the logit lens and of direct logit attribution: hooks on the real transformers, in float64.

    python tests/goldens/residual/make_residual_goldens.py

writes NAME.safetensors next to this file for pre-LN models of ../model and the text below: `lens` (depth, position, vocabulary),
the stream at each depth through the final LayerNorm, project_out and the unembedding; `attribution` (component, position), the
share of logit(ANSWER) - logit(INSTEAD) in the order embed, pos_embed, then per layer heads, attn_bias and mlp, at the end
ln_final_bias; `neurons` (neuron, position), the shares of the neurons of layer 0; `difference` (position), the difference of the
logits that the model itself gives. tests/residual/test_residual.cpp compares. Needs torch, transformers, safetensors.
"""
import pathlib

import torch
from safetensors.torch import save_file
from transformers import OPTForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
TEXT = [2, 5, 17, 30, 8, 31, 12, 23, 9]
ANSWER, INSTEAD = 7, 11
torch_softmax = torch.nn.functional.softmax  # the eager attention would compute it in float32
torch.nn.functional.softmax = lambda x, dim, dtype=None: torch_softmax(x, dim=dim)


def inputs_of(module, seen, key):
    module.register_forward_pre_hook(lambda _, args: seen.__setitem__(key, args[0].detach().reshape(-1, args[0].shape[-1])))


def output_of(module, seen, key):
    module.register_forward_hook(lambda _, args, out: seen.__setitem__(key, out.detach().reshape(-1, out.shape[-1])))


for name in ["pre-ln", "pre-ln-projected", "pre-ln-wide-embedding", "untied", "no-affine", "no-bias", "no-final-norm",
             "head-dim-7", "one-layer"]:
    model = OPTForCausalLM.from_pretrained(HERE.parent / "model" / name, dtype=torch.float64, attn_implementation="eager").eval()
    decoder, config, seen = model.model.decoder, model.config, {}
    output_of(decoder.project_in if decoder.project_in is not None else decoder.embed_tokens, seen, "embed")
    output_of(decoder.embed_positions, seen, "pos_embed")
    for index, layer in enumerate(decoder.layers):
        inputs_of(layer.self_attn.out_proj, seen, ("z", index))
        inputs_of(layer.fc2, seen, ("neurons", index))
        output_of(layer.fc2, seen, ("mlp", index))
    ids = torch.tensor([[token % config.vocab_size for token in TEXT][: config.max_position_embeddings]])
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[0]

        def end(x):  # after the final LayerNorm: to logits
            return model.lm_head(x if decoder.project_out is None else decoder.project_out(x))

        norm = decoder.final_layer_norm
        zero = torch.zeros(config.hidden_size, dtype=torch.float64)
        parts, depths = [seen["embed"], seen["pos_embed"]], [seen["embed"] + seen["pos_embed"]]
        for index, layer in enumerate(decoder.layers):
            out, width = layer.self_attn.out_proj, config.hidden_size // config.num_attention_heads
            heads = [seen["z", index][:, h * width:(h + 1) * width] @ out.weight[:, h * width:(h + 1) * width].T
                     for h in range(config.num_attention_heads)]
            bias = (zero if out.bias is None else out.bias).expand(ids.shape[1], -1)
            parts += [*heads, bias, seen["mlp", index]]
            depths.append(depths[-1] + sum(heads) + bias + seen["mlp", index])

        def share(part):  # the final LayerNorm for the mean and variance of the last stream, without its shift
            if norm is not None:
                part = part - part.mean(-1, keepdim=True)
                part = part / torch.sqrt(depths[-1].var(-1, unbiased=False, keepdim=True) + 1e-5)
                part = part if norm.weight is None else part * norm.weight
            logits_of_part = end(part)
            return logits_of_part[:, ANSWER] - logits_of_part[:, INSTEAD]

        shift = zero if norm is None or norm.bias is None else norm.bias
        of_shift = end(shift)
        attribution = [share(part) for part in parts]
        attribution.append((of_shift[ANSWER] - of_shift[INSTEAD]).expand(ids.shape[1]))
        fc2 = decoder.layers[0].fc2
        neurons = [share(seen["neurons", 0][:, n:n + 1] * fc2.weight[:, n]) for n in range(config.ffn_dim)]
        difference = logits[:, ANSWER] - logits[:, INSTEAD]
        assert torch.allclose(sum(attribution), difference, rtol=0, atol=1e-12)
        assert torch.allclose(end(depths[-1] if norm is None else norm(depths[-1])), logits, rtol=0, atol=1e-12)
        out = {"attribution": torch.stack(attribution), "difference": difference, "neurons": torch.stack(neurons),
               "lens": torch.stack([end(x if norm is None else norm(x)) for x in depths]).float()}
    save_file({key: value.contiguous() for key, value in out.items()}, HERE / f"{name}.safetensors")
    print(name, list(out["lens"].shape))

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden files of edited runs: forward hooks on the real transformers, in float64.

    python tests/goldens/edits/make_edit_goldens.py

writes NAME.safetensors next to this file for each model below, of ../model: `CASE.TEXT`, the logits of the last two positions
(position, vocabulary) with one edit, for the texts below. tests/opt/test_edit_goldens.cpp makes the same edits. Needs torch,
transformers, safetensors.
"""
import pathlib

import torch
from safetensors.torch import save_file
from transformers import OPTForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
TEXTS = [[2, 5, 17, 30, 8, 41, 12, 23, 9], [2, 44, 3, 19, 28, 33]]

# The eager attention computes its softmax in float32 even in a float64 model; here it stays in float64, and is edited.
torch_softmax = torch.nn.functional.softmax
softmax_calls, edit_softmax = [0], [lambda layer, scores, pattern_of: pattern_of(scores)]


def softmax(x, dim, dtype=None):
    layer = softmax_calls[0]
    softmax_calls[0] += 1
    return edit_softmax[0](layer, x, lambda scores: torch_softmax(scores, dim=dim))


torch.nn.functional.softmax = softmax


def direction(n, f=torch.sin):
    return f(torch.arange(1, n + 1, dtype=torch.float64))


def on_output(module, change):
    return module.register_forward_hook(lambda _, args, out: change(out))


def on_input(module, change):
    def hook(_, args, kwargs):
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}
    return module.register_forward_pre_hook(hook, with_kwargs=True)


def divide_by(norm, factor):
    """The scale of a LayerNorm times `factor`."""
    def hook(_, args, out):
        x = args[0]
        scale = (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt() * factor
        y = (x - x.mean(-1, keepdim=True)) / scale
        return y if norm.weight is None else y * norm.weight + norm.bias
    return norm.register_forward_hook(hook)


def at(x, change, positions=slice(None), units=slice(None)):
    """A copy of x (..., position, unit) with `change` of some elements, one index being a slice."""
    x = x.clone()
    x[..., positions, units] = change(x[..., positions, units])
    return x


@torch.no_grad()
def run(model, hooks_of, attention=None):
    logits = []
    for number, ids in enumerate(TEXTS):
        hooks = hooks_of(number)
        softmax_calls[0] = 0
        if attention:
            edit_softmax[0] = lambda layer, scores, of: attention(number, layer, scores, of)
        logits.append(model(torch.tensor([ids])).logits[0])
        edit_softmax[0] = lambda layer, scores, of: of(scores)
        for hook in hooks:
            hook.remove()
    return logits


@torch.no_grad()
def record(model, module):
    rows = []
    hook = module.register_forward_hook(lambda _, args, out: rows.append(out.reshape(-1, out.shape[-1]).clone()))
    run(model, lambda text: [])
    hook.remove()
    return rows


def cases(model):
    decoder, config = model.model.decoder, model.config
    first, second = decoder.layers
    hidden, heads = config.hidden_size, config.num_attention_heads
    width, pre_ln = hidden // heads, config.do_layer_norm_before
    d, e = direction(hidden), direction(hidden, torch.cos)
    head = lambda i: slice(i * width, (i + 1) * width)
    zero = lambda x: 0 * x
    embedding = decoder.embed_tokens if decoder.project_in is None else decoder.project_in

    yield "embed", lambda text: [on_output(embedding, lambda x: at(x, lambda y: y + d, 1))]
    yield "pos_embed", lambda text: [on_output(decoder.embed_positions, lambda x: 0.5 * x)]
    basis, _ = torch.linalg.qr(torch.stack([d, e], 1))
    yield "resid_pre", lambda text: [on_input(second, lambda x: x - x @ basis @ basis.T)]
    yield "ln1", lambda text: [on_output(second.self_attn_layer_norm, lambda x: at(x, lambda y: 0 * y + d, 3))]
    yield "ln1_scale", lambda text: [divide_by(second.self_attn_layer_norm, 1.5)]
    yield "ln2_scale", lambda text: [divide_by(first.final_layer_norm, 0.7)]
    yield "q", lambda text: [on_output(first.self_attn.q_proj, lambda x: at(x, zero, units=head(1)))]
    keys = record(model, second.self_attn.k_proj)

    def patched(text):
        def change(x):
            x, n = x.clone(), min(map(len, TEXTS))
            x[..., :n, :] = keys[1 - text][:n]
            return x
        return [on_output(second.self_attn.k_proj, change)]
    yield "k", patched
    values = torch.cat(record(model, second.self_attn.v_proj)).mean(0)
    yield "v", lambda text: [on_output(second.self_attn.v_proj, lambda x: at(x, lambda y: 0 * y + values[head(0)],
                                                                             units=head(0)))]
    yield "z", lambda text: [on_input(second.self_attn.out_proj, lambda x: x * d)]
    yield "result", lambda text: [on_input(second.self_attn.out_proj, lambda x: at(x, zero, units=head(1)))
                                  ] if text == 0 else []
    yield "attn_out", lambda text: [on_output(first.self_attn.out_proj, lambda x: 0.5 * x)] if text == 1 else []
    # Before the MLP, adding to the output of attention is adding to the stream.
    middle = second.self_attn.out_proj if pre_ln else second.self_attn_layer_norm
    yield "resid_mid", lambda text: [on_output(middle, lambda x: x + d)]
    yield "ln2", lambda text: [on_output(second.final_layer_norm, lambda x: x + d)]
    yield "mlp_pre", lambda text: [on_output(first.fc1, lambda x: at(x, lambda y: y + 0.5, units=[1, 3]))]
    yield "mlp_post", lambda text: [on_input(layer.fc2, lambda x: at(x, zero, units=[0, 2, 5]))
                                    for layer in decoder.layers]
    means = torch.cat(record(model, first.fc2)).mean(0)
    yield "mlp_out", lambda text: [on_output(first.fc2, lambda x: 0 * x + means)]

    def masked(x):
        positions, units = torch.meshgrid(torch.arange(x.shape[-2]), torch.arange(hidden), indexing="ij")
        return torch.where((positions + units) % 3 == 0, 0.0, x)
    # The input of the next layer is the output of this one.
    yield "resid_post", lambda text: [on_input(second, masked)]
    yield "composed", lambda text: [on_input(first.fc2, lambda x: at(2 * (x + 1), zero, units=0))]
    yield "logits", lambda text: [on_output(model.lm_head, lambda x: at(x, lambda y: 0.5 * y, units=[1, 4]))]
    if decoder.final_layer_norm is not None:
        yield "ln_final", lambda text: [on_output(decoder.final_layer_norm, lambda x: x + d)]
        yield "ln_final_scale", lambda text: [divide_by(decoder.final_layer_norm, 1.5)]


def scores_case(text, layer, scores, pattern_of):
    if layer == 1:
        scores = scores.clone()
        scores[:, 1, :, 0] += 1
    return pattern_of(scores)


def pattern_case(text, layer, scores, pattern_of):
    pattern = pattern_of(scores).clone()
    if layer == 0:
        pattern[:, 0, 2, :2] = 0.25
    return pattern


def main():
    for name in ("head-dim-7", "post-ln-projected"):
        model = OPTForCausalLM.from_pretrained(HERE.parent / "model" / name, dtype=torch.float64).eval()
        model.set_attn_implementation("eager")
        found = {case: run(model, hooks) for case, hooks in cases(model)}
        found["plain"] = run(model, lambda text: [])
        found["scores"] = run(model, lambda text: [], scores_case)
        found["pattern"] = run(model, lambda text: [], pattern_case)
        for case, logits in found.items():
            if case != "plain" and all(torch.equal(a, b) for a, b in zip(logits, found["plain"])):
                raise SystemExit(f"{name}: {case} changes nothing")
        tensors = {f"{case}.{text}": logits[text][-2:].contiguous() for case, logits in found.items() for text in (0, 1)}
        save_file(tensors, HERE / f"{name}.safetensors")
        print(name, len(found), "cases")


if __name__ == "__main__":
    main()

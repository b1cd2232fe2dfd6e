#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the goldens of the forward pass with the real transformers, in float64.

    python tests/goldens/model/make_model_goldens.py [NAME ...]

writes, for each case, a folder NAME/ beside this file: a tiny OPT with random weights as save_pretrained writes it, and
golden.safetensors with float64 activations `TEXT.SITE.LAYER` at the positions in `TEXT.positions`; `TEXT.ids` are float64
too. Case `demo-model` reads examples/demo-model and writes the goldens alone. Needs torch, transformers, safetensors.
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import OPTConfig, OPTForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parents[2]

# The eager attention of transformers computes its softmax in float32 even in a float64 model: here it stays in float64.
torch_softmax = torch.nn.functional.softmax
torch.nn.functional.softmax = lambda x, dim, dtype=None: torch_softmax(x, dim=dim)

BASE = dict(vocab_size=101, num_hidden_layers=2, max_position_embeddings=320, ffn_dim=96, word_embed_proj_dim=None,
            dropout=0.0, attention_dropout=0.0, init_std=0.02)
CASES = {
    "head-dim-64": dict(hidden_size=128, num_attention_heads=2),
    "head-dim-80": dict(hidden_size=160, num_attention_heads=2),
    "head-dim-128": dict(hidden_size=128, num_attention_heads=1),
    "head-dim-7": dict(hidden_size=21, num_attention_heads=3, ffn_dim=33, vocab_size=50),
    "post-ln-projected": dict(hidden_size=48, num_attention_heads=4, word_embed_proj_dim=24,
                              do_layer_norm_before=False),
    "no-bias-gelu": dict(hidden_size=48, num_attention_heads=4, enable_bias=False,
                         layer_norm_elementwise_affine=False, activation_function="gelu"),
}
LENGTHS = [1, 3, 9, 300]
LONG = [0, 1, 63, 127, 128, 129, 255, 256, 299]  # positions kept of the long text


def random_model(name, options):
    torch.manual_seed(sum(map(ord, name)))
    model = OPTForCausalLM(OPTConfig(**{**BASE, **options}))
    with torch.no_grad():
        for key, value in model.named_parameters():
            # Far enough from zero and one that no term of the forward pass can be left out unnoticed.
            if "layer_norm.weight" in key:
                value.uniform_(0.5, 1.5)
            elif value.ndim == 1:
                value.normal_(0, 0.2)
            else:
                value.normal_(0, 1.5 / value.shape[1] ** 0.5)
    return model.half()


@torch.no_grad()
def activations(model, ids, positions):
    """All sites of one text, at the given positions."""
    kept, decoder = {}, model.model.decoder
    heads = model.config.num_attention_heads

    def hook(module, name, of_input=False):
        def keep(_, args, kwargs, output):
            value = (args[0] if args else kwargs["hidden_states"]) if of_input else output
            value = value[0] if isinstance(value, tuple) else value
            kept[name] = value.reshape(len(ids), -1).clone()
        return module.register_forward_hook(keep, with_kwargs=True)

    hooks = []
    for i, layer in enumerate(decoder.layers):
        attention = layer.self_attn
        hooks += [hook(layer, f"resid_pre.{i}", True), hook(layer, f"resid_post.{i}"),
                  hook(layer.self_attn_layer_norm, f"ln1.{i}"), hook(layer.final_layer_norm, f"ln2.{i}"),
                  hook(attention.q_proj, f"q.{i}"), hook(attention.k_proj, f"k.{i}"), hook(attention.v_proj, f"v.{i}"),
                  hook(attention.out_proj, f"z.{i}", True), hook(attention.out_proj, f"attn_out.{i}"),
                  hook(layer.fc1, f"mlp_pre.{i}"), hook(layer.fc2, f"mlp_post.{i}", True),
                  hook(layer.fc2, f"mlp_out.{i}")]
    if decoder.final_layer_norm is not None:
        hooks.append(hook(decoder.final_layer_norm, "ln_final"))
    hooks.append(hook(decoder.embed_positions, "pos_embed"))
    out = model(torch.tensor([ids]), output_attentions=True)
    for h in hooks:
        h.remove()

    kept["embed"] = decoder.embed_tokens(torch.tensor(ids))
    if decoder.project_in is not None:
        kept["embed"] = decoder.project_in(kept["embed"])
    kept["logits"] = out.logits[0]
    for i, layer in enumerate(decoder.layers):
        if model.config.do_layer_norm_before:
            kept[f"resid_mid.{i}"] = kept[f"resid_pre.{i}"] + kept[f"attn_out.{i}"]
        else:
            kept[f"resid_mid.{i}"] = kept[f"ln1.{i}"]
        z = kept[f"z.{i}"].reshape(len(ids), heads, -1)
        w = layer.self_attn.out_proj.weight.reshape(-1, heads, z.shape[-1])
        kept[f"result.{i}"] = torch.einsum("phd,ohd->pho", z, w).reshape(len(ids), -1)
    picked = {key: value[positions].contiguous() for key, value in kept.items()}
    for i in range(len(decoder.layers)):
        picked[f"pattern.{i}"] = out.attentions[i][0][:, positions].contiguous()
    return picked


def goldens(model, texts):
    model = model.double().eval()
    model.set_attn_implementation("eager")  # the only one that returns the pattern
    tensors = {}
    for number, (ids, positions) in enumerate(texts):
        tensors[f"{number}.ids"] = torch.tensor(ids, dtype=torch.float64)
        tensors[f"{number}.positions"] = torch.tensor(positions, dtype=torch.float64)
        tensors |= {f"{number}.{key}": value for key, value in activations(model, ids, positions).items()}
    return tensors


def main(names):
    for name in names or [*CASES, "demo-model"]:
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        generator = torch.Generator().manual_seed(7)
        if name == "demo-model":
            model = OPTForCausalLM.from_pretrained(PROJECT / "examples" / "demo-model", dtype=torch.float64)
            draw = lambda n: [2] + torch.randint(4, 4000, (n - 1,), generator=generator).tolist()
            texts = [(draw(5), [0, 4]), (draw(512), [511])]  # the second: enough for every block of queries
            wanted = ("attn_out", "resid_post", "logits", "ids", "positions", "pattern")
        else:
            model = random_model(name, CASES[name])
            model.save_pretrained(folder)
            (folder / "generation_config.json").unlink(missing_ok=True)
            draw = lambda n: [2] + torch.randint(3, model.config.vocab_size, (n - 1,), generator=generator).tolist()
            texts = [(draw(n), list(range(n)) if n < 20 else LONG) for n in LENGTHS]
            wanted = None
        tensors = goldens(model, texts)
        if wanted:
            tensors = {k: v for k, v in tensors.items() if k.split(".")[1] in wanted}
        else:  # of the long text only what later sums depend on
            tensors = {k: v for k, v in tensors.items()
                       if not k.startswith("3.") or k.split(".")[1] in ("ids", "positions", "z", "resid_post", "logits")}
        save_file(tensors, folder / "golden.safetensors")
        print(name, sum(f.stat().st_size for f in folder.iterdir()) // 1000, "kB")


main(sys.argv[1:])

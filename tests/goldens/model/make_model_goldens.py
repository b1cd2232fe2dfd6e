#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden files of the forward pass with the real transformers, in float64.

    python tests/goldens/model/make_model_goldens.py [NAME ...]

writes, for each row of ../table.json with folder "model", a folder NAME/ next to this file: a tiny OPT with random weights as
save_pretrained writes it, and golden.safetensors with float64 activations `TEXT.SITE.LAYER` at the positions in
`TEXT.positions`, and transformers' `TEXT.hidden_states.N`; `TEXT.ids` are float64 too. Row `demo-model` is
examples/demo-model and gets the goldens alone. Needs torch, transformers, safetensors.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import OPTConfig, OPTForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
TABLE = json.loads((HERE.parent / "table.json").read_text())
LONG = [0, 1, 63, 127, 128, 129, 255, 256, 319]  # positions kept of a long text

# The eager attention of transformers computes its softmax in float32 even in a float64 model: here it stays in float64, and
# what it is given is kept: the scores.
torch_softmax = torch.nn.functional.softmax
scores = []


def softmax(x, dim, dtype=None):
    scores.append(x.masked_fill(x < -1e300, -torch.inf))
    return torch_softmax(x, dim=dim)


torch.nn.functional.softmax = softmax


def random_model(name, options):
    torch.manual_seed(sum(map(ord, name.split("activation")[0] or "activation")))  # all activations with the same weights
    model = OPTForCausalLM(OPTConfig(**{**TABLE["base"], "dropout": 0.0, "attention_dropout": 0.0, **options}))
    with torch.no_grad():
        for key, value in model.named_parameters():
            # Far enough from zero and one that no term of the forward pass can be left out unnoticed.
            if "layer_norm.weight" in key:
                value.uniform_(0.5, 1.5)
            elif value.ndim == 1:
                value.normal_(0, 0.2)
            else:
                value.normal_(0, (9 if name.startswith("activation") and "fc1" in key else 1.5) / value.shape[1] ** 0.5)
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
                  hook(layer.self_attn_layer_norm, f"ln1_scale.{i}", True),
                  hook(layer.final_layer_norm, f"ln2_scale.{i}", True),
                  hook(attention.q_proj, f"q.{i}"), hook(attention.k_proj, f"k.{i}"), hook(attention.v_proj, f"v.{i}"),
                  hook(attention.out_proj, f"z.{i}", True), hook(attention.out_proj, f"attn_out.{i}"),
                  hook(layer.fc1, f"mlp_pre.{i}"), hook(layer.fc2, f"mlp_post.{i}", True),
                  hook(layer.fc2, f"mlp_out.{i}")]
    if decoder.final_layer_norm is not None:
        hooks += [hook(decoder.final_layer_norm, "ln_final"), hook(decoder.final_layer_norm, "ln_final_scale", True)]
    hooks.append(hook(decoder.embed_positions, "pos_embed"))
    scores.clear()
    out = model(torch.tensor([ids]), output_attentions=True, output_hidden_states=True)
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
    for key, value in kept.items():  # so far what LayerNorm was given; TransformerLens's hook_scale
        if "_scale" in key:
            kept[key] = (value.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    kept |= {f"hidden_states.{i}": value[0] for i, value in enumerate(out.hidden_states)}
    picked = {key: value[positions].contiguous() for key, value in kept.items()}
    for i in range(len(decoder.layers)):
        picked[f"pattern.{i}"] = out.attentions[i][0][:, positions].contiguous()
        picked[f"scores.{i}"] = scores[i][0][:, positions].contiguous()
    return picked


def texts_of(config, first=2):
    """One token, a few, and as many as there are positions, with the positions that are kept."""
    generator = torch.Generator().manual_seed(7)
    draw = lambda n: [first] + torch.randint(3, config.vocab_size, (n - 1,), generator=generator).tolist()
    longest = config.max_position_embeddings
    if longest > 300:
        return [(draw(1), [0]), (draw(3), [0, 1, 2]), (draw(longest), LONG)]
    return [(draw(1), [0]), (draw(longest), sorted({0, longest // 2, longest - 1}))]


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
    rows = {row["name"]: row for row in TABLE["rows"] if row["folder"] == "model"}
    for name in names or [*rows, "demo-model"]:
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        if name == "demo-model":
            model = OPTForCausalLM.from_pretrained(PROJECT / "examples" / "demo-model", dtype=torch.float64)
            generator = torch.Generator().manual_seed(7)
            draw = lambda n: [2] + torch.randint(4, 4000, (n - 1,), generator=generator).tolist()
            texts = [(draw(5), [0, 4]), (draw(512), [511])]  # the second: enough for every block of queries
            wanted = ("attn_out", "resid_post", "logits", "ids", "positions", "pattern")
            tensors = {k: v for k, v in goldens(model, texts).items()
                       if k.split(".")[1] in wanted and not ("1.pattern" in k and k[-1] in "123456")}
        else:
            model = random_model(name, rows[name]["config"])
            model.save_pretrained(folder)
            (folder / "generation_config.json").unlink(missing_ok=True)
            tensors = {} if "refused" in rows[name] else goldens(model, texts_of(model.config))
            # For the long text, only the positions that later sums depend on.
            tensors = {k: v for k, v in tensors.items()
                       if not k.startswith("2.") or k.split(".")[1] in ("ids", "positions", "z", "resid_post", "logits")}
        if tensors:
            save_file(tensors, folder / "golden.safetensors")
        print(name, sum(f.stat().st_size for f in folder.iterdir()) // 1000, "kB")


if __name__ == "__main__":
    main(sys.argv[1:])

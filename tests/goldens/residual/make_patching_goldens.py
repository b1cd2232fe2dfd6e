#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden files of patching sweeps: hooks on the real transformers, in float64.

    python tests/goldens/residual/make_patching_goldens.py

writes patching-NAME.safetensors next to this file for models of ../model: `clean` and `corrupted`, the prompts; `pair`, the tokens
answer and instead, those whose logits the clean prompt raises and lowers most; `differences`, d = logit(answer) - logit(instead)
at the last position of both; `resid_pre`, `attn_out`, `mlp_out` (layer, position) and `z` (layer, head), the effects
d(patched) - d(corrupted) of whole runs of the corrupted prompt in which the site has the clean run's vectors there; `estimate-SITE`, the
first-order estimates of the same, (clean - corrupted) times the gradient that autograd gives. tests/residual/test_patching.cpp compares.
Needs torch, transformers, safetensors.
"""
import pathlib

import torch
from safetensors.torch import save_file
from transformers import OPTForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
CLEAN = [2, 5, 17, 30, 8, 31, 12]
CORRUPTED = [2, 5, 21, 30, 8, 6, 12]  # the first two are equal, and others among them
torch_softmax = torch.nn.functional.softmax  # the eager attention would compute it in float32
torch.nn.functional.softmax = lambda x, dim, dtype=None: torch_softmax(x, dim=dim)


class Patched:
    """Runs with hooks: `seen[site, layer]` is what a site has, (position, width), with its gradient once `backward` is called; where
    `put[site, layer]` is (values, positions, columns), the site has these values there."""

    def __init__(self, model):
        self.model, self.put, self.seen = model, {}, {}
        for index, layer in enumerate(model.model.decoder.layers):
            layer.register_forward_pre_hook(self.before("resid_pre", index), with_kwargs=True)
            layer.self_attn.out_proj.register_forward_pre_hook(lambda _, args, at=("z", index): (self.show(at, args[0]), *args[1:]))
            layer.self_attn.out_proj.register_forward_hook(lambda _, args, out, at=("attn_out", index): self.show(at, out))
            layer.fc2.register_forward_hook(lambda _, args, out, at=("mlp_out", index): self.show(at, out))

    def before(self, site, index):
        def hook(_, args, kwargs):
            if args:
                return (self.show((site, index), args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": self.show((site, index), kwargs["hidden_states"])}
        return hook

    def show(self, at, x):
        rows = x.reshape(-1, x.shape[-1])
        if at in self.put:
            values, positions, columns = self.put[at]
            rows = rows.clone()
            rows[positions, columns] = values[positions, columns]
        if rows.requires_grad:
            rows.retain_grad()
        self.seen[at] = rows
        return rows.reshape(x.shape)

    def __call__(self, ids):
        self.seen = {}
        return self.model(torch.tensor([ids]), use_cache=False).logits[0, -1]


for name in ["pre-ln", "pre-ln-projected", "post-ln", "post-ln-projected", "head-dim-7", "one-layer", "no-bias"]:
    model = OPTForCausalLM.from_pretrained(HERE.parent / "model" / name, dtype=torch.float64, attn_implementation="eager").eval()
    config, run = model.config, Patched(model)
    clean, corrupted = ([token % config.vocab_size for token in text][: config.max_position_embeddings] for text in (CLEAN, CORRUPTED))
    with torch.no_grad():
        of_clean = run(clean)
        wanted = {at: rows.clone() for at, rows in run.seen.items()}
        of_corrupted = run(corrupted)
        change = of_clean - of_corrupted
        answer, instead = int(change.argmax()), int(change.argmin())

        def d(logits):
            return logits[answer] - logits[instead]

        length, heads, width = len(clean), config.num_attention_heads, config.hidden_size // config.num_attention_heads
        out = {}
        for site in ("resid_pre", "attn_out", "mlp_out"):
            out[site] = torch.zeros(config.num_hidden_layers, length, dtype=torch.float64)
        out["z"] = torch.zeros(config.num_hidden_layers, heads, dtype=torch.float64)
        for layer in range(config.num_hidden_layers):
            for site in ("resid_pre", "attn_out", "mlp_out"):
                for position in range(length):
                    run.put = {(site, layer): (wanted[site, layer], slice(position, position + 1), slice(None))}
                    out[site][layer, position] = d(run(corrupted)) - d(of_corrupted)
            for head in range(heads):
                run.put = {("z", layer): (wanted["z", layer], slice(None), slice(head * width, (head + 1) * width))}
                out["z"][layer, head] = d(run(corrupted)) - d(of_corrupted)
    run.put = {}
    d(run(corrupted)).backward()
    for site in ("resid_pre", "attn_out", "mlp_out", "z"):
        rows = []
        for layer in range(config.num_hidden_layers):
            found = run.seen[site, layer]
            product = ((wanted[site, layer] - found) * found.grad).detach()
            rows.append(product.reshape(length, heads, width).sum((0, 2)) if site == "z" else product.sum(1))
        out["estimate-" + site] = torch.stack(rows)
    out["clean"], out["corrupted"] = torch.tensor(clean).double(), torch.tensor(corrupted).double()
    out["pair"] = torch.tensor([answer, instead]).double()
    out["differences"] = torch.stack([d(of_clean), d(of_corrupted)]).detach()
    save_file({key: value.contiguous() for key, value in out.items()}, HERE / f"patching-{name}.safetensors")
    print(name, answer, instead, out["differences"].tolist())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden files of the block Jacobians with transformers and torch.func, in float64.

    python tests/goldens/spectrum/make_spectrum_goldens.py

writes, for each case, a folder NAME/ next to this file: a tiny OPT with random weights, and golden.safetensors with, for
each text, `TEXT.ids`, `TEXT.rows` and rows of Jacobians `TEXT.KIND.NORM` (row, token x hidden): of layer 1 for the kinds
attention, mlp, both and whole, of layers 0 and 1 for span; NORM says whether the derivative goes through the LayerNorms.
`TEXT.KIND.inside.values` are all singular values of attention and mlp, by numpy.
slopes.safetensors has the derivatives of all nonlinearities at the points `x`; directions.safetensors singular vectors by
numpy and principal angles by scipy. Needs torch, transformers, safetensors, numpy, scipy.
"""
import pathlib

import numpy as np
import scipy.linalg
import torch
from safetensors.torch import save_file
from torch.func import jacrev
from transformers import OPTConfig, OPTForCausalLM
from transformers.activations import ACT2FN

HERE = pathlib.Path(__file__).resolve().parent

# The eager attention of transformers computes its softmax in float32 even in a float64 model: here it stays in float64.
torch_softmax = torch.nn.functional.softmax
torch.nn.functional.softmax = lambda x, dim, dtype=None: torch_softmax(x, dim=dim)

BASE = dict(vocab_size=50, num_hidden_layers=2, max_position_embeddings=16, word_embed_proj_dim=None, dropout=0.0,
            attention_dropout=0.0, hidden_size=24, ffn_dim=40, num_attention_heads=3)
CASES = {
    "pre-ln": dict(),
    "post-ln": dict(do_layer_norm_before=False, word_embed_proj_dim=12),
    "head-dim-80": dict(hidden_size=80, num_attention_heads=1, ffn_dim=96),
    "no-bias-gelu": dict(enable_bias=False, layer_norm_elementwise_affine=False, activation_function="gelu"),
}
TEXTS = {"pre-ln": [5, 1], "post-ln": [4, 1], "head-dim-80": [3], "no-bias-gelu": [4]}


def random_model(name, options):
    torch.manual_seed(sum(map(ord, name)))
    options = {**BASE, **options}
    options["word_embed_proj_dim"] = options["word_embed_proj_dim"] or options["hidden_size"]
    model = OPTForCausalLM(OPTConfig(**options))
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "layer_norm.weight" in key:
                value.uniform_(0.5, 1.5)
            elif value.ndim == 1:
                value.normal_(0, 0.2)
            else:
                value.normal_(0, 1.5 / value.shape[1] ** 0.5)
    return model.half()


class Layer:
    """One decoder layer as functions of rows (token, hidden), made of the real modules."""

    def __init__(self, module, x):
        self.module, self.pre = module, module.do_layer_norm_before
        n = x.shape[0]
        self.mask = torch.full((n, n), float("-inf"), dtype=x.dtype).triu(1)[None, None]
        self.norms = [module.self_attn_layer_norm, module.final_layer_norm]
        # What goes into each block and each LayerNorm in the real run.
        m = x + self.attention(self.norms[0](x) if self.pre else x)
        self.at = [x if self.pre else m]
        m = m if self.pre else self.norms[0](m)
        self.inputs = x, m
        self.outputs = [self.attention(self.norms[0](x) if self.pre else x),
                        self.mlp(self.norms[1](m) if self.pre else m)]
        self.at.append(m if self.pre else m + self.outputs[1])

    def attention(self, x):
        return self.module.self_attn(x[None], attention_mask=self.mask)[0][0]

    def mlp(self, x):
        return self.module.fc2(self.module.activation_fn(self.module.fc1(x)))

    def norm(self, which, inside):
        """The LayerNorm, or the identity shifted so that it passes through the same activations."""
        layer_norm, at = self.norms[which], self.at[which]
        return layer_norm if inside else lambda x: layer_norm(at) + (x - at)

    def block(self, which, inside):
        """attention (0) or mlp (1) without the residual; post-LN: the following LayerNorm sees the residual held fixed."""
        f, norm = (self.attention, self.mlp)[which], self.norm(which, inside)
        if self.pre:
            return lambda x: f(norm(x))
        return lambda x: norm(self.inputs[which] + f(x))

    def whole(self, inside, keep=(True, True)):
        """The layer; keep = (False, False) holds what the blocks add fixed."""
        def run(x):
            for which, f in enumerate((self.attention, self.mlp)):
                norm = self.norm(which, inside)
                added = f(norm(x) if self.pre else x) if keep[which] else self.outputs[which]
                x = x + added if self.pre else norm(x + added)
            return x
        return run


def jacobian(f, x):
    return jacrev(f)(x).reshape(x.numel(), x.numel())


def jacobians(model, ids):
    decoder = model.model.decoder
    with torch.no_grad():
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
    x0 = states[0][0]
    layers = [Layer(decoder.layers[0], x0)]
    x1 = layers[0].whole(True)(x0)
    assert torch.allclose(x1, states[1][0], rtol=0, atol=1e-12)
    layers.append(Layer(decoder.layers[1], x1))
    one, kinds = layers[1], {}
    for name, inside in (("inside", True), ("outside", False)):
        kinds[f"attention.{name}"] = jacobian(one.block(0, inside), x1)
        kinds[f"mlp.{name}"] = jacobian(one.block(1, inside), one.inputs[1])
        kinds[f"whole.{name}"] = jacobian(one.whole(inside), x1)
        kinds[f"both.{name}"] = kinds[f"whole.{name}"] - jacobian(one.whole(inside, (False, False)), x1)
        kinds[f"span.{name}"] = jacobian(lambda x: one.whole(inside)(layers[0].whole(inside)(x)), x0)
    return kinds


def main():
    for name, options in CASES.items():
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        model = random_model(name, options)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        model = model.double().eval()
        model.set_attn_implementation("eager")
        generator = torch.Generator().manual_seed(7)
        tensors = {}
        for text, n in enumerate(TEXTS[name]):
            ids = [2] + torch.randint(3, 50, (n - 1,), generator=generator).tolist()
            rows = torch.linspace(0, n * model.config.hidden_size - 1, 8).long()
            tensors[f"{text}.ids"] = torch.tensor(ids, dtype=torch.float64)
            tensors[f"{text}.rows"] = rows.double()
            for key, value in jacobians(model, ids).items():
                tensors[f"{text}.{key}"] = value[rows].contiguous()
                if key in ("attention.inside", "mlp.inside"):
                    values = np.linalg.svd(value.detach().numpy(), compute_uv=False)
                    tensors[f"{text}.{key}.values"] = torch.tensor(values)
        save_file({k: v.detach() for k, v in tensors.items()}, folder / "golden.safetensors")
        print(name, sum(f.stat().st_size for f in folder.iterdir()) // 1000, "kB")

    x = torch.tensor([-20, -7.3, -2.9, -1, -0.3, -1e-3, 0, 1e-3, 0.4, 0.9, 2.5, 3.1, 5.9, 6.1, 9.7, 10.5, 21],
                     dtype=torch.float64)
    slopes = {"x": x}
    for name in ("relu gelu gelu_10 gelu_accurate gelu_fast gelu_new gelu_python gelu_python_tanh gelu_pytorch_tanh "
                 "hardswish laplace leaky_relu linear mish quick_gelu relu2 relu6 sigmoid silu sqrtsoftplus swish "
                 "tanh").split():
        points = x.clone().requires_grad_()
        value = ACT2FN[name](points)
        slopes[name] = torch.autograd.grad(value.sum(), points)[0].clone()
    save_file(slopes, HERE / "slopes.safetensors")

    random = np.random.default_rng(5)
    vectors, a, b = random.normal(size=(4, 30)), random.normal(size=(5, 12)), random.normal(size=(3, 12))
    b[0] = a[1] + 1e-9 * b[0]  # two spans that nearly share a direction
    b[1] = a[0] - a[2] + 0.1 * b[1]
    hidden = np.linalg.svd(vectors.reshape(4 * 6, 5))
    token = np.linalg.svd(vectors.reshape(4, 6, 5).transpose(0, 2, 1).reshape(4 * 5, 6))
    directions = {"vectors": vectors, "hidden": hidden[2], "hidden_shares": hidden[1] ** 2 / (hidden[1] ** 2).sum(),
                  "token": token[2], "token_shares": token[1] ** 2 / (token[1] ** 2).sum(), "a": a, "b": b,
                  "angles": np.sort(scipy.linalg.subspace_angles(a.T, b.T))}
    save_file({k: torch.tensor(np.ascontiguousarray(v)) for k, v in directions.items()}, HERE / "directions.safetensors")


main()

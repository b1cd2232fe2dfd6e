# SPDX-License-Identifier: MIT
"""The sums of light_up with PyTorch hooks on transformers' OPT: light_up_peer.py MODEL_DIR [TOKENS]"""

import sys
import time

import torch
from transformers import OPTForCausalLM

folder, tokens = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100000
torch.set_grad_enabled(False)
model = OPTForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().model.decoder
config = model.config
length, texts = min(1024, config.max_position_embeddings), 8
sums = {}


def add(name, x):  # (text, position, unit)
    x = x[:, 1:]
    values = torch.stack([(x > 0).float().mean(1), x.mean(1), x.abs().mean(1), x.square().mean(1).sqrt()])
    sums[name] = sums.get(name, 0) + values.sum(1)


def hook(layer, index):
    heads, width = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    weight = layer.self_attn.out_proj.weight.T.reshape(heads, width, config.hidden_size)

    def attention(_, inputs, output):
        z = inputs[0].unflatten(-1, (heads, width))
        add((index, "head"), torch.einsum("tphd,hdm->tphm", z, weight).norm(dim=-1))
        add((index, "attention"), output.norm(dim=-1, keepdim=True))

    def mlp(_, inputs, output):
        add((index, "neuron"), inputs[0].reshape(texts, length, -1))
        add((index, "mlp"), output.reshape(texts, length, -1).norm(dim=-1, keepdim=True))

    return [
        layer.self_attn.out_proj.register_forward_hook(attention),
        layer.fc2.register_forward_hook(mlp),
        layer.register_forward_hook(lambda _, __, out: add((index, "layer"), (out[0] if isinstance(out, tuple) else out).norm(dim=-1, keepdim=True))),
    ]


def run():
    begin = time.time()
    for batch in range(max(1, tokens // (texts * length))):
        ids = (torch.arange(texts)[:, None] + batch * texts) * 977 + torch.arange(length) * 7919 + 3
        model(ids % config.vocab_size)
    return time.time() - begin


bare = run()
hooks = [h for i, layer in enumerate(model.layers) for h in hook(layer, i)]
hooked = run()
print(f"{tokens} tokens, {torch.get_num_threads()} threads: bare {bare:.1f} s, with hooks {hooked:.1f} s")

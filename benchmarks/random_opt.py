#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A checkpoint of any OPT's shape with random fp16 weights, for benchmarks in which the values do not matter:
larger_than_memory, forward.

    python benchmarks/random_opt.py opt-13b DIR [LAYERS]

writes config.json, shards of about 5 GB and their index, as the hub has them; opt-13b takes 25.7 GB of disk and about a
minute. Weights come from one block of normal numbers, begun at another place for every tensor. Needs numpy.
"""
import json
import math
import pathlib
import sys

import numpy as np

# layers, hidden, heads; ffn is 4 hidden
shapes = {"opt-125m": (12, 768, 12), "opt-1.3b": (24, 2048, 32), "opt-2.7b": (32, 2560, 32), "opt-6.7b": (32, 4096, 32),
          "opt-13b": (40, 5120, 40), "opt-30b": (48, 7168, 56), "opt-66b": (64, 9216, 72)}
vocabulary, positions, shard_bytes = 50272, 2048, 5 << 30


def tensors(layers, hidden):
    """Name, shape and kind of each tensor."""
    yield "embed_tokens.weight", (vocabulary, hidden), "matrix"
    yield "embed_positions.weight", (positions + 2, hidden), "matrix"
    for layer in range(layers):
        for part in ("self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.out_proj"):
            yield f"layers.{layer}.{part}.weight", (hidden, hidden), "matrix"
            yield f"layers.{layer}.{part}.bias", (hidden,), "matrix"
        for part, size in (("fc1", (4 * hidden, hidden)), ("fc2", (hidden, 4 * hidden))):
            yield f"layers.{layer}.{part}.weight", size, "matrix"
            yield f"layers.{layer}.{part}.bias", size[:1], "matrix"
        for part in ("self_attn_layer_norm", "final_layer_norm"):
            yield f"layers.{layer}.{part}.weight", (hidden,), "ones"
            yield f"layers.{layer}.{part}.bias", (hidden,), "zeros"
    yield "final_layer_norm.weight", (hidden,), "ones"
    yield "final_layer_norm.bias", (hidden,), "zeros"


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in shapes:
        sys.exit(__doc__)
    layers, hidden, heads = shapes[sys.argv[1]]
    if len(sys.argv) == 4:
        layers = int(sys.argv[3])  # for work on one layer the others may be left out
    out = pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps({
        "architectures": ["OPTForCausalLM"], "model_type": "opt", "num_hidden_layers": layers, "hidden_size": hidden,
        "word_embed_proj_dim": hidden, "num_attention_heads": heads, "ffn_dim": 4 * hidden, "vocab_size": vocabulary,
        "max_position_embeddings": positions, "activation_function": "relu", "do_layer_norm_before": True,
        "bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1, "torch_dtype": "float16"}, indent=1))
    random = np.random.default_rng(0)
    block = (0.02 * random.standard_normal(1 << 26, dtype=np.float32)).astype(np.float16)

    shards, size = [[]], 0
    for entry in tensors(layers, hidden):
        count = 2 * math.prod(entry[1])
        if size + count > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(entry)
        size += count
    weight_map = {}
    for number, shard in enumerate(shards):
        name = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        header, end = {}, 0
        for tensor, shape, _ in shard:
            begin, end = end, end + 2 * math.prod(shape)
            header["model.decoder." + tensor] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
            weight_map["model.decoder." + tensor] = name
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(out / name, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for _, shape, kind in shard:
                left, at = math.prod(shape), int(random.integers(len(block) // 2))
                if kind != "matrix":
                    file.write(np.full(left, kind == "ones", np.float16).tobytes())
                    continue
                while left > 0:
                    piece = block[at:at + left]
                    file.write(piece.tobytes())
                    left, at = left - len(piece), 0
    (out / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


main()

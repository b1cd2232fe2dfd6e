#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the checkpoints of this folder with the real torch, transformers and safetensors.

Run with Python packages torch 2.15, transformers 5.23, safetensors 0.8 (any recent ones will do):

    python3 make_checkpoint_goldens.py

All weights follow one formula that is exact in fp16, bf16 and fp32, so that the tests need no copy of them: element i
(row-major) of the tensor NAME without its "model." is (((i + s) * 37) % 64 - 31) / 64, s the sum of NAME's bytes.
"""

import json
import shutil
from collections import OrderedDict
from pathlib import Path

import torch
from transformers import OPTConfig, OPTForCausalLM

HERE = Path(__file__).resolve().parent


def values(name, shape, salt=0):
    name = name.removeprefix("model.")
    count = torch.Size(shape).numel()
    index = torch.arange(count, dtype=torch.int64) + sum(name.encode()) + salt
    return (((index * 37) % 64 - 31).to(torch.float64) / 64).reshape(shape)


def tiny(layers=1, **more):
    config = dict(hidden_size=8, num_hidden_layers=layers, num_attention_heads=2, ffn_dim=16, vocab_size=24,
                  word_embed_proj_dim=8, max_position_embeddings=6, dropout=0.0)
    return OPTForCausalLM(OPTConfig(**(config | more)))


def filled(model, dtype):
    """The model with the formula's weights, tied matrices still tied."""
    model = model.to(dtype)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(values(name, parameter.shape))
    return model.eval()


def folder(name):
    path = HERE / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def tidy(path):
    (path / "generation_config.json").unlink(missing_ok=True)
    for file in path.iterdir():
        file.chmod(0o644)


def write_config(path, **more):
    tiny(**more).config.save_pretrained(path)


def state(dtype=torch.float16, **more):
    """Names as save_pretrained has them, lm_head sharing its storage with the embedding."""
    return filled(tiny(**more), dtype).state_dict()


def save_bin(name, content, **config):
    path = folder(name)
    write_config(path, **config)
    torch.save(content, path / "pytorch_model.bin")
    return path


def main():
    for name, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp32", torch.float32)):
        path = folder("safetensors-" + name)
        filled(tiny(), dtype).save_pretrained(path)
        tidy(path)

    path = folder("safetensors-sharded")
    filled(tiny(layers=2), torch.float16).save_pretrained(path, max_shard_size="2KB")
    tidy(path)

    # torch.save: to a path and to a buffer, OrderedDict with _metadata and plain dict.
    full = state()
    save_bin("bin-ordered-dict", full)
    path = folder("bin-plain-dict")
    write_config(path)
    with open(path / "pytorch_model.bin", "wb") as file:
        torch.save({name: tensor.clone() for name, tensor in full.items() if name != "lm_head.weight"}, file)

    # Without "model." and without lm_head, as 6.7b, 13b, 30b and 350m are on the hub; wrapped as trainers do.
    bare = OrderedDict((name.removeprefix("model."), tensor) for name, tensor in full.items())
    del bare["lm_head.weight"]
    save_bin("bin-no-prefix", bare)
    save_bin("bin-wrapped", {"epoch": 3, "rate": 0.5, "state_dict": bare, "args": ["--fast", None, True]})
    save_bin("bin-parameters", OrderedDict((name, torch.nn.Parameter(tensor)) for name, tensor in bare.items()))

    # Views that share one storage: a slice with an offset, a transposed matrix, every second element.
    views = OrderedDict(bare)
    for name in ("decoder.layers.0.fc1.weight", "decoder.layers.0.fc2.weight"):
        shape = bare[name].shape
        turned = torch.empty(shape[1], shape[0], dtype=torch.float16).t()
        turned.copy_(bare[name])
        views[name] = turned
    block = torch.full((3, 40, 8), 7.0, dtype=torch.float16)
    for i, letter in enumerate("qkv"):
        name = f"decoder.layers.0.self_attn.{letter}_proj.weight"
        block[i, 5:13] = bare[name]
        views[name] = block[i, 5:13]
    spaced = torch.full((8, 2), 7.0, dtype=torch.float16)
    name = "decoder.layers.0.self_attn.out_proj.bias"
    spaced[:, 1] = bare[name]
    views[name] = spaced[:, 1]
    views["decoder.final_layer_norm.weight"] = torch.ones(1, dtype=torch.float16).expand(8)
    views["decoder.position_ids"] = torch.arange(6)
    save_bin("bin-views", views)

    # The two names of the tied matrix: the head alone, both with different values, both equal but stored twice.
    embed = "decoder.embed_tokens.weight"
    head_only = OrderedDict(bare)
    head_only["lm_head.weight"] = head_only.pop(embed)
    save_bin("bin-head-only", head_only)
    save_bin("bin-head-differs", OrderedDict(bare, **{"lm_head.weight": values("lm_head.weight", (24, 8)).half()}))
    save_bin("bin-head-copied", OrderedDict(bare, **{"lm_head.weight": bare[embed].clone()}))
    save_bin("bin-untied-no-head", bare, tie_word_embeddings=False)

    # Shards of torch with their index; the head is a second copy in the last shard, as in 66b.
    path = folder("bin-sharded")
    write_config(path, layers=2)
    full = state(torch.float32, layers=2)
    names = sorted(full)
    shards = [names[: len(names) // 2], names[len(names) // 2 :]]
    weight_map = {}
    for i, members in enumerate(shards, 1):
        file = f"pytorch_model-{i:05}-of-{len(shards):05}.bin"
        torch.save({name: full[name].clone() for name in members}, path / file)
        weight_map |= dict.fromkeys(members, file)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (path / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")

    # Refused by name: the format before 1.6.
    path = folder("bin-legacy")
    write_config(path)
    torch.save(bare, path / "pytorch_model.bin", _use_new_zipfile_serialization=False)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the checkpoints of this folder with the real torch, transformers and safetensors.

Run with Python packages torch 2.15, transformers 5.24, safetensors 0.8 (any recent ones will do):

    python3 make_checkpoint_goldens.py

There is one for each row of ../table.json with folder "checkpoint". All weights follow one formula that is exact in fp16,
bf16 and fp32, so that the tests need no copy of them: element i (row-major) of the tensor NAME without its "model." is
(((i + s) * 37) % 64 - 31) / 64, s the sum of NAME's bytes. What transformers computes with each, loaded from the folder, is in
its golden.safetensors, or was found to be that of the row's "golden".
"""

import json
import pickle
import shutil
import sys
import zipfile
from collections import OrderedDict
from io import BytesIO
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import OPTConfig, OPTForCausalLM
from transformers.models.opt.modeling_opt import OPTDecoder

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "model"))
from make_model_goldens import TABLE, goldens, texts_of  # noqa: E402

ROWS = {row["name"]: row for row in TABLE["rows"] if row["folder"] == "checkpoint"}
MADE = []


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
    MADE.append(name)
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


def shards(path, content):
    """Two .bin files and their index; `content` with the names to write."""
    names = sorted(content)
    weight_map = {}
    for i, members in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), 1):
        file = f"pytorch_model-{i:05}-of-00002.bin"
        torch.save({name: content[name].clone() for name in members}, path / file)
        weight_map |= dict.fromkeys(members, file)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (path / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


def save_as_torch_1_6(content, path):
    """As torch.save of 1.6: records named by decimal addresses below "archive", none that came later (byteorder, …)."""
    keys, storages, data = {}, {}, BytesIO()
    pickler = pickle.Pickler(data, protocol=2)

    def persistent_id(item):
        if not isinstance(item, torch.storage.TypedStorage):
            return None
        key = keys.setdefault(item._untyped_storage.data_ptr(), str(94214122767360 + 64 * len(keys)))
        storages[key] = item._untyped_storage
        return "storage", getattr(torch, {torch.float16: "HalfStorage"}[item.dtype]), key, "cpu", item._size()

    pickler.persistent_id = persistent_id
    pickler.dump(content)
    writer = torch._C.PyTorchFileWriter(str(path))
    writer.write_record("data.pkl", data.getvalue(), len(data.getvalue()))
    for key in sorted(storages):
        writer.write_record("data/" + key, storages[key], storages[key].nbytes())
    writer.write_end_of_file()
    # Today's writer adds two records. The zip is rewritten without them, and without alignment.
    with zipfile.ZipFile(path) as archive:
        records = [(item, archive.read(item)) for item in archive.infolist() if "/data" in item.filename or
                   item.filename.endswith("/version")]
    rewrite(path, [("archive/" + item.filename.split("/", 1)[1], bytes_) for item, bytes_ in records])


def rewrite(path, records, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in records:
            archive.writestr(zipfile.ZipInfo(name), content, method)


@torch.no_grad()
def write_goldens():
    assert set(MADE) == set(ROWS), set(MADE) ^ set(ROWS)
    for name, row in sorted(ROWS.items(), key=lambda item: "golden" in item[1]):
        if "refused" in row:
            continue
        path = HERE / name
        if name == "safetensors-bare":
            model = OPTForCausalLM(OPTConfig.from_pretrained(path)).double()
            model.model.decoder = OPTDecoder.from_pretrained(path, dtype=torch.float64)
            model.tie_weights()
        elif name == "bin-wrapped":
            content = torch.load(path / "pytorch_model.bin")["state_dict"]
            model = OPTForCausalLM(OPTConfig.from_pretrained(path)).double()
            model.load_state_dict({"model." + key: value for key, value in content.items()}, strict=False)
        else:
            model, log = OPTForCausalLM.from_pretrained(path, dtype=torch.float64, output_loading_info=True)
            assert not log["missing_keys"], (name, log)
        found = goldens(model, texts_of(model.config))
        if "golden" not in row:
            save_file(found, path / "golden.safetensors")
            continue
        expected = load_file(HERE.parent / row["golden"] / "golden.safetensors")
        assert found.keys() == expected.keys(), name
        for key, value in found.items():
            torch.testing.assert_close(value, expected[key], rtol=1e-14, atol=1e-14, msg=f"{name} {key}")


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
    shards(path, state(torch.float32, layers=2))

    # Of other types than one; the head alone, as the converter of safetensors leaves it; without its own name for the decoder.
    filled(tiny(), torch.float64).save_pretrained(folder("safetensors-fp64"))
    tidy(HERE / "safetensors-fp64")
    types = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    mixed = OrderedDict((name, tensor.to(types[i % 4])) for i, (name, tensor) in enumerate(bare.items()))
    save_bin("bin-mixed", mixed)
    path = folder("safetensors-mixed")
    write_config(path)
    save_file({"model." + name: tensor for name, tensor in mixed.items()}, path / "model.safetensors", {"format": "pt"})
    path = folder("safetensors-head-only")
    write_config(path)
    save_file({name if name == "lm_head.weight" else "model." + name: tensor for name, tensor in head_only.items()},
              path / "model.safetensors", {"format": "pt"})
    filled(tiny(), torch.float16).model.decoder.save_pretrained(folder("safetensors-bare"))
    tidy(HERE / "safetensors-bare")

    # The zip that torch 1.6 wrote.
    path = folder("bin-torch-1.6")
    write_config(path)
    save_as_torch_1_6(bare, path / "pytorch_model.bin")

    # config.json as the hub has it, written by transformers 4.19 to 4.27.
    path = save_bin("hub-config", bare)
    config = json.loads((path / "config.json").read_text())
    for key in ("enable_bias", "layer_norm_elementwise_affine", "tie_word_embeddings", "_remove_final_layer_norm", "dtype"):
        config.pop(key, None)
    config |= {"_name_or_path": "opt-125m", "activation_dropout": 0.0, "prefix": "</s>", "output_projection": True,
               "torch_dtype": "float16", "transformers_version": "4.21.0.dev0", "word_embed_proj_dim": None}
    (path / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    path = folder("opt-iml")
    write_config(path, layers=2)
    shards(path, OrderedDict((n.removeprefix("model."), t) for n, t in state(layers=2).items() if n != "lm_head.weight"))

    # galactica-30b: neither biases nor LayerNorm weights; galactica-6.7b: the head a second time.
    path = folder("galactica")
    options = dict(layers=2, enable_bias=False, layer_norm_elementwise_affine=False, activation_function="gelu",
                   vocab_size=30, bos_token_id=0, attention_dropout=0.1)
    write_config(path, **options)
    config = json.loads((path / "config.json").read_text())
    config |= {"learned_embeddings": True, "scale_embeddings": False, "bias": False}
    (path / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    shards(path, state(**options))

    # Reported: unused tensors, numbers that are not finite.
    extra = OrderedDict(bare, **{"decoder.layers.1.fc1.weight": torch.ones(16, 8), "score.weight": torch.ones(2, 8),
                                 "decoder.layers.0.self_attn.rotary.inv_freq": torch.ones(4),
                                 "decoder.position_ids": torch.arange(6)})
    save_bin("bin-extra-tensors", extra)
    path = folder("safetensors-not-finite")
    model = filled(tiny(), torch.float16)
    with torch.no_grad():
        model.model.decoder.embed_positions.weight[0] = torch.nan  # never used
        model.model.decoder.layers[0].fc1.bias[3] = -torch.inf     # ReLU makes 0 of it
    model.save_pretrained(path)
    tidy(path)

    # Refused by name.
    save_bin("bin-missing-tensor", OrderedDict((n, t) for n, t in bare.items() if n != "decoder.layers.0.fc2.bias"))
    integer = OrderedDict(bare, **{"decoder.layers.0.fc1.weight": torch.ones(16, 8, dtype=torch.int8)})
    save_bin("bin-integer", integer)
    path = folder("safetensors-integer")
    write_config(path)
    save_file({"model." + name: tensor for name, tensor in integer.items()}, path / "model.safetensors", {"format": "pt"})
    path = save_bin("bin-deflated", bare)
    with zipfile.ZipFile(path / "pytorch_model.bin") as archive:
        records = [(name, archive.read(name)) for name in archive.namelist()]
    rewrite(path / "pytorch_model.bin", records, zipfile.ZIP_DEFLATED)
    path = folder("bin-legacy")
    write_config(path)
    torch.save(bare, path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    write_goldens()


main()

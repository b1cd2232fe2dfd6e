#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A patching sweep of resid_pre, every layer and position: TransformerLens's loop (`transformer_lens.patching`), the same loop with torch
hooks on transformers, and ours, in one run.

    python benchmarks/patch_peer.py [--model opt-125m | DIR] [--ours build/benchmarks/patch] [--tokens 20] [--every 1]
        [--threads N]

A name makes a model of that shape with random F16 weights in a temporary folder (random_opt.py). All compute in float32 on as many
threads as there are cores, or N; the effects of all must agree. With --every 4 the peers sweep every fourth layer only, and their times count
four times: each of their runs is a whole one, whatever the layer. Times are seconds of the clock and of CPU, which other work on the machine
changes less. Needs torch, transformers, numpy; transformer_lens
before 4 if it is to be compared.
"""
import argparse
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np


def prompts(tokens):
    clean = [2] + [100 + 37 * i for i in range(1, tokens)]
    return clean, [2, 99] + clean[2:]


def timed(name, layers, every, sweep):
    wall, busy = time.perf_counter(), time.process_time()
    effects = sweep()
    scale = layers / len(range(0, layers, every))
    wall, busy = scale * (time.perf_counter() - wall), scale * (time.process_time() - busy)
    print(f"{name}: {wall:.2f} s, {busy:.2f} s of CPU", flush=True)
    return name, wall, busy, effects


def transformers_loop(hf, clean, corrupted, every):
    import torch

    layers, seen, change = hf.model.decoder.layers, {}, {}

    def hook(index):
        def before(module, args, kwargs):
            x = args[0] if args else kwargs["hidden_states"]
            if "keep" in change:
                seen[index] = x.clone()
            if change.get("layer") == index:
                x = x.clone()
                x[:, change["position"]] = seen[index][:, change["position"]]
            return ((x, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": x})
        return before

    handles = [layer.register_forward_pre_hook(hook(i), with_kwargs=True) for i, layer in enumerate(layers)]
    with torch.no_grad():
        def run(ids):
            return hf(torch.tensor([ids]), use_cache=False).logits[0, -1]

        change["keep"] = True
        of_clean = run(clean)
        change.clear()
        of_corrupted = run(corrupted)
        answer, instead = int((of_clean - of_corrupted).argmax()), int((of_clean - of_corrupted).argmin())

        def sweep():
            effects = np.zeros((len(range(0, len(layers), every)), len(clean)))
            for row, layer in enumerate(range(0, len(layers), every)):
                for position in range(len(clean)):
                    change.update(layer=layer, position=position)
                    logits = run(corrupted)
                    effects[row, position] = (logits[answer] - logits[instead]) - (of_corrupted[answer] - of_corrupted[instead])
            return effects

        run(corrupted)
        result = timed("transformers, torch hooks", len(layers), every, sweep)
    for handle in handles:
        handle.remove()
    return result, answer, instead


def transformer_lens_loop(hf, clean, corrupted, answer, instead, every):
    import pandas
    import torch
    from transformer_lens import HookedTransformer, HookedTransformerConfig, patching
    from transformer_lens.pretrained.weight_conversions import convert_opt_weights

    c = hf.config
    model = HookedTransformer(HookedTransformerConfig(
        n_layers=c.num_hidden_layers, d_model=c.hidden_size, n_heads=c.num_attention_heads,
        d_head=c.hidden_size // c.num_attention_heads, d_mlp=c.ffn_dim, n_ctx=c.max_position_embeddings, d_vocab=c.vocab_size,
        act_fn="relu", normalization_type="LN", eps=1e-5, device="cpu"))
    model.load_state_dict(convert_opt_weights(hf, model.cfg), strict=False)
    model.eval()
    with torch.no_grad():
        _, cache = model.run_with_cache(torch.tensor([clean]))
        wanted, ids = cache, torch.tensor([corrupted])

        def difference(logits):
            return logits[0, -1, answer] - logits[0, -1, instead]

        before = difference(model(ids))
        places = [(layer, position) for layer in range(0, c.num_hidden_layers, every) for position in range(len(clean))]

        def sweep():  # what get_act_patch_resid_pre does, at these layers
            found = patching.generic_activation_patch(model, ids, wanted, difference, patching.layer_pos_patch_setter, "resid_pre",
                                                      index_df=pandas.DataFrame(places, columns=["layer", "pos"]))
            return (found - before).numpy().reshape(-1, len(clean))

        return timed("TransformerLens", c.num_hidden_layers, every, sweep)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="opt-125m")
    parser.add_argument("--ours", default="build/benchmarks/patch")
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    if given.threads:
        import torch
        torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as scratch:
        if not pathlib.Path(given.model).is_dir():
            subprocess.run([sys.executable, pathlib.Path(__file__).parent / "random_opt.py", given.model, scratch], check=True)
            given.model = scratch
        out = pathlib.Path(scratch) / "effects.npy"
        said = subprocess.run([given.ours, given.model, str(given.tokens), str(given.threads), out], check=True, stdout=subprocess.PIPE, text=True).stdout
        print(said, end="", flush=True)
        line = next(line for line in said.splitlines() if line.startswith("patching, with"))
        wall, busy = (float(line.split(": ")[1].split(",")[i].split()[0]) for i in (0, 1))
        ours = np.load(out)[::given.every]

        from transformers import OPTForCausalLM
        hf = OPTForCausalLM.from_pretrained(given.model, dtype="float32").eval()
        clean, corrupted = prompts(given.tokens)
        found, answer, instead = transformers_loop(hf, clean, corrupted, given.every)
        peers = [found]
        if importlib.util.find_spec("transformer_lens") is not None:
            peers.append(transformer_lens_loop(hf, clean, corrupted, answer, instead, given.every))
        else:
            print("TransformerLens: not installed")
        for name, peer_wall, peer_busy, effects in peers:
            error = np.abs(effects - ours).max() / np.abs(ours).max()
            print(f"ours is {peer_wall / wall:.1f} times as fast as {name} ({peer_busy / busy:.1f} by CPU time); "
                  f"effects differ by {error:.1e} of the largest")
            assert error < 1e-3


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Time of the removals that isolate measures: PyTorch hooks on transformers' OPT against our whole program.

    python benchmarks/isolate_peer.py --model DIR --texts DIR [--texts DIR]... --keep CATEGORY [--shares 20]
        [--ours build/examples/isolate | --ours-seconds S] [--removals 4] [--written-share 1] [--batch N]

Ours is one whole run, all categories in turn: scores, judge, curves, where it sits, report, files. The peer measures a few
removals alone, sets of 30 % of neurons and heads by chance, and multiplies the median by how many our run measures (an
extrapolation): a removal is the loss of 512 held-out tokens of each category in windows of 256, one batch, and 16 prompts
of each category, 32 tokens and BOS, continued by 48 at temperature 0.8 and top-p 0.9, one batch with a cache. Points by score
and reversed do without the kept category's prompts, as ours do. All in the peer's favour: it computes no scores, judges
nothing, draws nothing, and neither bisection nor the final measurements on three times as many prompts are counted.

Ours ends a continuation when the judge is sure, and drops it from the batch; generate() has no such batch: a finished
prompt stays in it until the last is finished. --written-share S, the share of all tokens that ours then writes (0.66 on the
demo model), also gives the ratio for as many tokens as ours: as if the peer took S of its time for continuations.
Run it with nothing else running: next to other programs torch's threads wait for each other, up to ten times as long.
Needs torch, transformers.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

held_back, window, prompts_each, prompt_tokens, new_tokens, removed, draws = 512, 256, 16, 32, 48, 0.3, 3


def categories_of(folders):
    """{name: text}, a folder with .txt files being a category."""
    result = {}
    for folder in map(pathlib.Path, folders):
        for each in [folder, *sorted(f for f in folder.iterdir() if f.is_dir())]:
            files = sorted(each.glob("*.txt"))
            if files:
                result[each.name.lstrip("0123456789-")] = "\n".join(f.read_text() for f in files)
    return result


def peer(args, texts):
    """Median seconds of the loss, and of the continuations of all prompts and of those of all categories but one."""
    import torch
    from transformers import AutoTokenizer, OPTForCausalLM

    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = OPTForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    config = model.config
    width = config.hidden_size // config.num_attention_heads
    kept = {}

    for number, layer in enumerate(model.model.decoder.layers):
        def hook(name):
            return lambda _, inputs: (inputs[0] * kept[name],) if name in kept else None
        layer.fc2.register_forward_pre_hook(hook((number, "neurons")))
        layer.self_attn.out_proj.register_forward_pre_hook(hook((number, "heads")))

    def remove():
        for number in range(config.num_hidden_layers):
            kept[number, "neurons"] = (torch.rand(config.ffn_dim) >= removed).float()
            heads = (torch.rand(config.num_attention_heads) >= removed).float()
            kept[number, "heads"] = heads.repeat_interleave(width)

    windows, prompts = [], []
    for text in texts.values():
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        for i in range(held_back // window):
            windows.append([config.bos_token_id] + ids[i * (window - 1):(i + 1) * (window - 1)])
        for i in range(prompts_each):
            begin = i * (len(ids) - prompt_tokens) // prompts_each
            piece = ids[begin:begin + prompt_tokens - i % 3]  # not all of one length: ours end before white space
            prompts.append([config.bos_token_id] + piece)
    windows = torch.tensor(windows)

    def loss():
        logits = model(windows, use_cache=False).logits[:, :-1]
        return torch.nn.functional.cross_entropy(logits.transpose(1, 2), windows[:, 1:], reduction="none").mean(1)

    def write(some):
        for first in range(0, len(some), args.batch or len(some)):
            batch = some[first:first + (args.batch or len(some))]
            longest = max(map(len, batch))
            ids = torch.tensor([[config.pad_token_id] * (longest - len(p)) + p for p in batch])
            mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in batch])
            written = model.generate(
                input_ids=ids, attention_mask=mask, do_sample=True, temperature=0.8, top_p=0.9, top_k=0,
                min_new_tokens=new_tokens, max_new_tokens=new_tokens, pad_token_id=config.pad_token_id)
            tokenizer.batch_decode(written[:, longest:])

    times = {"loss": [], "all": [], "others": []}
    parts = {"loss": loss, "all": lambda: write(prompts), "others": lambda: write(prompts[prompts_each:])}
    for round_ in range(args.removals + 1):
        remove()
        for name, part in parts.items():
            begin = time.monotonic()
            part()
            if round_ > 0:  # the first is a warm-up
                times[name].append(time.monotonic() - begin)
    print(f"peer: {torch.get_num_threads()} threads, {args.removals} removals, seconds of the loss "
          f"{[round(t, 2) for t in times['loss']]}, of {len(prompts)} continuations {[round(t, 2) for t in times['all']]}, "
          f"of {len(prompts) - prompts_each} {[round(t, 2) for t in times['others']]}")
    return {name: statistics.median(t) for name, t in times.items()}, config.num_hidden_layers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", required=True, action="append")
    parser.add_argument("--keep", required=True)
    parser.add_argument("--shares", type=int, default=20, help="points per curve, for ours and for the peer's count")
    parser.add_argument("--ours", default="build/examples/isolate")
    parser.add_argument("--ours-seconds", type=float, help="seconds that ours took, instead of running it")
    parser.add_argument("--removals", type=int, default=4, help="number of removals that the peer measures")
    parser.add_argument("--written-share", type=float, default=1, help="share of all tokens that ours writes")
    parser.add_argument("--batch", type=int, help="prompts that the peer continues at once (default: all)")
    args = parser.parse_args()
    texts = categories_of(args.texts)

    ours = args.ours_seconds
    if ours is None:
        with tempfile.TemporaryDirectory() as out:
            command = [args.ours, "--model", args.model, "--keep", args.keep, "--shares", str(args.shares),
                       "--out", out + "/out"]
            for folder in args.texts:
                command += ["--texts", folder]
            environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
            begin = time.monotonic()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
            ours = time.monotonic() - begin

    seconds, layers = peer(args, texts)
    of_others = 2 * len(texts) * args.shares          # by score and reversed
    of_all = draws * args.shares + 2 * layers + 11    # by chance, and the rows of where it sits
    print(f"ours: {ours:.1f} s, the whole program, with {of_others + of_all} removals")

    def total(share):
        return ((of_others + of_all) * seconds["loss"]
                + share * (of_others * seconds["others"] + of_all * seconds["all"]))
    for share in dict.fromkeys((1, args.written_share)):
        what = "all tokens written" if share == 1 else f"{share:.2f} of the tokens written, as ours"
        print(f"peer, {what}: {total(share):.0f} s for as many removals alone (extrapolated): "
              f"{total(share) / ours:.1f} times ours")


main()

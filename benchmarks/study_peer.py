#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The similarity study as a Python script: time and peak memory of the whole process against ours, in one run.

    python benchmarks/study_peer.py --model DIR --texts DIR [--ours build/examples/study] [--rounds 3] [--formats png]

runs both in turn (with OPENBLAS_* cleared) and prints medians and ratios. With --alone it is the peer itself: forward pass
with transformers in float32, the same matrices and statistics with numpy, the pictures with matplotlib, as PNG, SVG and PDF
like ours unless --formats names fewer. It writes no report. Needs torch, transformers, matplotlib, numpy.
"""
import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def peer(model_dir, texts_dir, out, formats):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    import torch
    from transformers import AutoTokenizer, OPTForCausalLM

    positions = list(range(475, 512, 4))
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = OPTForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    files = sorted(pathlib.Path(texts_dir).glob("*/*.txt"))
    ids = [tokenizer(f.read_text(), truncation=True, max_length=512)["input_ids"] for f in files]
    categories = [f.parent.name for f in files]

    def save(figure, name, dpi):
        for kind in formats:
            figure.savefig(out / f"{name}.{kind}", dpi=dpi)
        plt.close(figure)

    captured = {"attn_out": {}, "resid_post": {}}
    for number, layer in enumerate(model.model.decoder.layers):
        def keep(site, number=number):
            def hook(_, __, output):
                value = output[0] if isinstance(output, tuple) else output
                captured[site].setdefault(number, []).append(value.reshape(-1, value.shape[-1])[positions].numpy())
            return hook
        layer.self_attn.out_proj.register_forward_hook(keep("attn_out"))
        layer.register_forward_hook(keep("resid_post"))
    with torch.no_grad():
        for text in ids:
            model.model(torch.tensor([text]))  # without the logits

    layers, texts, each = len(model.model.decoder.layers), len(ids), len(positions)
    order = np.repeat(np.arange(texts), each)
    label = np.array([categories[t] for t in order])
    out.mkdir(exist_ok=True)
    for site, by_layer in captured.items():
        x = np.stack([np.concatenate(by_layer[i]) for i in range(layers)])
        np.save(out / f"stream-{site}.npy", x)
        norm = np.linalg.norm(x, axis=-1, keepdims=True)
        for metric, unit in (("cosine", x / norm), ("scaled_cosine", x / norm.max(axis=1, keepdims=True))):
            matrices = unit @ unit.transpose(0, 2, 1)
            np.save(out / f"{site}-{metric}.npy", matrices)
            last = matrices[:, each - 1::each, each - 1::each]
            np.save(out / f"{site}-{metric}-last.npy", last)
            for name, set_ in ((f"{site}-{metric}", matrices), (f"{site}-{metric}-last", last)):
                figure, axes = plt.subplots((layers + 3) // 4, 4, figsize=(16, 12))
                for axis, matrix in zip(axes.flat, set_):
                    image = axis.imshow(matrix, vmin=set_.min(), vmax=set_.max())
                figure.colorbar(image, ax=axes)
                save(figure, name, 100)
            same_text = order[:, None] == order[None, :]
            same = label[:, None] == label[None, :]
            off = ~np.eye(len(order), dtype=bool)
            figure, axis = plt.subplots()
            for mask in (same_text & off, same & ~same_text, ~same):
                axis.plot([m[mask].mean() for m in matrices])
            save(figure, f"similarity-{site}-{metric}", 150)
        means = x.reshape(layers, texts, each, -1).mean(2)
        groups = [means[:, [c == g for c in categories]] for g in dict.fromkeys(categories)]
        between = sum(g.shape[1] * (g.mean(1) - means.mean(1)) ** 2 for g in groups) / (len(groups) - 1)
        within = sum(((g - g.mean(1, keepdims=True)) ** 2).sum(1) for g in groups) / (texts - len(groups))
        best = np.argsort(-(between / within).max(0))[:3]
        for dimension in best:
            figure, axes = plt.subplots(1, 2, figsize=(12, 5))
            for axis in axes:
                axis.plot(x[:, :, dimension])
            axes[1].set_ylim(*np.quantile(x[:, :, dimension], [0.02, 0.98]))
            save(figure, f"stream-{site}-{dimension}", 150)


def measured(command):
    """Seconds and peak resident megabytes of a process."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                               env={k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")})
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed")
    return time.monotonic() - start, usage.ru_maxrss / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", required=True)
    parser.add_argument("--ours", default="build/examples/study")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", default="png,svg,pdf", help="formats of the peer's pictures")
    parser.add_argument("--alone", metavar="OUT", help="be the peer: write to OUT")
    args = parser.parse_args()
    if args.alone:
        peer(args.model, args.texts, pathlib.Path(args.alone), args.formats.split(","))
        return
    runs = {"ours": [], "python": []}
    with tempfile.TemporaryDirectory() as out:
        for _ in range(args.rounds):
            runs["ours"].append(measured([args.ours, "--model", args.model, "--texts", args.texts, "--out", out + "/a"]))
            runs["python"].append(measured([sys.executable, __file__, "--model", args.model, "--texts", args.texts,
                                            "--formats", args.formats, "--alone", out + "/b"]))
    time_of = {k: statistics.median(t for t, _ in v) for k, v in runs.items()}
    memory = {k: statistics.median(m for _, m in v) for k, v in runs.items()}
    for name in runs:
        print(f"{name:7} {time_of[name]:6.2f} s  {memory[name]:6.0f} MB  rounds {[round(t, 2) for t, _ in runs[name]]}")
    print(f"ratio: {time_of['python'] / time_of['ours']:.2f} times as fast, "
          f"{memory['ours'] / memory['python']:.2f} of the memory")


main()

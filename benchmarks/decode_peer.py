#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Greedy decoding of one prompt and of several: transformers in float32 and bfloat16 and CTranslate2 in float32 and int8,
beside ours, in one run.

    python benchmarks/decode_peer.py [--model opt-125m | DIR] [--ours build/benchmarks/decode] [--tokens 64] [--prompts 8]

A name makes a model of that shape with random F16 weights in a temporary folder (random_opt.py; opt-1.3b takes 2.6 GB).
Each runs as a process of its own, on as many threads as there are cores. Needs torch, transformers, numpy; ctranslate2 if
it is to be compared.
"""
import argparse
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import time


def report(name, one, several, prompts):
    print(f"{name}: {one:.1f} tokens/s, {prompts} prompts {several:.1f}", flush=True)


def transformers_peer(folder, dtype, tokens, prompts):
    import torch
    from transformers import OPTForCausalLM

    model = OPTForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    def rate(count):
        ids = torch.tensor([[2, 133, 812]] * count)
        with torch.no_grad():
            model.generate(ids, max_new_tokens=2, do_sample=False)
            start = time.perf_counter()
            model.generate(ids, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False)
        return count * tokens / (time.perf_counter() - start)

    report(f"transformers {dtype}", rate(1), rate(prompts), prompts)


def ctranslate2_peer(folder, dtype, tokens, prompts):
    import ctranslate2
    import numpy as np
    from transformers import OPTForCausalLM

    out = pathlib.Path(folder) / f"ctranslate2-{dtype}"
    if not (out / "model.bin").exists():  # as its converter does, which wants a tokenizer
        from ctranslate2.converters import transformers as convert
        loader = convert._MODEL_LOADERS["OPTConfig"]
        model = OPTForCausalLM.from_pretrained(folder)

        class words:
            def get_vocab(self):
                return {f"t{i}": i for i in range(model.config.vocab_size)}
            bos_token, eos_token, unk_token, pad_token = "t2", "t2", "t3", "t1"
        spec = loader(model, words())
        spec.validate()
        spec.optimize(quantization=None if dtype == "float32" else dtype)
        out.mkdir(exist_ok=True)
        spec.save(str(out))
    model = ctranslate2.Generator(str(out), device="cpu", compute_type=dtype, intra_threads=os.cpu_count())

    def rate(count):
        prompt = [["t2", "t133", "t812"]] * count
        start = time.perf_counter()
        model.generate_batch(prompt, max_length=tokens, min_length=tokens, include_prompt_in_result=False)
        return count * tokens / (time.perf_counter() - start)

    rate(1)
    report(f"CTranslate2 {dtype}", rate(1), rate(prompts), prompts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="opt-125m")
    parser.add_argument("--ours", default="build/benchmarks/decode")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--alone", nargs=2, metavar=("PEER", "DTYPE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        peer = {"transformers": transformers_peer, "ctranslate2": ctranslate2_peer}[given.alone[0]]
        return peer(given.model, given.alone[1], given.tokens, given.prompts)
    with tempfile.TemporaryDirectory() as scratch:
        if not pathlib.Path(given.model).is_dir():
            subprocess.run([sys.executable, pathlib.Path(__file__).parent / "random_opt.py", given.model, scratch], check=True)
            given.model = scratch
        subprocess.run([given.ours, given.model, str(given.tokens), str(given.prompts)], check=True)
        for peer, dtype in (("transformers", "float32"), ("transformers", "bfloat16"), ("ctranslate2", "float32"),
                            ("ctranslate2", "int8")):
            if peer == "ctranslate2" and importlib.util.find_spec(peer) is None:
                print("CTranslate2: not installed")
                break
            subprocess.run([sys.executable, __file__, "--alone", peer, dtype, "--model", given.model, "--tokens",
                            str(given.tokens), "--prompts", str(given.prompts)])


if __name__ == "__main__":
    main()

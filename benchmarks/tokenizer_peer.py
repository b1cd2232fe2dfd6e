# SPDX-License-Identifier: MIT
"""Hugging Face's tokenizer on the text of tokenizer_throughput, on one thread, and the ratio of the two.

    xz -dc ../shared/corpus/articles.txt.xz > articles.txt
    python benchmarks/tokenizer_peer.py --model DIR --text articles.txt --ours build/benchmarks/tokenizer_throughput --tokens build/examples/tokens

The ids of both are compared first. The text is also given to the real library in parts of 4 kB, which it processes faster than one long text.
"""
import argparse
import json
import os
import subprocess
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from transformers import AutoTokenizer


def rate(size, work, repeats=3):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return size / min(times) / 1e6


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", type=Path, required=True)
    ap.add_argument("--text", type=Path, required=True)
    ap.add_argument("--ours", type=Path, required=True, help="the program tokenizer_throughput")
    ap.add_argument("--tokens", type=Path, help="the program tokens, to compare ids")
    args = ap.parse_args()
    data = args.text.read_bytes()
    text = data.decode()
    tok = AutoTokenizer.from_pretrained(args.model)
    if args.tokens:
        ours = json.loads(subprocess.run([args.tokens, "--model", args.model, "--texts", args.text], check=True, capture_output=True).stdout)
        assert ours == tok(text)["input_ids"], "other ids"
        print(f"the same {len(ours)} ids")
    parts = [text[i:i + 4096] for i in range(0, len(text), 4096)]
    encode = tok.backend_tokenizer.encode
    peer = {"one text": rate(len(data), lambda: encode(text)), "parts of 4 kB": rate(len(data), lambda: [encode(p) for p in parts])}
    out = subprocess.run([args.ours, args.model, args.text], check=True, capture_output=True, text=True).stdout
    mine = next(float(line.split()[3]) for line in out.splitlines() if line.startswith("encode"))
    print(f"optscope: {mine:.1f} MB/s")
    for name, value in peer.items():
        print(f"tokenizers, {name}: {value:.2f} MB/s, ratio {mine / value:.1f}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""Continues a prompt of each category.

    python sample.py                       # the prompts below
    python sample.py --prompt "Enter a"    # your own
    python sample.py --work ../../../demo-work   # the first 32 tokens of held-out documents
"""
import argparse
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, OPTForCausalLM

from prepare import CATEGORIES

# None ends in white space: at the end of a text GPT-2 makes tokens of it that never occur before a word.
PROMPTS = {
    "articles": "The new exhibition opens on Friday, and visitors",
    "ml": "In this paper we study the problem of training neural networks",
    "code": "static int demo_open(struct inode *inode, struct file *file)\n{",
    "literature": "Enter the King, with Lords.\n\nKing:",
}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", type=Path, default=Path(__file__).parent)
    ap.add_argument("--work", type=Path)
    ap.add_argument("--prompt")
    ap.add_argument("--tokens", type=int, default=80)
    ap.add_argument("--each", type=int, default=1)
    ap.add_argument("--seed", type=int, default=1)
    args = ap.parse_args()
    tok = AutoTokenizer.from_pretrained(args.model)
    opt = OPTForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    torch.manual_seed(args.seed)

    prompts = []
    if args.prompt is not None:
        prompts = [("prompt", tok(args.prompt)["input_ids"])] * args.each
    elif args.work:
        for c in CATEGORIES:
            ids, ends = np.load(args.work / f"{c}.held.npy"), np.load(args.work / f"{c}.held.ends.npy")
            prompts += [(c, [2, *map(int, ids[s: s + 32])]) for s in [0, *ends[: args.each - 1]]]
    else:
        prompts = [(c, tok(p)["input_ids"]) for c, p in PROMPTS.items() for _ in range(args.each)]
    for c, ids in prompts:
        with torch.no_grad():
            out = opt.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=True,
                               temperature=0.8, top_p=0.9, top_k=0, max_new_tokens=args.tokens, pad_token_id=1)
        print(f"=== {c}\n{tok.decode(ids[1:])}⟦{tok.decode(out[0, len(ids):])}⟧\n", flush=True)


if __name__ == "__main__":
    main()

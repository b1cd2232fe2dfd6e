#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden files of greedy generation with the real transformers, in float64.

    python tests/goldens/generate/make_generate_goldens.py

writes, for each model of tests/goldens/model with positions enough and for the demo model, NAME-prompts.json and NAME-ids.json: lists of token
ids, the second what `generate` adds to the first, `</s>` included. Prompts are kept only if the two largest logits of
every step differ by more than a thousandth of the largest, so that rounding cannot change a choice. Needs torch and
transformers.
"""
import json
import pathlib

import torch
from transformers import OPTForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
LENGTHS = [1, 2, 7, 33, 150, 5, 1, 12]
NEW = 24


@torch.no_grad()
def continuation(model, prompt):
    out = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                         do_sample=False, num_beams=1, max_new_tokens=NEW, min_new_tokens=None,
                         return_dict_in_generate=True, output_logits=True)
    gap = 1.0
    for logits in out.logits:
        best = logits[0].double().topk(2).values
        gap = min(gap, ((best[0] - best[1]) / logits.abs().max()).item())
    return out.sequences[0, len(prompt):].tolist(), gap


def main():
    table = json.loads((PROJECT / "tests/goldens/table.json").read_text())["rows"]
    folders = sorted(PROJECT / "tests/goldens/model" / row["name"] for row in table
                     if row.get("config", {}).get("max_position_embeddings", 0) > max(LENGTHS) + NEW)
    for folder in folders + [PROJECT / "examples/demo-model"]:
        model = OPTForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
        torch.manual_seed(1)
        vocabulary = min(model.config.vocab_size, 50265)
        prompts, continuations, ended = [], [], 0
        for length in LENGTHS:
            for attempt in range(200):
                prompt = [2] + torch.randint(4, vocabulary, (length - 1,)).tolist()
                if length == 1:
                    prompt = torch.randint(4, vocabulary, (1,)).tolist()
                new, gap = continuation(model, prompt)
                if gap > 1e-3:
                    break
            else:
                raise SystemExit(f"{folder.name}: no prompt of {length} tokens without a near tie")
            prompts.append(prompt)
            continuations.append(new)
            ended += len(new) < NEW
        print(folder.name, "stopped early:", ended, "different ids:", len({i for c in continuations for i in c}))
        for what, lists in (("prompts", prompts), ("ids", continuations)):
            (HERE / f"{folder.name}-{what}.json").write_text(json.dumps(lists) + "\n")


if __name__ == "__main__":
    main()

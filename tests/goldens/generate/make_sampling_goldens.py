# SPDX-License-Identifier: MIT
"""Makes sampling.json: what transformers 5 draws the next token from, with `do_sample` in generation_config.json, in float64.

    python tests/goldens/generate/make_sampling_goldens.py
"""
import json
import pathlib

import torch
from transformers import GenerationConfig, OPTForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
PROMPT = [2, 51, 67, 51, 67]
CASES = [
    {}, {"temperature": 0.7}, {"temperature": 3.0, "top_k": 0}, {"top_k": 3}, {"top_k": 1}, {"top_k": 500}, {"top_p": 0.9}, {"top_p": 0.3, "top_k": 0},
    {"top_p": 1e-6}, {"temperature": 0.4, "top_k": 7, "top_p": 0.8}, {"temperature": 2.5, "top_k": 20, "top_p": 0.95},
    {"repetition_penalty": 1.8}, {"repetition_penalty": 0.6, "temperature": 1.5, "top_k": 5}, {"no_repeat_ngram_size": 2, "top_k": 6},
    {"suppress_tokens": [51, 67], "top_p": 0.5}, {"begin_suppress_tokens": [67], "temperature": 0.5, "top_k": 4},
    {"bad_words_ids": [[51], [51, 67, 65]], "repetition_penalty": 1.3, "temperature": 1.7, "top_k": 9, "top_p": 0.7},
]


def main():
    model = OPTForCausalLM.from_pretrained(HERE.parents[1] / "goldens/model/head-dim-64", dtype=torch.float64, attn_implementation="eager").eval()
    ids, cases = torch.tensor([PROMPT]), []
    for values in CASES:
        values = {"do_sample": True, **values}
        torch.manual_seed(0)
        scores = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=GenerationConfig(**values), max_new_tokens=2,
                                output_scores=True, return_dict_in_generate=True).scores[0][0]
        p = torch.softmax(scores.double(), 0)
        cases.append({"settings": json.dumps(values), "kept": [[i, float(p[i])] for i in range(len(p)) if scores[i] > -torch.inf]})
    (HERE / "sampling.json").write_text(json.dumps({"prompts": [PROMPT], "cases": cases}) + "\n")


if __name__ == "__main__":
    main()

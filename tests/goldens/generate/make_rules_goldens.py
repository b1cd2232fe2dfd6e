# SPDX-License-Identifier: MIT
"""Makes rules.json: what transformers 5 generates with settings in generation_config.json and config.json, in float64.

    python tests/goldens/generate/make_rules_goldens.py
"""
import json
import pathlib
import shutil
import tempfile

import torch
from transformers import OPTForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parents[1] / "goldens/model/head-dim-64"
PROMPTS, NEW = [[2, 5, 6], [2, 51, 67, 51, 67]], 12
NONE = None  # no generation_config.json
CASES = {
    "no file": (NONE, {}), "no file, several eos in config.json": (NONE, {"eos_token_id": [2, 67]}), "no file, no eos": (NONE, {"eos_token_id": None}),
    "eos": ({"eos_token_id": 51}, {}), "several eos": ({"eos_token_id": [2, 67]}, {}), "eos null": ({"eos_token_id": None}, {"eos_token_id": 51}),
    "eos absent": ({"pad_token_id": 1}, {"eos_token_id": 51}), "penalty": ({"repetition_penalty": 1.5}, {}),
    "penalty in config.json": (NONE, {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2}),
    "config.json does not count beside the file": ({}, {"repetition_penalty": 1.5, "suppress_tokens": [51]}),
    "reward": ({"repetition_penalty": 0.7}, {}), "single ids once": ({"no_repeat_ngram_size": 1}, {}), "pairs once": ({"no_repeat_ngram_size": 2}, {}),
    "triples once": ({"no_repeat_ngram_size": 3}, {}), "suppressed": ({"suppress_tokens": [51, 67]}, {}),
    "suppressed at the beginning": ({"begin_suppress_tokens": [51, 67, -1]}, {}), "bad words": ({"bad_words_ids": [[67], [51, 51], [5, 6, 65]]}, {}),
    "eos is no bad word": ({"eos_token_id": 67, "bad_words_ids": [[67], [51]]}, {}), "forced": ({"forced_eos_token_id": 2}, {}),
    "several forced": ({"forced_eos_token_id": [9, 7]}, {}), "all": ({"forced_eos_token_id": 9, "suppress_tokens": [51], "bad_words_ids": [[67, 67]],
                                                                       "repetition_penalty": 1.2, "no_repeat_ngram_size": 2}, {}),
}


def main():
    cases = {}
    for name, (generation, config) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder) / "model"
            shutil.copytree(MODEL, folder)
            files = {"config.json": json.dumps({**json.loads((folder / "config.json").read_text()), **config})}
            if generation is not None:
                files["generation_config.json"] = json.dumps(generation)
            for file, content in files.items():
                (folder / file).write_text(content)
            model = OPTForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
            ids = [model.generate(torch.tensor([p]), attention_mask=torch.ones(1, len(p), dtype=torch.long), max_new_tokens=NEW)[0, len(p):].tolist()
                   for p in PROMPTS]
        cases[name] = {"files": files, "ids": ids}
    (HERE / "rules.json").write_text(json.dumps({"prompts": PROMPTS, "new": NEW, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""What one point of isolate's curves costs with PyTorch hooks on transformers' OPT: isolate_peer.py MODEL_DIR

A third of the neurons zeroed by forward hooks, the loss of 4 x 512 tokens, 48 prompts of 32 tokens continued by 64 at
temperature 0.8 and top-p 0.9. For comparison: the time of `isolate --shares N --keep code` over four categories, divided by
its 12 N points and about 40 more.
"""

import sys
import time

import torch
from transformers import OPTForCausalLM

torch.set_grad_enabled(False)
torch.manual_seed(0)
model = OPTForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
config = model.config
for layer in model.model.decoder.layers:
    kept = (torch.rand(config.ffn_dim) > 0.33).float()
    layer.fc2.register_forward_pre_hook(lambda _, inputs, kept=kept: (inputs[0] * kept,))

begin = time.time()
held_back = torch.randint(4, config.vocab_size, (8, 256))
logits = model(held_back).logits
loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), held_back[:, 1:].flatten())
prompts = torch.randint(4, config.vocab_size, (48, 32))
model.generate(prompts, attention_mask=torch.ones_like(prompts), do_sample=True, temperature=0.8, top_p=0.9, top_k=0,
               min_new_tokens=64, max_new_tokens=64, pad_token_id=1)
print(f"{torch.get_num_threads()} threads: {time.time() - begin:.2f} s a point")

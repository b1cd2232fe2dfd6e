# SPDX-License-Identifier: MIT
"""Trains the demo model on the token files that prepare.py wrote; started again, it resumes where it stopped.

    python train.py --work ../../../demo-work --hours 2

The model is OPT's: learned positions, layer norms before each block, ReLU, biases everywhere, embedding tied to the output. The rate
follows the time spent in training, not a number of steps: a short warm-up, a plateau, and a straight line to zero over the last 40 %.
"""
import argparse
import json
import math
import os
import queue
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from prepare import CATEGORIES, token_bytes

VOCAB, HIDDEN, LAYERS, HEADS, FFN, POSITIONS, BOS = 4096, 256, 8, 8, 1024, 1024, 2


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(HIDDEN), nn.LayerNorm(HIDDEN)
        self.qkv, self.out = nn.Linear(HIDDEN, 3 * HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.fc1, self.fc2 = nn.Linear(HIDDEN, FFN), nn.Linear(FFN, HIDDEN)

    def forward(self, h):  # (batch, token, hidden)
        b, t, _ = h.shape
        q, k, v = self.qkv(self.ln1(h)).view(b, t, 3, HEADS, HIDDEN // HEADS).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.out(a.transpose(1, 2).reshape(b, t, HIDDEN))
        return h + self.fc2(F.relu(self.fc1(self.ln2(h)), inplace=True))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCAB, HIDDEN)
        self.positions = nn.Embedding(POSITIONS, HIDDEN)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln = nn.LayerNorm(HIDDEN)
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(p)
            elif "out.weight" in name or "fc2.weight" in name:
                nn.init.zeros_(p)  # every block begins as the identity
            elif "qkv" in name or "fc1" in name:
                nn.init.normal_(p, std=0.5 / math.sqrt(HIDDEN))
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions.weight, std=0.01)

    def last_hidden(self, ids):
        h = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            h = block(h)
        return self.ln(h)  # (batch, token, hidden)

    def forward(self, ids):
        return F.linear(self.last_hidden(ids), self.tokens.weight)  # (batch, token, vocabulary)


class TiedLoss(torch.autograd.Function):
    """Mean cross-entropy of h times w transposed, with its gradients, a few rows at a time: the logits never exist all at once."""

    @staticmethod
    def forward(ctx, h, w, y, chunk=512):  # (token, hidden), (vocabulary, hidden), (token)
        dh, dw, loss = torch.empty_like(h), torch.zeros_like(w), 0.0
        for i in range(0, len(h), chunk):
            hc, yc = h[i: i + chunk], y[i: i + chunk, None]
            p = hc @ w.T
            p.sub_(p.amax(1, keepdim=True))
            loss = loss - p.gather(1, yc).sum()
            total = p.exp_().sum(1, keepdim=True)
            loss = loss + total.log().sum()
            p.div_(total).scatter_add_(1, yc, torch.full_like(total, -1.0))
            torch.mm(p, w, out=dh[i: i + chunk])
            dw.addmm_(p.T, hc)
        ctx.save_for_backward(dh, dw)
        return loss / len(h)

    @staticmethod
    def backward(ctx, g):
        dh, dw = ctx.saved_tensors
        scale = g / len(dh)
        return dh * scale, dw * scale, None, None


class Muon:
    """Momentum made orthogonal by a Newton-Schulz iteration (Jordan et al. 2024); matrices of a shape are done in one batch."""

    def __init__(self, model, momentum=0.95, decay=0.1):
        self.momentum, self.decay, self.groups = momentum, decay, {}
        for b in model.blocks:
            for p in (b.qkv.weight, b.out.weight, b.fc1.weight, b.fc2.weight):
                self.groups.setdefault(tuple(p.shape), []).append(p)
        self.buffers = {s: torch.zeros(len(ps), *s) for s, ps in self.groups.items()}

    @staticmethod
    def orthogonal(g, steps=5):  # (matrix, row, column), row <= column
        x = g
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        for _ in range(steps):
            a = x @ x.mT
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
        return x

    @torch.no_grad()
    def step(self, shape, rate):
        params = self.groups[shape]
        g = torch.stack([p.grad for p in params])
        m = self.buffers[shape].lerp_(g, 1 - self.momentum)
        u = g.lerp(m, self.momentum)  # Nesterov
        rows, cols = shape
        if rows == 3 * cols:  # q, k and v are three matrices
            u = self.orthogonal(u.view(-1, cols, cols)).view(-1, rows, cols)
        elif rows > cols:
            u = self.orthogonal(u.mT).mT * math.sqrt(rows / cols)
        else:
            u = self.orthogonal(u)
        torch._foreach_mul_(params, 1 - rate * self.decay)
        torch._foreach_add_(params, list(u.unbind(0)), alpha=-rate)


class Category:
    """The training documents of one category, as windows in an order that depends only on the seed and on how many were drawn."""

    def __init__(self, work, name, number):
        self.ids = np.load(work / f"{name}.train.npy", mmap_mode="r")
        self.ends = np.load(work / f"{name}.train.ends.npy")
        self.starts = np.concatenate([[0], self.ends[:-1]])
        self.number, self.cache = number, {}

    def order(self, kind, epoch, length):
        key = (kind, length)
        if self.cache.get(key, (None,))[0] != epoch:
            rng = np.random.default_rng([self.number, epoch, length, kind])
            if kind == 0:  # windows: each document is cut with another offset in every epoch
                phase = rng.integers(0, length, len(self.ends)) * (rng.random(len(self.ends)) < 0.7)
                rows = []
                for s, e, f in zip(self.starts, self.ends, phase):
                    cuts = np.concatenate([[s], np.arange(s + f if f else s + length, e, length), [e]])
                    rows.append(np.stack([cuts[:-1], cuts[1:]], 1))
                rows = np.concatenate(rows)
                rows = rows[rows[:, 1] - rows[:, 0] >= 16]
            else:  # beginnings of documents
                rows = np.stack([self.starts, np.minimum(self.ends, self.starts + length)], 1)
            self.cache[key] = (epoch, rng.permutation(rows))
        return self.cache[key][1]

    def take(self, kind, length, counters):
        at, epoch = counters.get(f"{self.number}.{kind}.{length}", (0, 0))
        rows = self.order(kind, epoch, length)
        if at >= len(rows):
            at, epoch = 0, epoch + 1
            rows = self.order(kind, epoch, length)
        counters[f"{self.number}.{kind}.{length}"] = (at + 1, epoch)
        return self.ids[rows[at, 0]: rows[at, 1]]

    def sequence(self, length, rng, counters):
        """BOS and `length` more tokens; after a short document, BOS and the beginning of another one fill the window."""
        out = np.full(length + 1, BOS, np.int64)
        part = self.take(int(rng.random() < 0.15), length, counters)
        at = 1
        while True:
            n = min(len(part), length + 1 - at)
            out[at: at + n] = part[:n]
            at += n + 1  # leaves a BOS
            if at > length:
                return out
            part = self.take(1, length, counters)


def held_windows(work, length=512, count=16):
    """Windows at even distances over the held-out documents of each category; always the same."""
    out = {}
    for c in CATEGORIES:
        ids = np.load(work / f"{c}.held.npy").astype(np.int64)
        at = np.linspace(0, len(ids) - length, count).astype(int)
        rows = np.stack([np.concatenate([[BOS], ids[a: a + length]]) for a in at])
        out[c] = torch.from_numpy(rows)
    return out


def evaluate(logits_of, windows, nbytes, batch=2):
    """Mean loss of each category, in nats per token and in bits per byte."""
    result = {}
    for c, rows in windows.items():
        total = 0.0
        for part in rows.split(batch):
            with torch.no_grad():
                logits = logits_of(part[:, :-1])
            total += F.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum").item()
        y = rows[:, 1:]
        result[c] = (total / y.numel(), total / math.log(2) / int(nbytes[y].sum()))
    return result


def rate_factor(share):
    """share: elapsed share of the training time, 0 to 1."""
    return min(1.0, max(0.0, 1 - share) / 0.4)


def save(path, state):
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", type=Path, required=True)
    ap.add_argument("--hours", type=float, default=2.0, help="total training time, over all starts")
    ap.add_argument("--batch-tokens", type=int, default=4096)
    ap.add_argument("--muon-rate", type=float, default=0.015)
    ap.add_argument("--adam-rate", type=float, default=0.0025)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--steps", type=int, default=0, help="stop after this many steps (for trials)")
    args = ap.parse_args()
    torch.set_num_threads(1)  # the threads take parts of the batch instead, so that none waits for another within a step
    torch.manual_seed(args.seed)

    model = Model()
    muon = Muon(model)
    hidden = {id(p) for ps in muon.groups.values() for p in ps}
    others = [p for p in model.parameters() if id(p) not in hidden]
    adam = torch.optim.AdamW([{"params": [p for p in others if p.dim() == 2], "weight_decay": 0.01},
                              {"params": [p for p in others if p.dim() == 1], "weight_decay": 0.0}],
                             lr=args.adam_rate, betas=(0.9, 0.95), fused=True)
    ema = {k: v.detach().clone() for k, v in model.named_parameters()}
    step, tokens, spent, counters = 0, 0, 0.0, {}
    checkpoint, log = args.work / "checkpoint.pt", args.work / "log.jsonl"
    if checkpoint.exists():
        s = torch.load(checkpoint)
        model.load_state_dict(s["model"])
        adam.load_state_dict(s["adam"])
        muon.buffers, ema = s["muon"], s["ema"]
        step, tokens, spent, counters = s["step"], s["tokens"], s["spent"], s["counters"]
        print(f"resuming at step {step}, {spent / 3600:.2f} hours", flush=True)

    data = [Category(args.work, c, i) for i, c in enumerate(CATEGORIES)]
    windows, nbytes = held_windows(args.work), torch.from_numpy(token_bytes(args.work))

    # Every thread has its own gradients, on shared weights.
    pool = ThreadPoolExecutor(args.threads, initializer=torch.set_num_threads, initargs=(1,))
    replicas, free = [model], queue.Queue()
    for _ in range(args.threads - 1):
        replicas.append(Model())
        for p, q in zip(replicas[-1].parameters(), model.parameters()):
            p.data = q.data
    for r in replicas:
        free.put(r)

    def gradients(part):
        m = free.get()
        h = m.last_hidden(part[:, :-1])
        loss = TiedLoss.apply(h.flatten(0, 1), m.tokens.weight, part[:, 1:].flatten())
        loss.backward()
        free.put(m)
        return loss.item()

    def state():
        return {"model": model.state_dict(), "ema": ema, "adam": adam.state_dict(), "muon": muon.buffers, "step": step,
                "tokens": tokens, "spent": spent, "counters": counters}

    def report():
        entry = {"step": step, "tokens": tokens, "hours": round(spent / 3600, 4), "train": round(mean, 4)}
        averaged = Model()
        averaged.load_state_dict(ema)
        for label, m in (("held", model), ("held_ema", averaged)):
            jobs = {c: pool.submit(evaluate, m, {c: w}, nbytes) for c, w in windows.items()}
            entry[label] = {c: round(j.result()[c][0], 4) for c, j in jobs.items()}
        with log.open("a") as f:
            f.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), flush=True)

    stop = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.append(1))
    mean, bad = 0.0, 0
    last_save = last_eval = last_print = time.monotonic()
    budget, clock = args.hours * 3600, time.monotonic()
    while spent < budget and not (args.steps and step >= args.steps):
        share = spent / budget
        rng = np.random.default_rng([args.seed, step])
        # 15 % of the steps (half of those in the last third) have 1024 positions; all steps have the same number of tokens.
        length = 1024 if rng.random() < (0.15 if share < 2 / 3 else 0.5) else 512
        each = max(1, args.batch_tokens // length // len(CATEGORIES))
        rows = torch.from_numpy(np.stack([c.sequence(length, rng, counters) for c in data for _ in range(each)]))
        parts = rows.split(max(1, 1024 // length))  # small parts stay in the cache
        value = sum(pool.map(gradients, parts)) / len(parts)
        for p, *copies in zip(*(r.parameters() for r in replicas)):
            for g in (q.grad for q in copies if q.grad is not None):
                p.grad = g if p.grad is None else p.grad.add_(g)
            p.grad /= len(parts)
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if math.isfinite(value) and math.isfinite(norm.item()):
            bad = 0
            factor = rate_factor(share) * min(1.0, (step + 1) / 100)
            muon.momentum = 0.85 + 0.10 * min(1.0, step / 300)
            for g in adam.param_groups:
                g["lr"] = args.adam_rate * factor
            jobs = [pool.submit(muon.step, shape, args.muon_rate * factor) for shape in muon.groups] + [pool.submit(adam.step)]
            for j in jobs:
                j.result()
            mean = value if mean == 0 else 0.98 * mean + 0.02 * value
            if step % 8 == 0:
                keep = min(0.94, step / (step + 40))
                torch._foreach_lerp_(list(ema.values()), [p.detach() for p in model.parameters()], 1 - keep)
        else:
            bad += 1
            print(f"step {step}: loss {value}, gradient {norm}; skipped", flush=True)
            if bad >= 10:
                raise SystemExit("ten steps without a finite loss; the last checkpoint is good")
        for r in replicas:
            r.zero_grad(set_to_none=True)
        step += 1
        tokens += rows.shape[0] * length
        now = time.monotonic()
        spent, clock = spent + now - clock, now
        if now - last_print > 20:
            print(f"step {step} tokens {tokens / 1e6:.2f}M hours {spent / 3600:.3f} loss {mean:.4f} norm {norm:.2f}", flush=True)
            last_print = now
        if now - last_eval > 480:
            report()
            last_eval = now
        if (now - last_save > 180 or stop) and bad == 0:
            save(checkpoint, state())
            last_save = now
        if stop:
            print(f"stopped at step {step}; the same command resumes", flush=True)
            return
    if args.steps:
        print(f"{step} steps, {tokens / spent:.0f} tokens/s, loss {mean:.4f}", flush=True)
        return
    save(checkpoint, state())
    report()


if __name__ == "__main__":
    main()

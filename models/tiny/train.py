"""Trains the decoder on the corpus, on the CPU.

    python train.py corpus.jsonl RUN_DIR [--steps N] [--minutes M]

Most steps have one document in a row, where no other document's names stand in the way of looking up the right one; every
fourth has rows of 512 or 2048 tokens packed with documents, so that long contexts work and every position of the rotary
cache is trained. With --minutes the learning rate falls by the clock when the steps alone would take longer;
without it the run depends on the seed alone.
"""
import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional as F

from model import Config, Decoder
from tokenizer import END_OF_TEXT, document_text

# How long the rows of one step after the other are, over and over; zero is one document in a row.
LENGTHS = (0, 0, 0, 512, 0, 0, 0, 2048)
# Documents sorted by length together before they are cut into batches, so that little of a batch is padding.
SORT_TOGETHER = 1024
IGNORED = -100
WARMUP_STEPS = 60
# How much more a word counts that a story has to remember: there are few of them, and they are what is hard to learn.
WORD_WEIGHT = 4.0
CLIP = 1.0


def encode(corpus: Path, tokenizer: Tokenizer) -> list[np.ndarray]:
    texts = [document_text(json.loads(line)) for line in corpus.open(encoding="utf-8")]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]


def width_of(document: np.ndarray) -> int:
    """A row's length for a document; few different ones, because each new shape costs the matrix library time."""
    return -(-len(document) // 16) * 16


class Batches:
    """Cuts the documents into batches: of single documents, or of rows packed with them."""

    def __init__(self, documents: list[np.ndarray], end: int, seed: int) -> None:
        self.documents, self.end = documents, end
        self.random = np.random.default_rng(seed)
        self.next = 0
        self.ready: list[list[np.ndarray]] = []

    def take(self) -> np.ndarray:
        self.next += 1
        return self.documents[(self.next - 1) % len(self.documents)]

    def singles(self, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """About `tokens` tokens in rows of one document each, ended by the next one's first token, padded on the right."""
        if not self.ready:
            together = sorted((self.take() for _ in range(SORT_TOGETHER)), key=len)
            while together:
                rows = max(1, tokens // width_of(together[-1]))
                self.ready.append(together[-rows:])
                del together[-rows:]
            self.random.shuffle(self.ready)
        rows = self.ready.pop()
        ids = np.full((len(rows), width_of(rows[-1]) + 1), self.end, dtype=np.int64)
        targets = np.full(ids.shape, IGNORED, dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            targets[index, : len(row) + 1] = ids[index, : len(row) + 1]
        return torch.from_numpy(ids[:, :-1].copy()), torch.from_numpy(targets[:, 1:].copy())

    def packed_row(self, length: int) -> np.ndarray:
        """A row that begins with a document's start; the document that it cuts off begins the next row."""
        parts: list[np.ndarray] = []
        have = 0
        while have < length:
            parts.append(self.take())
            have += len(parts[-1])
        if have > length and len(parts) > 1:
            self.next -= 1
        return np.concatenate(parts)[:length]

    def packed(self, tokens: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = np.stack([self.packed_row(length + 1) for _ in range(max(1, tokens // length))])
        return torch.from_numpy(rows[:, :-1].copy()), torch.from_numpy(rows[:, 1:].copy())


def make_optimizers(model: Decoder, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for the embedding and the norms."""
    matrices = [p for p in model.blocks.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if all(p is not m for m in matrices)]
    muon = torch.optim.Muon(matrices, lr=rate * 4, weight_decay=0.01, momentum=0.95)
    adam = torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.95), weight_decay=0.0)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return [muon, adam]


def token_weights(words: Path | None, tokenizer: Tokenizer, vocab_size: int) -> torch.Tensor | None:
    if words is None:
        return None
    weights = torch.ones(vocab_size)
    for word in words.read_text(encoding="utf-8").split():
        for text in (word, f" {word}"):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            if len(ids) == 1:
                weights[ids[0]] = WORD_WEIGHT
    return weights


def rate_at(progress: float, step: int) -> float:
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def save(model: Decoder, run: Path, step: int, seen: int, loss: float, documents: int) -> None:
    state = {
        "config": model.config.to_dict(), "weights": model.state_dict(),
        "step": step, "seen": seen, "loss": loss, "documents": documents,
    }
    torch.save(state, run / "checkpoint.tmp")
    (run / "checkpoint.tmp").replace(run / "checkpoint.pt")


def train(model: Decoder, batches: Batches, weights: torch.Tensor | None, options: argparse.Namespace) -> None:
    optimizers = make_optimizers(model, options.rate)
    start = saved = time.monotonic()
    step, progress, seen, mean = 0, 0.0, 0, 0.0
    if options.resume:
        state = torch.load(options.run / "checkpoint.pt", weights_only=True)
        model.load_state_dict(state["weights"])
        step, seen, mean, batches.next = state["step"], state["seen"], state["loss"], state["documents"]
        progress = step / options.steps
    while progress < 1:
        length = LENGTHS[step % len(LENGTHS)]
        tokens = options.batch_tokens
        ids, targets = batches.packed(tokens, length) if length else batches.singles(tokens)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.bf16):
            logits = model(ids)
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), weights, ignore_index=IGNORED)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * rate_at(progress, step)
            optimizer.step()
            optimizer.zero_grad()
        step, seen = step + 1, seen + int((targets != IGNORED).sum())
        mean = loss.item() if step == 1 else 0.95 * mean + 0.05 * loss.item()
        elapsed = time.monotonic() - start
        progress = max(step / options.steps, elapsed / (60 * options.minutes) if options.minutes else 0.0)
        if step % 20 == 0 or progress >= 1:
            print(f"step {step} loss {mean:.4f} tokens {seen} {seen / elapsed:.0f}/s {elapsed:.0f} s", flush=True)
        if time.monotonic() - saved > 120 or progress >= 1:
            save(model, options.run, step, seen, mean, batches.next)
            saved = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=Path)
    parser.add_argument("run", type=Path, help="holds tokenizer.json; gets checkpoint.pt")
    parser.add_argument("--words", type=Path, help="from `make-corpus words`: words that count more")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--resume", action="store_true", help="go on from RUN_DIR/checkpoint.pt, with fresh momentum")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-bf16", dest="bf16", action="store_false")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    tokenizer = Tokenizer.from_file(str(options.run / "tokenizer.json"))
    documents = encode(options.corpus, tokenizer)
    # A multiple of 32 suits the quantizer's blocks; the ids past the tokenizer's own are never used.
    model = Decoder(Config(vocab_size=-(-tokenizer.get_vocab_size() // 32) * 32))
    total, used = sum(map(len, documents)), sum(p.numel() for p in model.parameters())
    print(f"{len(documents)} documents, {total} tokens, {used} parameters", flush=True)
    batches = Batches(documents, tokenizer.token_to_id(END_OF_TEXT), options.seed)
    train(model, batches, token_weights(options.words, tokenizer, model.config.vocab_size), options)


if __name__ == "__main__":
    main()

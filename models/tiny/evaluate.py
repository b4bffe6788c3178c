"""Lets the exported files write stories and answers, for `check-stories` to judge.

    python evaluate.py MODEL_DIR questions.jsonl samples.jsonl [--files model.onnx model_q4.onnx] [--stories 200]

Groups, for each file: stories sampled at temperature 0.8 from "Once upon a time" and from the chat request "Tell me a
story.", greedy stories from a few openings and requests, and answers to questions about stories (from `make-corpus
questions`).
"""
import argparse
import json
import os
from pathlib import Path

# Before onnxruntime is loaded: it would report the load otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from tokenizer import render

OPENINGS = ["Once upon a time", "Once upon a time,", "Long ago", "There was once a", "This is a story about a"]
REQUESTS = [
    "Tell me a story.", "Write a short story.", "Tell me a story about Mia.", "Tell me a story about Tom and a red kite.",
    "Tell me a story about a fox.", "Can you tell me a story about a girl named Rosa?",
]
SYSTEM = {"role": "system", "content": "You are a storyteller."}


class Writer:
    def __init__(self, folder: Path, file: str) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = json.loads((folder / "config.json").read_text())
        self.ends = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
        self.limit = config["max_position_embeddings"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self.session = onnxruntime.InferenceSession(str(folder / "onnx" / file), options, ["CPUExecutionProvider"])
        self.pasts = [i for i in self.session.get_inputs() if i.name.startswith("past")]
        self.shape = (config["num_key_value_heads"], 0, config["head_dim"])

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def write(self, prompt: list[int], rows: int, most: int, choose) -> list[str]:
        """Continues one prompt in several rows at once; `choose` picks each row's next token from its logits."""
        half = self.pasts[0].type == "tensor(float16)"
        empty = np.zeros((rows, *self.shape), dtype=np.float16 if half else np.float32)
        past = [empty] * len(self.pasts)
        ids = np.repeat(np.array([prompt], dtype=np.int64), rows, axis=0)
        written: list[list[int]] = [[] for _ in range(rows)]
        open_rows, length = set(range(rows)), len(prompt)
        while open_rows and length <= self.limit and len(written[min(open_rows)]) < most:
            feed = {i.name: p for i, p in zip(self.pasts, past)}
            mask = np.ones((rows, length), dtype=np.int64)
            logits, *past = self.session.run(None, {**feed, "input_ids": ids, "attention_mask": mask})
            chosen = choose(logits[:, -1].astype(np.float64))
            for row in list(open_rows):
                if chosen[row] in self.ends:
                    open_rows.discard(row)
                else:
                    written[row].append(int(chosen[row]))
            ids, length = chosen[:, None].astype(np.int64), length + 1
        return [self.tokenizer.decode(row) for row in written]


def sampler(temperature: float, seed: int):
    random = np.random.default_rng(seed)

    def choose(logits: np.ndarray) -> np.ndarray:
        # The largest of logits with Gumbel noise is a sample of their softmax.
        return (logits / temperature + random.gumbel(size=logits.shape)).argmax(-1)

    return choose


def greedy(logits: np.ndarray) -> np.ndarray:
    return logits.argmax(-1)


def chat_ids(writer: Writer, messages: list[dict]) -> list[int]:
    return writer.encode(render(messages) + "<|im_start|>assistant\n")


def samples(writer: Writer, file: str, questions: list[dict], options: argparse.Namespace):
    bos = writer.encode("<|endoftext|>")
    request = [{"role": "user", "content": REQUESTS[0]}]
    for name, ids, start in (
        ("sampled", bos + writer.encode(OPENINGS[0]), OPENINGS[0]),
        ("sampled in a chat", chat_ids(writer, request), ""),
    ):
        for text in writer.write(ids, options.stories, 400, sampler(options.temperature, options.seed)):
            yield {"group": f"{file}: {name}", "text": start + text}
    for prompt in OPENINGS:
        text = writer.write(bos + writer.encode(prompt), 1, 400, greedy)[0]
        yield {"group": f"{file}: greedy", "text": prompt + text}
    for request in REQUESTS:
        for messages in ([], [SYSTEM]):
            ids = chat_ids(writer, [*messages, {"role": "user", "content": request}])
            yield {"group": f"{file}: greedy chat story", "text": writer.write(ids, 1, 400, greedy)[0]}
    for question in questions:
        text = writer.write(chat_ids(writer, question["messages"]), 1, 60, greedy)[0]
        yield {"group": f"{file}: answers", "text": text, "answer": question["answer"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--files", nargs="+", default=["model.onnx", "model_q4.onnx"])
    parser.add_argument("--stories", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    questions = [json.loads(line) for line in options.questions.open(encoding="utf-8")]
    with options.out.open("w", encoding="utf-8") as out:
        for file in options.files:
            for sample in samples(Writer(options.model, file), file, questions, options):
                out.write(json.dumps(sample, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

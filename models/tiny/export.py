"""Writes the trained decoder in the Hugging Face layout: configuration, tokenizer and the ONNX files.

    python export.py RUN_DIR OUT_DIR
"""
import json
import os
import shutil
import sys
from pathlib import Path

# Before onnxruntime is loaded: it would report the load otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import jinja2
import numpy as np
import onnx
import onnxruntime
import torch
from tokenizers import Tokenizer

from graph import PRECISIONS, Graph
from model import Config, Decoder, rope_cache
from tokenizer import CHAT_TEMPLATE, END_OF_TEXT, IM_END, PAD, render

TOLERANCE = 1e-4


def model_config(config: Config, tokenizer: Tokenizer) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": tokenizer.token_to_id(END_OF_TEXT),
        "eos_token_id": tokenizer.token_to_id(IM_END),
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": config.ff_size,
        "max_position_embeddings": config.max_positions,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "num_key_value_heads": config.kv_heads,
        "pad_token_id": tokenizer.token_to_id(PAD),
        "pretraining_tp": 1,
        "rms_norm_eps": config.norm_eps,
        "rope_scaling": None,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "transformers.js_config": {"kv_cache_dtype": {"fp16": "float16", "q4f16": "float16"}},
        "use_cache": True,
        "vocab_size": config.vocab_size,
    }


def generation_config(tokenizer: Tokenizer) -> dict:
    return {
        "bos_token_id": tokenizer.token_to_id(END_OF_TEXT),
        "do_sample": True,
        "eos_token_id": [tokenizer.token_to_id(IM_END), tokenizer.token_to_id(END_OF_TEXT)],
        "pad_token_id": tokenizer.token_to_id(PAD),
        "temperature": 0.8,
        "top_p": 1.0,
    }


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def check_template() -> None:
    """Training renders chats in Python, everybody else with the Jinja text: they must be the same."""
    messages = [{"role": role, "content": f"a {role} says\n\nso"} for role in ("system", "user", "assistant")]
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    rendered = environment.from_string(CHAT_TEMPLATE).render(messages=messages, bos_token=END_OF_TEXT)
    assert rendered == render(messages), rendered


class Session:
    """A file in ONNX Runtime, fed with tokens, a mask and the cache that the last run left."""

    def __init__(self, file: Path, config: Config) -> None:
        self.session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self.inputs = [i for i in self.session.get_inputs() if i.name.startswith("past")]
        self.config = config

    def empty(self, rows: int) -> list[np.ndarray]:
        kind = np.float16 if "float16" in self.inputs[0].type else np.float32
        return [np.zeros((rows, self.config.kv_heads, 0, self.config.head_dim), dtype=kind)] * len(self.inputs)

    def run(self, ids: np.ndarray, mask: np.ndarray, past: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        feed = {i.name: value for i, value in zip(self.inputs, past)}
        logits, *present = self.session.run(None, {**feed, "input_ids": ids, "attention_mask": mask})
        return logits.astype(np.float32), present


def check_logits(model: Decoder, file: Path) -> float:
    """The largest difference between torch's logits and the file's, over a prefill and over single steps."""
    ids = np.random.default_rng(1).integers(0, model.config.vocab_size, (1, 40))
    expected = model(torch.from_numpy(ids)).detach().numpy()
    session, mask = Session(file, model.config), np.ones((1, 40), dtype=np.int64)
    past = session.empty(1)
    worst = float(np.abs(session.run(ids, mask, past)[0] - expected).max())
    for at in range(ids.shape[1]):
        logits, past = session.run(ids[:, at : at + 1], mask[:, : at + 1], past)
        worst = max(worst, float(np.abs(logits[:, 0] - expected[:, at]).max()))
    return worst


def check_rows(file: Path, config: Config) -> float:
    """The largest difference between two rows run together, the shorter one padded on the right, and each run alone."""
    random, lengths, steps = np.random.default_rng(2), (11, 24), 5
    session, width = Session(file, config), max(lengths)
    ids = random.integers(0, config.vocab_size, (2, width + steps))
    mask = np.array([[int(at < length) for at in range(width)] for length in lengths], dtype=np.int64)
    logits, past = session.run(ids[:, :width], mask, session.empty(2))
    together = [logits[[0, 1], [length - 1 for length in lengths]]]
    for at in range(width, width + steps):
        mask = np.concatenate((mask, np.ones((2, 1), dtype=np.int64)), axis=1)
        logits, past = session.run(ids[:, at : at + 1], mask, past)
        together.append(logits[:, 0])
    worst = 0.0
    for row, length in enumerate(lengths):
        alone = np.concatenate((ids[row, :length], ids[row, width:]))[None]
        logits, _ = session.run(alone, np.ones(alone.shape, dtype=np.int64), session.empty(1))
        for step, both in enumerate(together):
            worst = max(worst, float(np.abs(both[row] - logits[0, length - 1 + step]).max()))
    return worst


def main() -> None:
    run, out = Path(sys.argv[1]), Path(sys.argv[2])
    (out / "onnx").mkdir(parents=True, exist_ok=True)
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    model = Decoder(Config(**state["config"]))
    model.load_state_dict(state["weights"])
    tokenizer = Tokenizer.from_file(str(run / "tokenizer.json"))
    check_template()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(run / name, out / name)
    write_json(out / "config.json", model_config(model.config, tokenizer))
    write_json(out / "generation_config.json", generation_config(tokenizer))
    weights = {name: value.float().numpy() for name, value in state["weights"].items()}
    cos, sin = (table.numpy() for table in rope_cache(model.config))
    total = 0
    for precision in PRECISIONS:
        file = out / "onnx" / precision.file
        onnx.save(Graph(model.config.to_dict(), weights, precision).model(cos, sin), str(file))
        total += file.stat().st_size
        rows = check_rows(file, model.config)
        print(f"{precision.file}: {file.stat().st_size} bytes; rows together and alone differ by at most {rows:.2e}")
    worst = check_logits(model.eval(), out / "onnx" / "model.onnx")
    print(f"step {state['step']}, loss {state['loss']:.4f}; {total} bytes; logits differ from torch by at most {worst:.2e}")
    assert worst < TOLERANCE


if __name__ == "__main__":
    main()

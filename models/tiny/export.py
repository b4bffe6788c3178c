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


def check_logits(model: Decoder, file: Path) -> float:
    """The largest difference between torch's logits and the file's, over a prefill and over single steps."""
    config = model.config
    ids = np.random.default_rng(1).integers(0, config.vocab_size, (1, 40))
    expected = model(torch.from_numpy(ids)).detach().numpy()
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    empty = np.zeros((1, config.kv_heads, 0, config.head_dim), dtype=np.float32)
    start = {i.name: empty for i in session.get_inputs() if i.name.startswith("past")}
    names = [o.name.replace("present", "past_key_values") for o in session.get_outputs()]
    mask = np.ones((1, 40), dtype=np.int64)
    worst = float(np.abs(session.run(["logits"], {**start, "input_ids": ids, "attention_mask": mask})[0] - expected).max())
    past = start
    for at in range(ids.shape[1]):
        out = session.run(None, {**past, "input_ids": ids[:, at : at + 1], "attention_mask": mask[:, : at + 1]})
        worst = max(worst, float(np.abs(out[0][:, 0] - expected[:, at]).max()))
        past = dict(zip(names[1:], out[1:]))
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
        print(f"{precision.file}: {file.stat().st_size} bytes")
    worst = check_logits(model.eval(), out / "onnx" / "model.onnx")
    print(f"step {state['step']}, loss {state['loss']:.4f}; {total} bytes; logits differ from torch by at most {worst:.2e}")
    assert worst < TOLERANCE


if __name__ == "__main__":
    main()

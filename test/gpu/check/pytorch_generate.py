"""Tokens a second of transformers' greedy generate at one stream: a Qwen2 of the given shape, random weights, float16."""

import json
import sys
import time

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

shape, context, steps, device = json.loads(sys.argv[1])
config = Qwen2Config(
    hidden_size=shape["hidden"],
    num_hidden_layers=shape["layers"],
    num_attention_heads=shape["heads"],
    num_key_value_heads=shape["kvHeads"],
    intermediate_size=shape["feedForward"],
    vocab_size=shape["vocab"],
    max_position_embeddings=shape["context"],
    tie_word_embeddings=True,
)
dtype = torch.float32 if device == "cpu" else torch.float16
model = Qwen2ForCausalLM(config).to(device, dtype).eval()
prompt = torch.randint(0, shape["vocab"] - 1, (1, context), device=device)


def seconds(tokens: int) -> float:
    start = time.perf_counter()
    model.generate(prompt, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0)
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


seconds(2)
print(json.dumps({"tokens_per_second": steps / (seconds(steps + 1) - seconds(1)), "version": torch.__version__}))

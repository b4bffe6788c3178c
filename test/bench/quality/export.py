"""
Makes the graphs of the quality benchmark from a GGUF file of SmolLM2: a checkpoint of Hugging Face's, and from that the
files that users have, by the real exporters.

    python export.py MODEL.gguf FOLDER
"""

import logging
import os
import shutil
import sys
from importlib import util
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
logging.disable(logging.INFO)

import onnx
import torch
from gguf import GGUFReader
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

# GGUF's kind of token that is special.
CONTROL = 3
SHARED = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]


def main() -> None:
    gguf, folder = Path(sys.argv[1]), Path(sys.argv[2])
    checkpoint = folder / "checkpoint"
    write_checkpoint(gguf, checkpoint)
    # Queries, keys and values apart and no accuracy level, as in many files of the hub.
    plain = {"int4_accuracy_level": 0, "disable_qkv_fusion": True}
    export_genai(checkpoint, folder / "genai", "model.onnx", "fp32", "cpu", {})
    export_genai(checkpoint, folder / "genai", "model_q4.onnx", "int4", "cpu", plain)
    export_genai(checkpoint, folder / "genai", "model_q4f16.onnx", "int4", "cuda", plain)
    for file, kind in (("model_int8.onnx", QuantType.QInt8), ("model_uint8.onnx", QuantType.QUInt8)):
        quantize_eight_bits(folder / "genai" / "model.onnx", folder / "genai" / file, kind)
    quantize_body(folder / "genai" / "model.onnx", folder / "genai-float-head" / "model_q4.onnx")
    for exporter in ("genai", "genai-float-head"):
        for name in SHARED:
            shutil.copy(checkpoint / name, folder / exporter / name)


def write_checkpoint(gguf: Path, checkpoint: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    model.save_pretrained(checkpoint)
    read_tokenizer(gguf).save_pretrained(checkpoint)


def read_tokenizer(gguf: Path) -> PreTrainedTokenizerFast:
    """
    SmolLM2's own: byte-level BPE that splits off each digit. What transformers makes of a GGUF file is Llama's kind of
    tokenizer, which puts a token in front and does not split numbers.
    """
    fields = GGUFReader(gguf).fields
    read = lambda name: fields[f"tokenizer.{name}"].contents()
    tokens, merges = read("ggml.tokens"), [tuple(merge.split(" ")) for merge in read("ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, read("ggml.token_type"), strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    special = {name: tokens[read(f"ggml.{name}_token_id")] for name in ("bos", "eos", "unknown")}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=special["bos"], eos_token=special["eos"], unk_token=special["unknown"],
        pad_token=special["eos"], chat_template=read("chat_template"), clean_up_tokenization_spaces=False,
    )


def export_genai(checkpoint: Path, folder: Path, file: str, precision: str, provider: str, options: dict) -> None:
    """onnxruntime-genai's model builder, as `python -m onnxruntime_genai.models.builder` runs it."""
    models_folder = str(Path(util.find_spec("onnxruntime_genai").origin).parent / "models")
    if models_folder not in sys.path:
        sys.path.insert(0, models_folder)
    import builder

    builder.create_model(None, str(checkpoint), str(folder), precision, provider, str(folder / "cache"), filename=file,
                         hf_token="false", **options)


def quantize_eight_bits(source: Path, target: Path, kind: QuantType) -> None:
    """The tool and the settings of transformers.js' conversion script."""
    quantize_dynamic(source, target, weight_type=kind, extra_options={"EnableSubgraph": True})


def quantize_body(source: Path, target: Path) -> None:
    """
    Four bits with the tool and the settings of the same script, but for the output head. That is what it makes of
    Optimum's graphs, where the embedding's weights are turned around for the head, and so are no constant.
    """
    target.parent.mkdir()
    options = {"block_size": 32, "is_symmetric": True, "accuracy_level": None, "nodes_to_exclude": ["/lm_head/MatMul"]}
    quantizer = MatMulNBitsQuantizer(onnx.load(source), **options)
    quantizer.process()
    onnx.save(quantizer.model.model, target)


if __name__ == "__main__":
    main()

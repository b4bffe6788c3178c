"""Builds the decoder's ONNX graph node by node, with ONNX Runtime's fused operators."""
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from quantize import BLOCK, quantize_block4, quantize_int8

MICROSOFT = "com.microsoft"
OPSET, IR_VERSION = 18, 8
ACCURACY_INT8 = 4


@dataclass(frozen=True)
class Precision:
    """What one exported file holds: the type of weights in MatMuls, and the type of everything else."""

    file: str
    weights: str  # "float", "block4" or "int8"
    half: bool

    @property
    def numpy_type(self) -> type:
        return np.float16 if self.half else np.float32

    @property
    def onnx_type(self) -> int:
        return TensorProto.FLOAT16 if self.half else TensorProto.FLOAT


PRECISIONS = (
    Precision("model.onnx", "float", False),
    Precision("model_q4.onnx", "block4", False),
    Precision("model_fp16.onnx", "float", True),
    Precision("model_q4f16.onnx", "block4", True),
    Precision("model_int8.onnx", "int8", False),
)


def path_of(name: str) -> str:
    """A weight's name as the path of the node that reads it: model.layers.0.mlp -> /model/layers.0/mlp."""
    return "/" + name.replace(".", "/").replace("layers/", "layers.")


class Graph:
    def __init__(self, config: dict, weights: dict[str, np.ndarray], precision: Precision) -> None:
        self.config, self.weights, self.precision = config, weights, precision
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        """A tensor kept as it is; floats take the file's type."""
        if value.dtype.kind == "f":
            value = value.astype(self.precision.numpy_type)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], name: str, domain: str = "", outputs: list[str] | None = None, **attributes) -> str:
        outputs = outputs or [f"{name}/output_0"]
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs[0]

    def linear(self, x: str, weight: np.ndarray, name: str, output: str | None = None) -> str:
        """x times the transpose of `weight` ([out, in])."""
        path, outputs = path_of(name), [output] if output else None
        if self.precision.weights == "float":
            stored = self.constant(f"{name}.MatMul.weight", weight.T)
            return self.node("MatMul", [x, stored], f"{path}/MatMul", outputs=outputs)
        if self.precision.weights == "int8":
            return self.linear_int8(x, weight, name, path, outputs)
        packed, scales, _ = quantize_block4(weight)
        inputs = [x, self.constant(f"{name}.MatMul.weight_Q4", packed), self.constant(f"{name}.MatMul.weight_scales", scales)]
        attributes = {"K": weight.shape[1], "N": weight.shape[0], "bits": 4, "block_size": BLOCK, "accuracy_level": ACCURACY_INT8}
        return self.node("MatMulNBits", inputs, f"{path}/MatMul_Q4", MICROSOFT, outputs, **attributes)

    def linear_int8(self, x: str, weight: np.ndarray, name: str, path: str, outputs: list[str] | None) -> str:
        stored, scale = quantize_int8(weight)
        q, q_scale, q_zero = (f"{path}/quantized_{part}" for part in ("x", "scale", "zero_point"))
        self.node("DynamicQuantizeLinear", [x], f"{path}/DynamicQuantizeLinear", outputs=[q, q_scale, q_zero])
        product = self.node(
            "MatMulInteger", [q, self.constant(f"{name}.MatMul.weight_quantized", stored), q_zero], f"{path}/MatMulInteger"
        )
        product = self.node("Cast", [product], f"{path}/Cast", to=TensorProto.FLOAT)
        scales = self.node("Mul", [q_scale, self.constant(f"{name}.MatMul.weight_scale", scale)], f"{path}/scales")
        return self.node("Mul", [product, scales], f"{path}/rescale", outputs=outputs)

    def positions(self) -> tuple[str, str]:
        """GroupQueryAttention's two lengths: valid keys less one for each row, and the mask's width."""
        base = "/model/attn_mask_reformat"
        one = self.constant("one", np.array([1], dtype=np.int64))
        valid = self.node("ReduceSum", ["attention_mask", one], f"{base}/ReduceSum", keepdims=0)
        last = self.node("Sub", [valid, one], f"{base}/Sub")
        lengths = self.node("Cast", [last], f"{base}/seqlens_k", to=TensorProto.INT32)
        shape = self.node("Shape", ["attention_mask"], f"{base}/Shape")
        index = self.constant("index_one", np.array(1, dtype=np.int64))
        total = self.node("Gather", [shape, index], f"{base}/Gather", axis=0)
        return lengths, self.node("Cast", [total], f"{base}/total_seq_len", to=TensorProto.INT32)

    def norm(self, x: str, skip: str | None, weight: str, name: str) -> tuple[str, str]:
        """The normed sum of x and skip, and the sum itself."""
        scale = self.constant(f"{name}.weight", self.weights[weight])
        path, epsilon = f"{path_of(name)}/LayerNorm", self.config["norm_eps"]
        if skip is None:
            return self.node("SimplifiedLayerNormalization", [x, scale], path, axis=-1, stash_type=1, epsilon=epsilon), x
        outputs = [f"{path}/output_0", "", "", f"{path}/output_3"]
        self.node("SkipSimplifiedLayerNormalization", [x, skip, scale], path, MICROSOFT, outputs, epsilon=epsilon)
        return outputs[0], outputs[3]

    def attention(self, x: str, index: int, lengths: tuple[str, str]) -> str:
        c, name, source = self.config, f"model.layers.{index}.attn", f"blocks.{index}"
        q, k, v = (self.linear(x, self.weights[f"{source}.{p}.weight"], f"{name}.{p}_proj") for p in "qkv")
        past = [f"past_key_values.{index}.key", f"past_key_values.{index}.value"]
        path = f"/model/layers.{index}/attn/GroupQueryAttention"
        outputs = [f"{path}/output_0", f"present.{index}.key", f"present.{index}.value"]
        attributes = {
            "num_heads": c["heads"], "kv_num_heads": c["kv_heads"], "scale": c["head_dim"] ** -0.5,
            "do_rotary": 1, "rotary_interleaved": 0, "local_window_size": -1,
        }
        inputs = [q, k, v, *past, *lengths, "cos_cache", "sin_cache"]
        out = self.node("GroupQueryAttention", inputs, path, MICROSOFT, outputs, **attributes)
        return self.linear(out, self.weights[f"{source}.o.weight"], f"{name}.o_proj")

    def feed_forward(self, x: str, index: int) -> str:
        name, path, source = f"model.layers.{index}.mlp", f"/model/layers.{index}/mlp", f"blocks.{index}"
        gate = self.linear(x, self.weights[f"{source}.gate.weight"], f"{name}.gate_proj")
        up = self.linear(x, self.weights[f"{source}.up.weight"], f"{name}.up_proj")
        sigmoid = self.node("Sigmoid", [gate], f"{path}/act_fn/Sigmoid")
        gate = self.node("Mul", [gate, sigmoid], f"{path}/act_fn/Mul")
        return self.linear(self.node("Mul", [gate, up], f"{path}/Mul"), self.weights[f"{source}.down.weight"], f"{name}.down_proj")

    def decoder(self, cos: np.ndarray, sin: np.ndarray) -> None:
        self.constant("cos_cache", cos)
        self.constant("sin_cache", sin)
        lengths = self.positions()
        table = self.constant("model.embed_tokens.weight", self.weights["embedding.weight"])
        residual, branch = self.node("Gather", [table, "input_ids"], "/model/embed_tokens/Gather"), None
        for index in range(self.config["layers"]):
            name, source = f"model.layers.{index}", f"blocks.{index}"
            x, residual = self.norm(residual, branch, f"{source}.attention_norm.weight", f"{name}.input_layernorm")
            branch = self.attention(x, index, lengths)
            x, residual = self.norm(residual, branch, f"{source}.ff_norm.weight", f"{name}.post_attention_layernorm")
            branch = self.feed_forward(x, index)
        x, _ = self.norm(residual, branch, "norm.weight", "model.norm")
        self.linear(x, self.weights["embedding.weight"], "lm_head", "logits")

    def interface(self) -> tuple[list, list]:
        c, kind = self.config, self.precision.onnx_type
        value = helper.make_tensor_value_info
        cache = lambda length: ["batch_size", c["kv_heads"], length, c["head_dim"]]  # noqa: E731
        inputs = [
            value("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
            value("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"]),
        ]
        outputs = [value("logits", kind, ["batch_size", "sequence_length", c["vocab_size"]])]
        for index in range(c["layers"]):
            for part in ("key", "value"):
                inputs.append(value(f"past_key_values.{index}.{part}", kind, cache("past_sequence_length")))
                outputs.append(value(f"present.{index}.{part}", kind, cache("total_sequence_length")))
        return inputs, outputs

    def model(self, cos: np.ndarray, sin: np.ndarray) -> ModelProto:
        self.decoder(cos, sin)
        inputs, outputs = self.interface()
        graph = helper.make_graph(self.nodes, "main_graph", inputs, outputs, self.initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="vitrine")

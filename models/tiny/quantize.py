"""Weights in four and in eight bits, as ONNX Runtime's MatMulNBits and MatMulInteger read them."""
import numpy as np

BLOCK = 32
# Scales tried for each block, as shares of the one that just reaches the largest weight: a slightly smaller scale clips
# that weight but rounds the others better.
SHRINK = np.linspace(0.7, 1.0, 13, dtype=np.float32)


def quantize_block4(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[out, in] in blocks of 32 along `in`: bytes [out, blocks, 16], scales [out, blocks] and the rounded weights."""
    rows, columns = weight.shape
    blocks = weight.astype(np.float32).reshape(rows, columns // BLOCK, BLOCK)
    # The largest weight takes the value -8, of which there is no positive twin.
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)
    full = largest / -8
    full[full == 0] = 1
    best_error = np.full(full.shape, np.inf, dtype=np.float32)
    best_scale = full.copy()
    for share in SHRINK:
        scale = full * share
        rounded = np.clip(np.round(blocks / scale), -8, 7) * scale
        error = np.square(rounded - blocks).sum(-1, keepdims=True)
        better = error < best_error
        best_error = np.where(better, error, best_error)
        best_scale = np.where(better, scale, best_scale)
    quantized = np.clip(np.round(blocks / best_scale), -8, 7)
    nibbles = (quantized + 8).astype(np.uint8)
    packed = nibbles[..., 0::2] | (nibbles[..., 1::2] << 4)
    return packed, best_scale[..., 0].astype(np.float32), (quantized * best_scale).reshape(rows, columns)


def quantize_int8(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[out, in] as int8 [in, out] with one scale per output.

    Seven bits are used: processors without VNNI add two products in 16 bits, which full range overflows.
    """
    scale = np.abs(weight).max(1) / 63
    scale[scale == 0] = 1
    return np.round(weight / scale[:, None]).astype(np.int8).T.copy(), scale.astype(np.float32)

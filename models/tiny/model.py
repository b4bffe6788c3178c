"""The decoder in torch, for training: Llama's architecture with grouped-query attention."""
import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Config:
    vocab_size: int
    hidden_size: int = 192
    layers: int = 6
    heads: int = 6
    kv_heads: int = 3
    head_dim: int = 32
    ff_size: int = 512
    max_positions: int = 2048
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5

    def to_dict(self) -> dict:
        return asdict(self)


def rope_cache(config: Config) -> tuple[Tensor, Tensor]:
    """Cosines and sines as [positions, head_dim / 2], the layout that GroupQueryAttention reads too."""
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float64) / config.head_dim
    angles = torch.outer(torch.arange(config.max_positions, dtype=torch.float64), config.rope_theta**-half)
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions, the two halves of a head paired (not interleaved), as Llama has them."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Block(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        hidden, kv_size = config.hidden_size, config.kv_heads * config.head_dim
        self.attention_norm = nn.RMSNorm(hidden, eps=config.norm_eps)
        self.q = nn.Linear(hidden, config.heads * config.head_dim, bias=False)
        self.k = nn.Linear(hidden, kv_size, bias=False)
        self.v = nn.Linear(hidden, kv_size, bias=False)
        self.o = nn.Linear(config.heads * config.head_dim, hidden, bias=False)
        self.ff_norm = nn.RMSNorm(hidden, eps=config.norm_eps)
        self.gate = nn.Linear(hidden, config.ff_size, bias=False)
        self.up = nn.Linear(hidden, config.ff_size, bias=False)
        self.down = nn.Linear(config.ff_size, hidden, bias=False)

    def attend(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, _ = x.shape
        split = lambda y: y.view(batch, length, -1, self.config.head_dim).transpose(1, 2)  # noqa: E731
        q = rotate(split(self.q(x)), cos, sin)
        k = rotate(split(self.k(x)), cos, sin)
        groups = self.config.heads // self.config.kv_heads
        k, v = k.repeat_interleave(groups, 1), split(self.v(x)).repeat_interleave(groups, 1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(out.transpose(1, 2).reshape(batch, length, -1))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attend(self.attention_norm(x), cos, sin)
        normed = self.ff_norm(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class Decoder(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.norm_eps)
        cos, sin = rope_cache(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.initialise()

    def initialise(self) -> None:
        nn.init.normal_(self.embedding.weight, std=0.02)
        for name, weight in self.blocks.named_parameters():
            if weight.dim() < 2:
                continue
            # The two projections that write to the residual stream start smaller, so that depth does not add variance.
            residual = name.endswith(("o.weight", "down.weight"))
            scale = 1 / math.sqrt(2 * self.config.layers) if residual else 1.0
            nn.init.normal_(weight, std=scale / math.sqrt(weight.shape[1]))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        cos, sin = self.cos[: ids.shape[1]].to(x.dtype), self.sin[: ids.shape[1]].to(x.dtype)
        for block in self.blocks:
            x = block(x, cos, sin)
        return F.linear(self.norm(x), self.embedding.weight)

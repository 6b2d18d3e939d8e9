"""The Transformer layer, Eq. (3) and (4), of both encoder and decoder."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from ...search.formulas import attention_macs, conv_macs, linear_macs


class Attention(nn.Module):
    """Multi-head attention without biases.

    Source: HR-NAS, Eq. (3).

    Shape:
        (B, N, C), (B, M, C) -> (B, N, C)

    Cost:
        Four projections and softmax(Q K^T) V; see :func:`layer_macs`
    """

    def __init__(self, dims: int, head_dims: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        hidden_dims = head_dims * num_heads
        self.query = nn.Linear(dims, hidden_dims, bias=False)
        self.key = nn.Linear(dims, hidden_dims, bias=False)
        self.value = nn.Linear(dims, hidden_dims, bias=False)
        self.out = nn.Linear(hidden_dims, dims, bias=False)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        query = self._heads(self.query(queries))
        key = self._heads(self.key(memory))
        value = self._heads(self.value(memory))
        x = F.scaled_dot_product_attention(query, key, value)
        return self.out(x.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class TransformerLayer(nn.Module):
    """Attention and FFN, each with a residual connection and a layer norm.

    The layer norm comes after the addition.

    Source: HR-NAS, Eq. (3), (4). The encoder attends to itself; the decoder
    is the same layer with learned queries and has no self-attention.

    Shape:
        (B, N, C), (B, M, C) -> (B, N, C)
    """

    def __init__(
        self, dims: int, head_dims: int, num_heads: int, ffn_dims: int
    ) -> None:
        super().__init__()
        self.attention = Attention(dims, head_dims, num_heads)
        self.attention_norm = nn.LayerNorm(dims)
        self.ffn = nn.Sequential(
            nn.Linear(dims, ffn_dims),
            nn.ReLU(inplace=True),
            nn.Linear(ffn_dims, dims),
        )
        self.ffn_norm = nn.LayerNorm(dims)
        for param in self.parameters():
            if param.dim() > 1:
                nn.init.xavier_uniform_(param)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        x = self.attention_norm(queries + self.attention(queries, memory))
        return self.ffn_norm(x + self.ffn(x))


def layer_macs(
    queries: int, keys: int, dims: int, hidden_dims: int, ffn_dims: int
) -> int:
    """Compute the multiply-adds of one :class:`TransformerLayer`."""
    return (
        linear_macs(dims, hidden_dims, 2 * queries + 2 * keys)
        + attention_macs(queries, keys, hidden_dims)
        + linear_macs(dims, 2 * ffn_dims, queries)
    )


def transformer_macs(
    tokens: int,
    in_channels: int,
    out_channels: int,
    token_size: int,
    head_dims: int,
    num_heads: int,
    ffn_dims: int,
    extra_tokens: int,
) -> int:
    """Compute O_T(n) of Eq. (6): projections, encoder and decoder.

    Args:
        tokens: Number n of tokens.
        in_channels: Input channels of the projector, including those of the
            positional encoding.
        extra_tokens: Number of additional tokens of the decoder.
    """
    if not tokens:
        return 0
    dims, hidden_dims = token_size**2, head_dims * num_heads
    layer = partial(
        layer_macs, dims=dims, hidden_dims=hidden_dims, ffn_dims=ffn_dims
    )
    all_tokens = tokens + extra_tokens
    map_size = (token_size, token_size)
    return (
        conv_macs(in_channels, tokens, 1, map_size)
        + layer(tokens, tokens)
        + layer(all_tokens, all_tokens)
        + conv_macs(all_tokens, out_channels, 1, map_size)
    )

"""Attention for inference: two matrices per head in place of four."""

import math

from torch import Tensor, nn

from ..primitives.attention import Attention
from .convs import constant


class FoldedAttention(nn.Module):
    """Attention with the products of queries and keys, values and output.

    softmax(Q W_q W_k^T M^T / sqrt(d)) M W_v W_o, summed over the heads, where
    W_q W_k^T / sqrt(d) and W_v W_o are each one matrix per head.

    Shape:
        (N, C) or (B, N, C), (B, M, C) -> (B, N, C); or all without B
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        heads = attention.num_heads
        query, key, value = (
            layer.weight.unflatten(0, (heads, -1))  # (h, d, C)
            for layer in (attention.query, attention.key, attention.value)
        )
        out = attention.out.weight.unflatten(1, (heads, -1)).transpose(0, 1)
        self.scores = constant(query.mT @ key / math.sqrt(query.shape[1]))
        self.values = constant((out @ value).mT)
        self.single = heads == 1

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        scores: Tensor = self.scores
        values: Tensor = self.values
        if self.single:
            scores, values = scores[0], values[0]
        else:
            queries, memory = queries.unsqueeze(-3), memory.unsqueeze(-3)
        out = memory @ values
        if memory.shape[-2] > 1:  # else its only token gets all attention
            out = (queries @ scores @ memory.mT).softmax(-1) @ out
        return out if self.single else out.sum(-3)


def folded(attention: Attention) -> nn.Module:
    """Return attention with folded matrices if they are no larger."""
    weights = attention.query.weight
    hidden, dims = weights.shape
    if attention.num_heads * dims > 2 * hidden:
        return attention
    return FoldedAttention(attention)

"""A cut to limits, from importance and a threshold."""

from collections.abc import Mapping

from torch import Tensor

from hrnas_mm.search import CostModel, Ranking
from hrnas_mm.search.cut import Limits


def select_within(
    importance: Mapping[str, Tensor],
    threshold: float,
    cost_model: CostModel,
    limits: Limits,
) -> dict[str, Tensor]:
    """Indices of the elements that stay."""
    ranking = Ranking.by_threshold(importance, threshold)
    counts = cost_model.cost.cut(ranking, cost_model, limits)
    return ranking.best(counts)

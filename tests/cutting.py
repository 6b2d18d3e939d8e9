"""A cut to limits, from importance and a threshold."""

from hrnas_mm.search import Ranking


def select_within(importance, threshold, cost_model, limits):
    """Indices of the elements that stay."""
    ranking = Ranking.by_threshold(importance, threshold)
    counts = cost_model.cost.cut(ranking, cost_model, limits)
    return ranking.best(counts)

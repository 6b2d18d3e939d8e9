"""Finding the largest batch of a training step."""

import pytest
from training_step import largest_batch


@pytest.mark.parametrize('most', [0, 1, 2, 3, 13, 57, 185])
def test_largest_batch_fits_and_is_at_most_a_sixteenth_too_small(
    most: int,
) -> None:
    tried = []

    def fits(batch: int) -> bool:
        tried.append(batch)
        return batch <= most

    found = largest_batch(fits)
    assert found <= most <= found + max(1, found // 16) - 1
    assert len(tried) < 20

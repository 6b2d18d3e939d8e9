"""An extra evaluation during training, without consequences for the run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.hooks import (
    CheckpointHook,
    EarlyStoppingHook,
    Hook,
    ParamSchedulerHook,
)
from mmengine.runner import Runner


def evaluate(runner: Runner) -> dict[str, Any]:
    """Return the metrics of the network as it is; none without data.

    No checkpoint, no early stop and no learning rate depends on them: only
    the regular evaluations count for these.
    """
    if runner.val_loop is None:
        return {}
    with without_hooks(
        runner, CheckpointHook, EarlyStoppingHook, ParamSchedulerHook
    ):
        metrics = runner.val_loop.run()
    runner.model.train()
    return metrics


@contextmanager
def without_hooks(runner: Runner, *kinds: type[Hook]) -> Iterator[None]:
    """Disable the hooks of the given types inside the context."""
    hooks = runner._hooks
    runner._hooks = [hook for hook in hooks if not isinstance(hook, kinds)]
    try:
        yield
    finally:
        runner._hooks = hooks

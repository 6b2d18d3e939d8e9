"""Evaluating an exported file in place of a checkpoint."""

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hrnas_mm.runners import bare_model
from hrnas_mm.runtimes import Runtime
from hrnas_mm.runtimes.exported import predict_by_file_
from hrnas_mm.search_in_config import is_of_type


class PredictByFile(Hook):
    """Let the model predict by an exported file.

    Args:
        path: Path of the file.
        runtime: What runs it.
    """

    def __init__(self, path: str, runtime: Runtime) -> None:
        self.path, self.runtime = path, runtime

    def before_test(self, runner: Runner) -> None:
        """Replace the dense part, once other hooks have seen the model."""
        predict_by_file_(bare_model(runner), self.path, self.runtime)


def without_weights_(cfg: Config) -> None:
    """Leave out of a config what only concerns a model's weights."""
    cfg.load_from = None
    cfg.custom_hooks = [
        hook
        for hook in cfg.get('custom_hooks') or []
        if not is_of_type(hook, 'EMAHook')
    ]

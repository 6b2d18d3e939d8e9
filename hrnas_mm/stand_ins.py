"""Classes that stand for what checkpoints hold beside the weights."""

from collections import OrderedDict
from typing import Any


class _Skipped:
    """Stands for an object in a checkpoint, and takes nothing over from it."""

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _SkippedDict:
    """Becomes a plain dict, the only one that torch lets a file fill."""

    def __new__(cls, *args: Any) -> Any:
        return OrderedDict(*(arg for arg in args if isinstance(arg, dict)))


# What the checkpoints of the frameworks' model zoos hold beside the weights.
# Nothing of it is imported or called.
STAND_INS = [
    type(name, (base,), dict(__module__=module))
    for base, module, names in (
        (_Skipped, 'numpy', 'dtype ndarray'),
        (_Skipped, 'numpy.core.multiarray', 'scalar _reconstruct'),
        (_Skipped, 'numpy._core.multiarray', 'scalar _reconstruct'),
        (_Skipped, 'mmengine.logging.history_buffer', 'HistoryBuffer'),
        (_Skipped, 'builtins', 'getattr'),  # by which it names its methods
        (_Skipped, 'argparse', 'Namespace'),
        (_SkippedDict, 'mmengine.config.config', 'ConfigDict'),
        (_SkippedDict, 'mmcv.utils.config', 'ConfigDict'),
        (_SkippedDict, 'addict.addict', 'Dict'),
        (_SkippedDict, 'collections', 'defaultdict'),
    )
    for name in names.split()
]

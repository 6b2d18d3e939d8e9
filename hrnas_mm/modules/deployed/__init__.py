"""The deployed form of every part: the same function, made to be fast."""

from .block import (
    Channels,
    Deployable,
    Parts,
    Sum,
    chained,
    finished,
    summed,
)
from .convs import conv_of
from .form import FUSE, RUNTIMES, Form, form_of
from .fusion import deployed_sum, sum_onto
from .joining import SplitSum, joined_alone, split_where_faster
from .mixconv import (
    Path,
    deployed_paths,
    form_of_paths,
    may_merge,
    path_module,
)
from .shortcut import deployed_shortcut
from .stream import Stream, rounded
from .transformer import DeployedTransformer

__all__ = [
    'FUSE',
    'RUNTIMES',
    'Channels',
    'Deployable',
    'DeployedTransformer',
    'Form',
    'Parts',
    'Path',
    'SplitSum',
    'Stream',
    'Sum',
    'chained',
    'conv_of',
    'deployed_paths',
    'deployed_shortcut',
    'deployed_sum',
    'finished',
    'form_of',
    'form_of_paths',
    'may_merge',
    'joined_alone',
    'path_module',
    'rounded',
    'split_where_faster',
    'sum_onto',
    'summed',
]

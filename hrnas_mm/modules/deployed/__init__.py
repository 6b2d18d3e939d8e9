"""The deployed form of every module: the same function, made to be fast."""

from .block import (
    Channels,
    Deployable,
    Sum,
    Terms,
    chained,
    finished,
    summed,
)
from .channel_layout import ChannelLayout, rounded
from .convs import conv_of
from .form import CONSTANTS, FUSE, Choice, Form, divisions, form_of
from .fusion import deployed_sum, sum_onto
from .joining import deployed_joining, joining_alone
from .mixconv import (
    Path,
    deployed_paths,
    form_of_paths,
    may_merge,
    path_module,
)
from .shortcut import deployed_shortcut
from .transformer import DeployedTransformer

__all__ = [
    'FUSE',
    'CONSTANTS',
    'Channels',
    'Choice',
    'Deployable',
    'DeployedTransformer',
    'Form',
    'Terms',
    'Path',
    'ChannelLayout',
    'Sum',
    'chained',
    'divisions',
    'conv_of',
    'deployed_paths',
    'deployed_shortcut',
    'deployed_sum',
    'finished',
    'form_of',
    'form_of_paths',
    'may_merge',
    'deployed_joining',
    'joining_alone',
    'path_module',
    'rounded',
    'sum_onto',
    'summed',
]

"""The blocks in plain torch, with their search units; any network's units."""

from .conv import Constant, ConvNormAct, init_conv_
from .deployed import Deployable
from .fusion import FusionModule
from .mixconv import MixConv
from .searching_block import SearchingBlock
from .stock import searchable_
from .transformer import LightweightTransformer

__all__ = [
    'Constant',
    'ConvNormAct',
    'Deployable',
    'FusionModule',
    'LightweightTransformer',
    'MixConv',
    'SearchingBlock',
    'init_conv_',
    'searchable_',
]

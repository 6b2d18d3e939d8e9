"""The blocks of the network in plain torch; each declares its search units."""

from .conv import Constant, ConvNormAct, init_conv_
from .deployed import Deployable
from .fusion import FusionModule
from .mixconv import MixConv
from .searching_block import SearchingBlock
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
]

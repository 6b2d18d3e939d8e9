"""The blocks of the network in plain torch; each declares its search units."""

from .conv import Constant, ConvNormAct, init_conv_
from .fusion import FusionModule
from .mixconv import MixConv
from .searching_block import SearchingBlock
from .transformer import LightweightTransformer

__all__ = [
    'Constant',
    'ConvNormAct',
    'FusionModule',
    'LightweightTransformer',
    'MixConv',
    'SearchingBlock',
    'init_conv_',
]

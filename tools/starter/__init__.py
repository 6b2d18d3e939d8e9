"""A config to begin with, from a look at data that nobody has searched on."""

from .layouts import LAYOUTS, detect
from .network import network_of
from .recipe import recipe_for
from .trying import try_out
from .writing import config_for, write

__all__ = [
    'LAYOUTS',
    'config_for',
    'detect',
    'network_of',
    'recipe_for',
    'try_out',
    'write',
]

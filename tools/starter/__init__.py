"""A config to begin with, from a look at data that nobody has searched on."""

from .looks import LOOKS, find
from .plan import plan_for
from .writing import config_for

__all__ = ['LOOKS', 'config_for', 'find', 'plan_for']

"""A config to begin with, from a look at data that nobody has searched on."""

from .found import Found, Plan, find
from .writing import config_for

__all__ = ['Found', 'Plan', 'config_for', 'find']

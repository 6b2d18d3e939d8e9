"""Wrapping a method of one object, until the object gets its own back."""

from collections.abc import Callable
from typing import Any

Method = Callable[..., Any]


class Patch:
    """A method of one object, wrapped.

    Args:
        owner: Object whose method is wrapped; its class stays as it is.
        name: Name of the method.
        wrap: Function that takes the method and returns what replaces it.
    """

    def __init__(
        self, owner: Any, name: str, wrap: Callable[[Method], Method]
    ) -> None:
        self._attributes, self._name = vars(owner), name
        self._before = self._attributes.get(name)
        self._wrapped = wrap(getattr(owner, name))
        self._attributes[name] = self._wrapped

    def remove(self) -> None:
        """Give the object the method back that it had.

        What others have wrapped around it since is theirs, and stays.
        """
        if self._attributes.get(self._name) is not self._wrapped:
            return
        del self._attributes[self._name]
        if self._before is not None:
            self._attributes[self._name] = self._before

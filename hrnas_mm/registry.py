"""Child registries of mmengine's root registries, with scope 'hrnas_mm'.

The public classes are registered in the root as well: lookup goes from a
scope to its parents, never sideways, so ``type='HRNASSupernet'`` can be built
inside mmseg, mmpose, mmdet, mmdet3d and mmpretrain alike. With
``type='hrnas_mm.HRNASSupernet'``, mmengine finds the child registry and
imports the class without ``custom_imports``.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from mmengine import registry as root

Registered = TypeVar('Registered', bound=Callable[..., Any])

MODELS = root.Registry(
    'model',
    parent=root.MODELS,
    scope='hrnas_mm',
    locations=['hrnas_mm.models'],
)
OPTIM_WRAPPER_CONSTRUCTORS = root.Registry(
    'optimizer wrapper constructor',
    parent=root.OPTIM_WRAPPER_CONSTRUCTORS,
    scope='hrnas_mm',
    locations=['hrnas_mm.engine'],
)
HOOKS = root.Registry(
    'hook',
    parent=root.HOOKS,
    scope='hrnas_mm',
    locations=['hrnas_mm.engine', 'hrnas_mm.resume'],
)


def register_in(
    child: root.Registry, name: str | None = None
) -> Callable[[Registered], Registered]:
    """Return a decorator that registers in a child registry and the root.

    Args:
        child: The child registry.
        name: Name in configs; None for that of the class or function.
    """

    def register(cls: Registered) -> Registered:
        child.register_module(name, module=cls)
        child.parent.register_module(name, module=cls)
        return cls

    return register

"""Print the versions and the devices that the report of a bug needs."""

import argparse
from importlib import metadata

import torch
from mmengine.utils.dl_utils import collect_env

from hrnas_mm import __version__
from hrnas_mm.frameworks import FRAMEWORKS
from hrnas_mm.runtimes.devices import processor

PACKAGES = (
    'numpy',
    'mmcv',
    *FRAMEWORKS,
    'onnx',
    'onnxscript',
    'onnxruntime',
    'openvino',
    'scipy',
)


def versions() -> dict[str, str]:
    """Return the versions of what is installed, by the names of imports.

    A distribution of another name, such as a fork's, is named too.
    """
    found = {}
    distributions = metadata.packages_distributions()
    for package in PACKAGES:
        for name in dict.fromkeys(distributions.get(package, ())):
            version = metadata.version(name)
            other = '' if name == package else f' ({name})'
            found[package] = version + other
    return found


def main() -> None:
    """Print a line for each fact."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    facts = dict(
        collect_env(),
        hrnas_mm=__version__,
        **versions(),
        processor=processor(),
        threads=torch.get_num_threads(),
    )
    for name, fact in facts.items():
        print(f'{name}: {fact}')


if __name__ == '__main__':
    main()

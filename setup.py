"""Packaging of hrnas_mm, which leaves torch and mmcv to the user."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


def requirements(name):
    """Read requirements/<name>.txt without its comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    stripped = (line.split('#')[0].strip() for line in lines)
    return [line for line in stripped if line]


def version():
    """Read the version without importing the package, which needs torch."""
    scope = {}
    exec((ROOT / 'hrnas_mm' / 'version.py').read_text(), scope)
    return scope['__version__']


class BuildWithMim(build_py):
    """Add the files that mim runs, except to an editable install."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib, 'hrnas_mm', '.mim')
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(ROOT / 'model-index.yml', folder)
        unwanted = shutil.ignore_patterns('__pycache__')
        for name in ('tools', 'configs'):
            shutil.copytree(ROOT / name, folder / name, ignore=unwanted)


setup(
    name='hrnas_mm',
    version=version(),
    description='HR-NAS for OpenMMLab: searching efficient high-resolution '
    'networks with lightweight Transformers, while they train',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['hrnas_mm', 'hrnas_mm.*']),
    package_data={
        'hrnas_mm': [
            'py.typed',
            'report/*.j2',
        ]
    },
    cmdclass={'build_py': BuildWithMim},
    python_requires='>=3.10,<3.14',
    install_requires=requirements('runtime'),
    extras_require={
        task.replace('/', '-'): requirements(task)
        for task in (
            'seg',
            'det',
            'pose',
            'det3d',
            'cls',
            'timm',
            'deploy',
            'openvino',
            'onedl/seg',
            'onedl/det',
            'onedl/cls',
        )
    },  # fmt: skip
)

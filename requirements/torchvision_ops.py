"""Let torchvision be imported before hrnas_mm, in the environment of `make`.

There a CPU build of torch may stand beside a CUDA build of torchvision, whose
import fails without what `hrnas_mm/compat_torch.py` defines. `make setup`
copies this file to the environment; a line in a .pth file imports it whenever
Python starts. It waits for the first import of torchvision.

Can be removed with define_torchvision_ops().
"""

import importlib.util
import os
import sys


class _DefineFirst:
    """Runs before torchvision is found, once."""

    def find_spec(self, name, path=None, target=None):
        if name != 'torchvision':
            return
        sys.meta_path.remove(self)
        package = importlib.util.find_spec('hrnas_mm')
        if package is None or not package.submodule_search_locations:
            return
        # The file alone: the package would import all of OpenMMLab.
        file = os.path.join(
            package.submodule_search_locations[0], 'compat_torch.py'
        )
        spec = importlib.util.spec_from_file_location('_compat_torch', file)
        module = importlib.util.module_from_spec(spec)
        sys.modules['_compat_torch'] = module  # the operators stay with it
        spec.loader.exec_module(module)
        module.define_torchvision_ops()


sys.meta_path.insert(0, _DefineFirst())

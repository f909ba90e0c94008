"""Look into the latent space of a face autoencoder, and draw new faces from it.

The modules are exported from the notebooks in nbs/: edit those, not the .py files beside this one.
"""
__version__ = "0.1.0"

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType


def _listed():
    "Name of each public object: its module. The stub beside this file is the list, which editors read too."
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module for node in imports for alias in node.names}


class _Lazy(property):
    """A public name, imported when it is used: `import latentfaces` costs neither TensorFlow nor Matplotlib.

    A property, because completion lists a property without asking for its value: the first Tab imports nothing.
    """

    def __init__(self, name, module):
        self.name = name
        self.module = f"{__name__}.{module}"

    def __get__(self, package, owner=None):
        if package is None:
            return self
        if self.name not in vars(package):
            self.__set__(package, getattr(import_module(self.module), self.name))
        return vars(package)[self.name]

    def __set__(self, package, value):
        vars(package)[self.name] = value

    def __delete__(self, package):
        del vars(package)[self.name]


_PUBLIC = _listed()
# What trains needs Keras as soon as it is imported, which `from latentfaces import *` must not do.
__all__ = sorted(name for name, module in _PUBLIC.items() if module != "training")


def __dir__():
    own = (name for name in globals() if name.startswith("__") or f"{__name__}.{name}" in sys.modules)
    return sorted({*_PUBLIC, *own})


_lazy = {name: _Lazy(name, module) for name, module in _PUBLIC.items()}
sys.modules[__name__].__class__ = type("Package", (ModuleType,), _lazy)

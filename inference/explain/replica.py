"""A twin of a network: the same weights in memory, but modules of its own.

Explaining needs hooks, evaluation mode and weights that want no gradient. Set on the network itself, each would have to
be put back, also after an error, and a second thread would see it meanwhile. So they are set on a twin that lives for
one call: the network is only ever read, and there is nothing to put back.
"""

import sys
from collections import OrderedDict
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

_COPIED = (dict, OrderedDict, list, tuple, set)


class Replica:
    """One twin, in evaluation mode, wanting no gradient for its weights.

    Weights share their memory with the original; buffers are copied, because a forward pass may write to them. What
    torch.compile has wrapped is run uncompiled: compiled graphs hide their activations and their ReLUs. A scripted
    module cannot be opened and is shared as it is.
    """

    def __init__(self, model: nn.Module) -> None:
        self._twins: dict[int, Any] = {}
        self.scripted: list[nn.Module] = []
        """Scripted modules, which nothing here sees into."""
        self.model: nn.Module = self._module(model)

    def twin(self, module: nn.Module) -> nn.Module:
        """The twin of one of the original's modules. Raises KeyError for a module that is none of its."""
        found: nn.Module = self._twins[id(module)]
        return found

    def _module(self, module: nn.Module) -> Any:
        if id(module) in self._twins:
            return self._twins[id(module)]
        if _is_compiled(module):
            wrapped: Any = module
            twin = self._module(wrapped._orig_mod)
            self._twins[id(module)] = twin
            return twin
        if isinstance(module, torch.jit.ScriptModule):
            self.scripted.append(module)
            self._twins[id(module)] = module
            return module
        twin = object.__new__(type(module))
        self._twins[id(module)] = twin
        twin.__dict__.update({name: self._value(value) for name, value in module.__dict__.items()})
        twin.__dict__.update(training=False, _compiled_call_impl=None)
        return twin

    def _value(self, value: Any) -> Any:
        if isinstance(value, nn.Module):
            return self._module(value)
        if isinstance(value, Tensor):
            return self._tensor(value)
        if type(value) in _COPIED:
            return self._container(value)
        if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
            return MethodType(value.__func__, self._module(value.__self__))
        return value

    def _container(self, value: Any) -> Any:
        if id(value) in self._twins:
            return self._twins[id(value)]
        if isinstance(value, tuple):
            return tuple(self._value(item) for item in value)
        copy = type(value)()
        self._twins[id(value)] = copy
        if isinstance(copy, dict):
            copy.update((key, self._value(item)) for key, item in value.items())
        elif isinstance(copy, set):
            copy.update(value)
        else:
            copy.extend(self._value(item) for item in value)
        return copy

    def _tensor(self, tensor: Tensor) -> Tensor:
        if id(tensor) not in self._twins:
            shared = isinstance(tensor, nn.Parameter) and not tensor.is_inference()
            plain = tensor.detach() if shared else tensor.detach().clone()
            is_weight = isinstance(tensor, nn.Parameter)
            self._twins[id(tensor)] = nn.Parameter(plain, requires_grad=False) if is_weight else plain
        found: Tensor = self._twins[id(tensor)]
        return found


def _is_compiled(module: nn.Module) -> bool:
    """Whether torch.compile has wrapped a module; its machinery is heavy, and not imported to ask."""
    compiler = sys.modules.get("torch._dynamo.eval_frame")
    return compiler is not None and isinstance(module, compiler.OptimizedModule)

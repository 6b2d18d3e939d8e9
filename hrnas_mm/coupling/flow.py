"""Following channels through the operators of a forward pass."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .layers import LayerMode, TensorName, Use
from .marks import Mark, Marks, Place, Sources, tensors_in
from .operators import Call, follow


class Layer(NamedTuple):
    """A convolution or linear layer.

    Attributes:
        inputs, outputs: See :class:`~hrnas_mm.coupling.layers.Use`.
        norm: Name of the norm that normalises what it makes, or None.
        alone: Whether nothing else reads what it makes.
    """

    inputs: int | None
    outputs: int
    norm: str | None = None
    alone: bool = True


class ChannelFlow(LayerMode):
    """Mode that follows channels from the layers that make them to readers.

    Args:
        tensors: See :class:`LayerMode`.
        at_work: See :class:`Marks`.

    Attributes:
        marks: What is known of the tensors.
        layers: Layers, by the name of their weight.
        reads: Numbers that layers read, with the sources of the values.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], at_work: Sequence[str]
    ) -> None:
        super().__init__(tensors)
        self.marks = Marks(self.names, at_work)
        self.layers: dict[TensorName, Layer] = {}
        self.reads: list[tuple[Tensor, Sources]] = []
        self._made_by: dict[int, TensorName] = {}
        # All tensors, so that no id is used twice, and those of a storage.
        self._tensors: list[Tensor] = []
        self._views: dict[int, set[int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        with torch._C._DisableTorchDispatch():  # type: ignore[attr-defined]
            self._see(func, args, kwargs, out)
        return out

    def _see(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        name = func._schema.name.partition('::')[2]
        call = Call(name.rstrip('_'), func, args, kwargs, tensors_in(out))
        self._tensors += call.outs
        for tensor in call.outs:
            self._views.setdefault(_storage(tensor), set()).add(id(tensor))
        use = self.layer(name, args, out)
        if use is not None:
            self._see_layer(use, out)
        elif 'batch_norm' in name:
            self._see_norm(args, call.outs[0])
        elif name == 't' and id(args[0]) in self.names:
            pass  # the weight of a linear layer, which is seen with its input
        elif self.marks.concern(call.ins):
            self._see_readers(call.ins)
            before = {id(t): self.marks.get(t) for t in call.ins}
            if not follow(self.marks, call):
                kind = 'a grouped ' if name == 'convolution' else 'operator '
                self.marks.keep(call.ins, f'{kind}{name} reads it')
            self._check_views(before, call.ins)

    def _check_views(
        self, before: Mapping[int, Mark | None], ins: Sequence[Tensor]
    ) -> None:
        """Keep what is written into a part of a tensor, or into its view."""
        for tensor in ins:
            old, new = before[id(tensor)], self.marks.get(tensor)
            alone = len(self._views.get(_storage(tensor), ())) < 2
            if new is None or new is old or alone:
                continue
            same = old is not None and old.sources == new.sources
            if old is None or not same or not old.numbers.equal(new.numbers):
                self.marks.keep(ins, 'it is written into a part of a tensor')

    def _see_readers(self, ins: Sequence[Tensor]) -> None:
        """Note which layers are read by something other than their norm."""
        for tensor in ins:
            name = self._made_by.get(id(tensor))
            if name is not None:
                self.layers[name] = self.layers[name]._replace(alone=False)

    def _see_layer(self, use: Use, out: Tensor) -> None:
        marks, weight = self.marks, use.weight
        self._see_readers([use.map])
        line, sources = marks.line(use.map), marks.sources_of([use.map])
        place = Place(*weight, use.outputs)
        if use.inputs is None:
            numbers = line
        else:
            marks.note(Place(*weight, use.inputs), line)
            self.reads.append((line, sources))
            numbers = marks.new(place, out.shape[1])
        if use.inputs is not None or use.bias is not None:
            sources = marks.begin('.'.join(weight), numbers)
        marks.note(place, numbers)
        bias = self.names.get(id(use.bias))
        if bias is not None:
            marks.note(Place(*bias, 0), numbers)
        elif use.bias is not None:
            marks.numbers.keep(numbers, 'its bias is computed')
        self.layers.setdefault(weight, Layer(use.inputs, use.outputs))
        self._made_by[id(out)] = weight
        marks.set(out, _along_channels(numbers, out), sources)

    def _see_norm(self, args: Any, out: Tensor) -> None:
        line, weight = self.marks.line(args[0]), args[1]
        if weight is None or id(weight) not in self.names:
            reason = 'a norm without scale and shift reads it'
            self.marks.keep(args[0], reason)
            return
        for tensor in args[1:5]:
            if tensor is not None:
                self.marks.note(Place(*self.names[id(tensor)], 0), line)
        norm = self.names[id(weight)].module
        layer = self._made_by.get(id(args[0]))
        if layer is not None:
            self._see_norm_of(layer, norm)
        sources = self.marks.begin(norm, line, switches=True)
        self.marks.set(out, _along_channels(line, out), sources)

    def _see_norm_of(self, name: TensorName, norm: str) -> None:
        """Note which norm normalises a layer, and whether it is its own."""
        layer = self.layers[name]
        sharing = [
            other
            for other, its in self.layers.items()
            if its.norm == norm and other != name
        ]
        own = layer.norm in (None, norm) and not sharing
        self.layers[name] = layer._replace(
            norm=norm, alone=layer.alone and own
        )
        for other in sharing:
            self.layers[other] = self.layers[other]._replace(alone=False)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _along_channels(numbers: Tensor, map: Tensor) -> Tensor:
    return numbers.view(1, -1, *[1] * (map.dim() - 2))

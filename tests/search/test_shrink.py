"""Shrinking against references that know nothing of it."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from test_cost import random_keep
from tiny import supernet
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from hrnas_mm.modules import LightweightTransformer, SearchingBlock
from hrnas_mm.search import (
    architecture_of,
    named_search_units,
    select_alive,
    shrink_,
)

OPTIMIZERS = {
    'sgd': lambda p: SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    'adam': lambda p: Adam(p, lr=0.01),
    'adamw': lambda p: AdamW(p, lr=0.01, amsgrad=True),
    'adamw_foreach': lambda p: AdamW(p, lr=0.01, foreach=True),
    'rmsprop': lambda p: RMSprop(p, lr=0.01, momentum=0.9, centered=True),
}


def randomize_(model: nn.Module) -> Any:
    """Norms as after some training: no scale 1, bias 0, mean 0, var 1."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1.5)
    return model


def kill_(
    model: nn.Module, share: float = 0.4, names: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Set some channels' importance to 0; return what stays."""
    keep = {}
    for name, unit in named_search_units(model).items():
        if name.endswith('.tokens'):
            continue
        dead = torch.rand(len(unit)) < share
        dead |= name in (names or ())
        unit.alpha.data[dead] = 0
        keep[name] = (~dead).nonzero().flatten()
    return keep


def test_select_alive_is_alive_in_any() -> None:
    model = supernet()
    other = copy.deepcopy(model)
    name = 'fuse.mixconv.k3'
    with torch.no_grad():
        for net, dead in ((model, [0, 1, 2]), (other, [1, 2, 3])):
            named_search_units(net)[name].alpha[dead] = 1e-4
        named_search_units(other)[name].alpha[5] *= -1
    keep = select_alive([model, other], 1e-3)
    n = len(named_search_units(model)[name])
    assert keep[name].tolist() == [i for i in range(n) if i not in (1, 2)]


def test_not_finite_importance_is_named() -> None:
    model = supernet()
    named_search_units(model)['fuse.mixconv.k3'].alpha.data[1] = torch.nan
    with pytest.raises(ValueError, match='fuse.mixconv.k3 must be finite'):
        select_alive([model], 1e-3)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('act', [nn.ReLU, nn.SiLU])
def test_outputs_do_not_change_when_dead_channels_go(
    training: bool, act: type[nn.Module]
) -> None:
    model = SearchingBlock(6, 8, 2, num_tokens=3, act_layer=act)
    randomize_(model.double())
    keep = kill_(model, names=['mixconv.k5'])
    model.train(training)
    x = torch.randn(4, 6, 13, 11, dtype=torch.double)
    before = copy.deepcopy(model)(x)
    shrink_(model, keep)
    assert set(model.mixconv.paths) == {'k3', 'k7'}
    torch.testing.assert_close(model(x), before, rtol=0, atol=1e-10)


@pytest.mark.parametrize('training', [True, False])
def test_emptied_block_is_its_shortcut_and_a_constant(training: bool) -> None:
    block: Any = SearchingBlock(6, 8, 2, num_tokens=0)
    model = nn.Sequential(block, SearchingBlock(8, 8)).double()
    nn.init.normal_(block.mixconv.norm.bias)
    keep = kill_(block, share=1)
    x = torch.randn(4, 6, 12, 12, dtype=torch.double)
    block.mixconv.norm.momentum = None
    model.train()(x)  # statistics of a constant: its value, no variance
    model.train(training)
    before = copy.deepcopy(model)(x)
    shrink_(model, {f'0.{name}': index for name, index in keep.items()})
    torch.testing.assert_close(model(x), before, rtol=0, atol=1e-6)
    constant = block.mixconv.norm.bias[:, None, None]
    torch.testing.assert_close(block(x), block.shortcut(x) + constant)
    params = {name for name, _ in block.named_parameters()}
    assert params == {'shortcut.weight', 'mixconv.norm.bias'}


def test_emptied_block_whose_norm_does_not_train() -> None:
    """Its constant is what the running statistics make of nothing."""
    model = randomize_(supernet(norm_eval=True, num_tokens=0)).double()
    copied = copy.deepcopy(model)  # as EMAHook does, in no mode so far
    names = [n for n in named_search_units(model) if n.startswith('fuse.')]
    x = torch.randn(4, 3, 32, 32, dtype=torch.double)
    for network in (model, copied):
        kill_(network, share=0, names=names)
    before = [out.detach() for out in model.train()(x)]
    for network in (model, copied):
        shrink_(network, dict.fromkeys(names, torch.arange(0)))
        assert not network.fuse.mixconv.paths
        for out, was in zip(network.train()(x), before):
            torch.testing.assert_close(out, was, rtol=0, atol=1e-10)


def test_tokens_equal_a_module_built_with_the_sliced_weights() -> None:
    options: dict[str, Any] = dict(
        out_channels=7, token_size=4, head_dims=8, stride=2
    )
    model = randomize_(LightweightTransformer(5, num_tokens=6, **options))
    state = {k: v.clone() for k, v in model.state_dict().items()}
    index = torch.tensor([0, 2, 5])
    shrink_(model, {'tokens': index})
    reference = LightweightTransformer(5, num_tokens=3, **options)
    for name in state:
        if name.startswith('project_in.') and state[name].dim():
            state[name] = state[name][index]
    state['queries'] = state['queries'][index]
    state['project_out.weight'] = state['project_out.weight'][:, index]
    reference.load_state_dict(state)
    x = torch.randn(2, 5, 9, 10)
    for mode in (True, False):
        torch.testing.assert_close(
            model.train(mode)(x), reference.train(mode)(x), rtol=0, atol=0
        )


def test_sizes_follow_the_tensors() -> None:
    model: Any = supernet()
    shrink_(model, random_keep(model, share_empty=0))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            shape = (module.out_channels, module.in_channels // module.groups)
            assert tuple(module.weight.shape[:2]) == shape
        elif isinstance(module, nn.BatchNorm2d):
            assert module.running_var.shape == (module.num_features,)
    path = model.fuse.mixconv.paths['k3']
    assert path.depthwise.conv.groups == len(path.depthwise.norm.weight)


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_training_goes_on_as_if_dead_channels_were_still_there(
    name: str,
) -> None:
    """Removal is invisible: weights, and so the optimizer's state, agree."""
    torch.manual_seed(3)
    model: Any = nn.Sequential(
        SearchingBlock(4, 6, num_tokens=3, norm_layer=nn.BatchNorm2d),
        SearchingBlock(6, 5, 2, num_tokens=0, norm_layer=nn.BatchNorm2d),
    )
    model.double()
    keep = kill_(model, names=['0.mixconv.k7'])
    for unit, index in keep.items():  # dead: nothing moves them
        parts = unit.split('.')
        path = model[int(parts[0])].mixconv.paths[parts[-1]]
        dead = torch.ones_like(path.depthwise.norm.bias, dtype=torch.bool)
        dead[index] = False
        path.depthwise.norm.bias.data[dead] = 0
    other = copy.deepcopy(model)
    data = torch.randn(6, 3, 4, 8, 8, dtype=torch.double)

    def train(
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        batches: Tensor,
    ) -> None:
        for x in batches:
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()

    optimizers = [OPTIMIZERS[name](net.parameters()) for net in (model, other)]
    ids = [id(p) for p in other.parameters()]
    train(model, optimizers[0], data)
    train(other, optimizers[1], data[:3])
    shrink_(other, keep, optimizers[1])
    assert {id(p) for p in other.parameters()} < set(ids)
    train(other, optimizers[1], data[3:])

    shrink_(model, keep, optimizers[0])
    for (key, a), b in zip(model.named_parameters(), other.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9, msg=key)
    for p, q in zip(model.parameters(), other.parameters()):
        for key, value in optimizers[0].state[p].items():
            torch.testing.assert_close(
                value, optimizers[1].state[q][key], rtol=0, atol=1e-9
            )


def test_identity_groups_and_order_stay() -> None:
    model = supernet()
    norms = [p for n, p in model.named_parameters() if 'norm' in n]
    rest = [p for n, p in model.named_parameters() if 'norm' not in n]
    groups: list[dict[str, Any]] = [
        dict(params=norms, lr=0.1),
        dict(params=rest),
    ]
    optimizer = AdamW(groups, lr=1.0)
    model(torch.randn(2, 3, 32, 32))[0].sum().backward()
    optimizer.step()
    keep = random_keep(model)
    keep['fuse.mixconv.k3'] = torch.arange(0)
    before = [[id(p) for p in g['params']] for g in optimizer.param_groups]
    shrink_(model, keep, optimizer)
    alive = {id(p) for p in model.parameters()}
    after = [[id(p) for p in g['params']] for g in optimizer.param_groups]
    assert after == [[i for i in group if i in alive] for group in before]
    assert {id(p) for p in optimizer.state} <= alive
    assert [g['lr'] for g in optimizer.param_groups] == [0.1, 1.0]
    for p, state in optimizer.state.items():
        assert state['exp_avg'].shape == p.shape


def test_foreign_optimizer_state_is_refused_before_anything_changes() -> None:
    model: Any = supernet()
    optimizer = SGD(model.parameters(), lr=0.1)
    weight = model.fuse.mixconv.paths['k3'].expand.conv.weight
    optimizer.state[weight] = dict(row=torch.zeros(len(weight)))
    before = architecture_of(model)
    with pytest.raises(TypeError, match="SGD cannot be shrunk: .*'row'"):
        shrink_(model, {'fuse.mixconv.k3': torch.arange(1)}, optimizer)
    assert architecture_of(model) == before


@pytest.mark.parametrize(
    'keep, message',
    [
        ({'nothing': torch.arange(1)}, "no search unit 'nothing'"),
        ({'fuse.mixconv.k3': torch.tensor([99])}, 'got indices 99 to 99'),
    ],
)
def test_impossible_keep_is_refused(
    keep: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        shrink_(supernet(), keep)


def test_the_last_element_of_a_network_stays() -> None:
    model = supernet()
    before = architecture_of(model)
    nothing = {name: torch.arange(0) for name in named_search_units(model)}
    with pytest.raises(ValueError, match='every element'):
        shrink_(model, nothing)
    assert architecture_of(model) == before


def test_a_single_channel_is_left_to_work() -> None:
    model = supernet(num_tokens=0)
    shrink_(model, {n: torch.arange(1) for n in named_search_units(model)})
    x = torch.randn(2, 3, 32, 32)
    model(x)[0].square().mean().backward()
    assert set(architecture_of(model).values()) == {1}

"""Two ranks under gloo: the same units go, the same weights stay."""

import os

import pytest
import tiny
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.runner import Runner

from hrnas_mm.engine.surgery import averaged_model, bare_model


def work(rank, folder, port, wrapper):
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    # mmengine would pick a GPU; a group that is there already is kept.
    dist.init_process_group('gloo')
    cfg = tiny.config(folder, ema=dict(momentum=0.5, update_buffers=True))
    cfg.launcher = 'pytorch'
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        **wrapper,
    )
    runner = Runner.from_cfg(cfg)
    runner.train()
    torch.save(
        dict(
            model=bare_model(runner).state_dict(),
            averaged=averaged_model(runner).state_dict(),
            optimizer=runner.optim_wrapper.optimizer.state_dict(),
            history=runner.message_hub.get_info('search_history'),
        ),
        os.path.join(folder, f'rank{rank}.pth'),
    )
    dist.destroy_process_group()


def free_port():
    import socket

    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@pytest.mark.parametrize(
    'wrapper',
    [{}, dict(static_graph=True), dict(find_unused_parameters=True)],
    ids=['plain', 'static_graph', 'find_unused'],
)
def test_two_ranks_agree(tmp_path, wrapper):
    mp.spawn(work, (str(tmp_path), free_port(), wrapper), nprocs=2)
    first, second = (
        torch.load(tmp_path / f'rank{rank}.pth') for rank in range(2)
    )
    macs = [facts['macs'] for facts in first['history']]
    assert macs[0] > macs[-1] and first['history'] == second['history']
    for part in ('averaged', 'optimizer'):
        torch.testing.assert_close(first[part], second[part], rtol=0, atol=0)
    # Running statistics of the raw model are each rank's own.
    params = [
        {k: v for k, v in state['model'].items() if 'running' not in k}
        for state in (first, second)
    ]
    torch.testing.assert_close(*params, rtol=0, atol=0)

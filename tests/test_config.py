"""What the command lines do to a config."""

import pytest
from mmengine.config import Config

from hrnas_mm.config import check_data, move_data_, prepare_config

TEXT = """
data_root = 'data/a/'
data_help = 'Get it there.'
pipeline = [dict(type='Sample', database='data/a/db.pkl', other='data/ab/x')]
train_dataloader = dict(
    dataset=dict(
        data_root=data_root, ann_file='train.json', pipeline=pipeline))
val_dataloader = None
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / 'my_config.py'
    file.write_text(TEXT)
    return str(file)


def test_data_root_moves_everything_under_it(path):
    cfg = prepare_config(path, {'data_root': '/new/'})
    dataset = cfg.train_dataloader.dataset
    assert cfg.data_root == dataset.data_root == '/new/'
    assert dataset.ann_file == 'train.json'
    assert dataset.pipeline[0].database == '/new/db.pkl'
    assert dataset.pipeline[0].other == 'data/ab/x'


def test_other_options_still_win(path):
    cfg = prepare_config(
        path,
        {'data_root': '/new', 'train_dataloader.dataset.data_root': '/own'},
    )
    assert cfg.train_dataloader.dataset.data_root == '/own'


@pytest.mark.parametrize(
    'argument, in_file, expected',
    [
        (None, '', 'work_dirs/my_config'),
        (None, "work_dir = 'here'", 'here'),
        ('there', "work_dir = 'here'", 'there'),
    ],
)
def test_work_dir(tmp_path, argument, in_file, expected):
    file = tmp_path / 'my_config.py'
    file.write_text(in_file)
    assert prepare_config(str(file), None, argument).work_dir == expected


def test_missing_folder(tmp_path, path):
    cfg = Config.fromfile(path)
    message = "data_root 'data/a/' does not exist. Get it there."
    with pytest.raises(FileNotFoundError, match=message):
        check_data(cfg, 'train_dataloader', 'val_dataloader')
    move_data_(cfg, cfg.data_root, str(tmp_path))
    with pytest.raises(FileNotFoundError, match='ann_file .*train.json'):
        check_data(cfg, 'train_dataloader')
    (tmp_path / 'train.json').touch()
    check_data(cfg, 'train_dataloader', 'val_dataloader', 'absent')

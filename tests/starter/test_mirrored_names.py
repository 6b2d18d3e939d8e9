"""Left and right, as people spell them."""

import pytest
from starter.mirrored_names import mirrored


@pytest.mark.parametrize(
    'left, right',
    [
        ('left_eye', 'right_eye'), ('L_Eye', 'R_Eye'), ('l-eye', 'r-eye'),
        ('Left Eye', 'Right Eye'), ('LEye', 'REye'), ('eyeL', 'eyeR'),
        ('LEFT_EYE', 'RIGHT_EYE'), ('lefteye', 'righteye'), ('leye', 'reye'),
        ('eye.l', 'eye.r'), ('eye(left)2', 'eye(right)2'), ('LF', 'RF'),
        ('tl', 'tr'), ('Left-eye', 'right_eye'), ('1L', '1R'),
    ],
)  # fmt: skip
def test_pairs(left: str, right: str) -> None:
    names = ['Nose', left, 'collar', right, 'lip']
    swaps, lonely = mirrored(names)
    assert swaps == {name: name for name in names} | {left: right, right: left}
    assert not lonely


@pytest.mark.parametrize(
    'names, lonely',
    [
        (['ear', 'tail', 'rear', 'collar'], []),
        (['kp_1', 'kp_2'], []),
        (['left_eye', 'right_eye', 'left_ear'], ['left_ear']),
        (['leftpaw', 'nose'], ['leftpaw']),
    ],
)
def test_no_pairs(names: list[str], lonely: list[str]) -> None:
    swaps, found = mirrored(names)
    assert found == lonely
    assert all(swaps[name] == name for name in {*names} - {*names[:2]})

"""The version, read by setup.py without importing the package."""

__version__ = '0.1.0'
OLDEST_MMENGINE = '0.10.4'


def check_mmengine() -> None:
    """Raise ImportError if mmengine is older than what is tested.

    setup.py cannot ask for it: OpenMMLab and the OneDL fork distribute
    mmengine under two names, and which of them is there is the user's choice.
    """
    import mmengine
    from mmengine.utils import digit_version

    if digit_version(mmengine.__version__) < digit_version(OLDEST_MMENGINE):
        raise ImportError(
            f'hrnas_mm needs mmengine {OLDEST_MMENGINE} or newer, got '
            f'{mmengine.__version__}'
        )

"""Names of devices, by which a table tells what it was measured on."""

import platform

import torch


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the processor."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    return processor()


def device_named(name: str) -> torch.device | None:
    """Return the device of this machine that has a name; None if none has."""
    if name == processor():
        return torch.device('cpu')
    if torch.cuda.is_available() and name == torch.cuda.get_device_name():
        return torch.device('cuda')
    return None


def processor() -> str:
    """Return the name of the CPU."""
    try:
        with open('/proc/cpuinfo') as file:
            for line in file:
                if line.startswith('model name'):
                    return line.split(':', 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

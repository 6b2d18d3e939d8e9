# The recipe for two CPU cores with a learning rate that decays only in the
# second half. A search is over by then, and its network learns at the full
# rate: docs/results.md, "What limits accuracy".
_base_ = './cpu_1200.py'
param_scheduler = _base_.param_scheduler
param_scheduler[-1].begin = 600

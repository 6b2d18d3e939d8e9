"""Search in a plain training loop, without OpenMMLab; seconds on a CPU.

A stock layer and two searching blocks learn whether the bars in a noisy image
are horizontal or vertical, and shrink to a quarter of their multiply-adds.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hrnas_mm.modules import SearchingBlock, searchable_
from hrnas_mm.search import (
    BudgetController,
    CostModel,
    Ranking,
    ResourcePenalty,
    Schedule,
    architecture_of,
    importances,
    parse_budget,
    shrink_,
)

torch.manual_seed(0)
torch.set_num_threads(1)  # more only wait for one another on tiny maps
bars = torch.zeros(2, 3, 32, 32)
bars[0, :, ::4] = bars[1, :, :, ::4] = 1
answers = torch.tensor([0, 1] * 8)
batches = [
    (bars[answers] + torch.randn(16, 3, 32, 32), answers) for _ in range(130)
]
model = nn.Sequential(
    nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 8, 3, padding=1),
    ),
    SearchingBlock(8, 8, num_tokens=4),
    SearchingBlock(8, 12, stride=2, num_tokens=4),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(12, 2),
)
# SearchingBlocks have units of their own; these are the 16 channels before.
searchable_(model, bars)

average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, eps=1e-3)
cost_model = CostModel(model, (3, 32, 32))
penalty = ResourcePenalty(cost_model, model)
budget = parse_budget(0.25, cost_model)
schedule = Schedule(begin=20, end=120, interval=10)
controller = BudgetController(budget, schedule, rho=3e-4)
for i, (images, labels) in enumerate(batches):
    if controller.is_due(i):
        alpha = importances([model, average.module])
        ranking = Ranking.by_threshold(alpha, 1e-3)
        controller.adapt_(ranking.alive, i)
        keep = ranking.best(controller.select(ranking, i))
        shrink_(model, keep, optimizer)
        shrink_(average.module, keep)
    loss = cross_entropy(model(images), labels)
    (loss + controller.rho_at(i) * penalty()).backward()
    optimizer.step()
    optimizer.zero_grad()
    average.update_parameters(model)

print(f'budget: {budget}')
for name, count in architecture_of(model).items():
    print(f'{name}: {count} of {cost_model.supernet[name]}')

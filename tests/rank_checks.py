"""What several processes do together, against what one does alone; run by `tests.rank_job`."""

from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from likewise import ranks
from likewise.models.joint_norm import joint_norms
from likewise.models.nets import build_backbone
from likewise.models.simsiam import SimSiam
from likewise.models.together import any_of_us, from_first, together
from likewise.training.losses import simsiam_loss
from likewise.training.shares import averaging, gathered, share_out

CPU = torch.device("cpu")


def joint_norms_are_those_of_the_whole_batch() -> None:
    """Outputs, gradients and running statistics, with uneven shares and a large mean."""
    norms: list[Any] = [
        (nn.BatchNorm1d(3), (7, 3)),
        (nn.BatchNorm1d(3, affine=False), (7, 3)),
        (nn.BatchNorm2d(3, momentum=None), (5, 3, 4, 2)),
        (nn.BatchNorm2d(3, track_running_stats=False), (5, 3, 4, 2)),
        (BatchNormAct2d(3), (3, 3, 2, 2)),
    ]
    with together():
        for norm, shape in norms:
            _compare_norms(norm, shape)


def _compare_norms(norm: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    batch = torch.randn(shape) * 2 + 50
    pull = torch.randn(shape)
    for weight in norm.parameters():
        nn.init.normal_(weight)
    alone, ours = norm, type(norm)(3, affine=bool(list(norm.parameters())))
    for name in ("momentum", "track_running_stats"):
        setattr(ours, name, getattr(alone, name))
    ours.load_state_dict(alone.state_dict(), strict=False)
    if alone.running_mean is None:
        ours.running_mean = ours.running_var = None
    for _ in range(2):  # running statistics of two steps
        whole = batch.clone().requires_grad_()
        expected = alone(whole)
        alone.zero_grad()
        (expected * pull).sum().backward()
        share = ranks.here().share(len(batch))
        part = batch[share].clone().requires_grad_()
        with joint_norms():
            given = ours(part)
        ours.zero_grad()
        (given * pull[share]).sum().backward()
        _assert_close(given, expected[share])
        assert part.grad is not None
        assert whole.grad is not None
        _assert_close(part.grad, whole.grad[share])
        for own, other in zip(ours.parameters(), alone.parameters(), strict=True):
            _assert_close(_summed(own.grad), other.grad)
        batch = batch.flip(0) * 0.9
    for name, value in alone.named_buffers():
        _assert_close(dict(ours.named_buffers())[name].float(), value.float())
    ours.eval()
    alone.eval()
    with joint_norms():
        _assert_close(ours(batch[:1]), alone(batch[:1]))


def gradients_are_those_of_the_whole_batch() -> None:
    """Of a loss between images of different processes, through norms and an unused weight."""

    class Net(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3))
            self.unused = nn.Parameter(torch.ones(2))

    def loss_of(outputs: Tensor) -> Tensor:
        return torch.cdist(outputs.flatten(0, 1), outputs.flatten(0, 1)).square().mean()

    with together():
        torch.manual_seed(4)
        alone, ours = Net(), Net()
        ours.load_state_dict(alone.state_dict())
        if ranks.here().number == 1:
            nn.init.zeros_(
                next(ours.parameters())
            )  # the first process's weights become everybody's
        shared = averaging(ours, CPU)
        for _ in range(3):
            batch = torch.randn(2, 5, 4)
            expected = loss_of(alone(batch.flatten(0, 1)).unflatten(0, (2, -1)))
            alone.zero_grad()
            expected.backward()  # type: ignore[no-untyped-call]
            part = batch[:, ranks.here().share(5)]
            with joint_norms():
                outputs = shared(part.flatten(0, 1)).unflatten(0, (2, -1))
            loss = loss_of(gathered(outputs, 5))
            ours.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            _assert_close(loss, expected)
            for one, two in zip(ours.parameters(), alone.parameters(), strict=True):
                _assert_close(_of(one.grad), _of(two.grad))


def steps_are_those_of_one_process() -> None:
    """SimSiam with momentum, in double precision, where rounding hides no mistake.

    timm's EfficientNet has norms with an activation inside.
    """
    with together():
        _compare_steps("small", 12)
        _compare_steps("timm/tf_efficientnet_lite0", 2)


def _compare_steps(backbone: str, steps: int) -> None:
    def start() -> tuple[SimSiam, torch.optim.Optimizer]:
        torch.manual_seed(5)
        model = SimSiam(build_backbone(backbone, image_size=16), 24, 6).double()
        return model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    (alone, one), (ours, two) = start(), start()
    shared, random = averaging(ours, CPU), torch.Generator().manual_seed(6)
    for _ in range(steps):
        views = torch.rand(2, 7, 3, 16, 16, dtype=torch.float64, generator=random) - 0.5
        _, z, p = alone(views.flatten(0, 1))
        expected = simsiam_loss(p.unflatten(0, (2, 7)), z.unflatten(0, (2, 7)))
        part = views[:, ranks.here().share(7)]
        with joint_norms():
            _, z, p = shared(part.flatten(0, 1))
        p, z = (gathered(each.unflatten(0, (2, -1)), 7) for each in (p, z))
        loss = simsiam_loss(p, z)
        torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)
        for value, optimizer in ((expected, one), (loss, two)):
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-8, atol=1e-8)


def everybody_is_told() -> None:
    """Work of the first one, a flag of the last one, and shares of a batch."""
    rank = ranks.here()
    with together():
        assert from_first(lambda: {"number": rank.number}) == {"number": 0}
        assert any_of_us(rank.number == rank.count - 1)
        assert not any_of_us(False)
        whole = torch.arange(2 * 5 * 3, dtype=torch.uint8).view(2, 5, 1, 1, 3)
        for maker in range(rank.count):
            batch = whole + maker if rank.number == maker else None
            part = share_out(batch, maker, whole.shape, CPU)
            assert torch.equal(part, (whole + maker)[:, rank.share(5)])


def _summed(grad: Tensor | None) -> Tensor:
    assert grad is not None
    total = grad.clone()
    torch.distributed.all_reduce(total)
    return total


def _of(grad: Tensor | None) -> Tensor:
    return torch.zeros(()) if grad is None else grad


def _assert_close(one: Tensor, two: Tensor | None) -> None:
    assert two is not None
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)

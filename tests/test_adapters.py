"""Low-rank adapters: a net begins as it was, learns through few numbers, and ends plain."""

import pytest
import torch
from torch import nn

from likewise.models.nets import build_backbone
from likewise.training.adapters import adapt, merge

NETS = ["small", "resnet18", "vit_tiny_patch16_224", "convnext_atto", "torchvision/swin_t"]


@pytest.mark.parametrize("name", NETS)
def test_a_net_learns_through_its_adapters_alone(name: str) -> None:
    torch.manual_seed(0)
    net = build_backbone(name, image_size=64).net
    images = torch.randn(2, 3, 64, 64)
    net.eval()
    keys = set(net.state_dict())
    frozen = {key: value.clone() for key, value in net.state_dict().items()}
    with torch.no_grad():
        before = net(images)
    adapt(net, rank=4)
    with torch.no_grad():
        assert torch.allclose(net(images), before, atol=1e-5)  # B is zero

    learning = [each for each in net.parameters() if each.requires_grad]
    assert 0 < sum(map(torch.numel, learning)) < 0.2 * sum(map(torch.numel, frozen.values()))
    optimizer = torch.optim.AdamW(learning, lr=1e-2)
    wanted = torch.randn_like(before)
    for _ in range(3):
        optimizer.zero_grad()
        (net(images) * wanted).mean().backward()
        optimizer.step()
    with torch.no_grad():
        after = net(images)
        merge(net)
        assert not torch.allclose(after, before, atol=1e-4)
        assert torch.allclose(net(images), after, atol=1e-4)
    merged = net.state_dict()
    assert set(merged) == keys
    for key, value in frozen.items():
        changed = (merged[key] - value).flatten(1) if value.ndim > 1 else None
        if changed is None:
            assert torch.equal(merged[key], value)  # biases, norms, batch statistics
        else:
            assert torch.linalg.matrix_rank(changed, atol=1e-6, rtol=1e-3) <= 4


def test_layers_that_are_no_larger_than_an_adapter_stay_frozen() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Linear(8, 20))
    adapt(net, rank=8)
    assert not [each for each in net.parameters() if each.requires_grad]

"""The lines of Python in a model card that load the exported files. A test runs them as shown."""

from torch import nn

from likewise.models.backbones import Backbone
from likewise.models.weights import CLASSIFIERS

_HEAD = """\
features = normalize(features)                       # and the head that answers taught
head = load_file("head.safetensors")
mapped = normalize(features @ head["weight"].T + head["offset"])
parts = (1 - head["blend"]).sqrt() * features, head["blend"].sqrt() * mapped
vectors = normalize(torch.cat(parts, dim=1))
"""


def onnx_lines() -> str:
    """The whole model by onnxruntime."""
    return """\
import onnxruntime
from prepare import prepare

session = onnxruntime.InferenceSession("model.onnx")
(vectors,) = session.run(None, {"images": prepare("image.jpg")})
"""


def program_lines() -> str:
    """The whole model by torch alone."""
    return """\
import torch
from prepare import prepare

net = torch.export.load("model.pt2").module()
with torch.inference_mode():
    vectors = net(torch.from_numpy(prepare("image.jpg")))
"""


def weight_lines(backbone: Backbone) -> str:
    """The net's weights into the net that others made, to train it further for example."""
    owner, _, name = backbone.architecture.name.rpartition("/")
    imports = {"timm": "import timm\n", "torchvision": "import torchvision\n"}.get(owner, "")
    small = "" if owner else "from small_net import SmallNet\n"
    end = "vectors = normalize(features)\n" if backbone.head is None else _HEAD
    return f"""\
{imports}import torch
from prepare import prepare
from safetensors.torch import load_file
{small}from torch.nn.functional import normalize

{_net_lines(backbone, owner, name)}net.eval()
with torch.inference_mode():
    features = net(torch.from_numpy(prepare("image.jpg", normalised=True)))
{end}"""


def _net_lines(backbone: Backbone, owner: str, name: str) -> str:
    side = backbone.architecture.image_size
    load = 'net.load_state_dict(load_file("model.safetensors"))\n'
    if not owner:
        return f"net = SmallNet({side})\n{load}"
    changed = _changed_layers(backbone)
    if owner == "torchvision":
        return f'net = torchvision.models.get_model("{name}")\n{changed}{load}'
    told = f", img_size={side}" if _takes_side(name, side) else ""
    if changed:
        return f'net = timm.create_model("{name}", num_classes=0{told})\n{changed}{load}'
    return (
        f'net = timm.create_model("{name}", num_classes=0{told},\n'
        '                        checkpoint_path="model.safetensors")\n'
    )


def _takes_side(name: str, side: int) -> bool:
    """Whether a net of timm must be told the side of its input, as vision transformers must."""
    import timm

    try:
        timm.create_model(name, num_classes=0, img_size=side)
    except TypeError:
        return False
    return True


def _changed_layers(backbone: Backbone) -> str:
    """What `likewise.models.nets` changes in the nets of others: no classes, a smaller stem."""
    net, lines = backbone.net, ""
    if backbone.architecture.name.startswith("torchvision/"):
        layers = (each for each in CLASSIFIERS if isinstance(getattr(net, each, None), nn.Flatten))
        lines += "".join(f"net.{each} = torch.nn.Flatten(1)\n" for each in layers)
    first = getattr(net, "conv1", None)
    if backbone.architecture.small_stem and isinstance(first, nn.Conv2d):
        lines += f"net.conv1 = torch.nn.Conv2d(3, {first.out_channels}, 3, 1, 1, bias=False)\n"
        lines += "net.maxpool = torch.nn.Identity()\n"
    return lines

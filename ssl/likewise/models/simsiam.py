"""SimSiam's three parts (Chen & He 2021, "Exploring Simple Siamese Representation Learning")."""

from jaxtyping import Float
from torch import Tensor, nn

from likewise.models.backbones import Backbone


class SimSiam(nn.Module):
    """Backbone, projector and predictor.

    The projector has three layers with batch norm, the last without affine parameters; the
    predictor is a two-layer bottleneck whose output has neither norm nor ReLU (section 3,
    "Baseline settings"). *The embedding* is the backbone's output.
    """

    def __init__(self, backbone: Backbone, projector_dim: int, predictor_dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = nn.Sequential(
            *_layer(backbone.dim, projector_dim),
            *_layer(projector_dim, projector_dim),
            nn.Linear(projector_dim, projector_dim, bias=False),
            nn.BatchNorm1d(projector_dim, affine=False),
        )
        self.predictor = nn.Sequential(
            *_layer(projector_dim, predictor_dim), nn.Linear(predictor_dim, projector_dim)
        )

    def forward(
        self, images: Float[Tensor, "B 3 S S"]
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B P"], Float[Tensor, "B P"]]:
        """The embeddings h, projections z and predictions p of normalised images."""
        h = self.backbone(images)
        z = self.projector(h)
        return h, z, self.predictor(z)


def _layer(dim_in: int, dim_out: int) -> tuple[nn.Module, ...]:
    return nn.Linear(dim_in, dim_out, bias=False), nn.BatchNorm1d(dim_out), nn.ReLU(inplace=True)

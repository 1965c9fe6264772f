"""What pretraining hands back."""

from dataclasses import dataclass
from typing import Any

from likewise.models.runs import Run
from likewise.notebook import Displayed
from likewise.wording import percent


@dataclass(frozen=True)
class Pretrained(Displayed):
    """What `pretrain` did."""

    run: Run
    fingerprint: str
    epochs: int
    images_per_second: float
    metrics: list[dict[str, Any]]
    warning: str | None

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        last = self.metrics[-1]
        measured = ("embedding_std", "projection_std", "effective_rank", "neighbour_stability")
        return {
            "run": self.run.name,
            "fingerprint": self.fingerprint,
            "epochs": self.epochs,
            "images_per_second": self.images_per_second,
            "loss": last["loss"],
            "health": {key: last[key] for key in measured} | {"warning": self.warning},
        }

    def as_text(self) -> str:
        """What a person reads."""
        last = self.metrics[-1]
        lines = [
            f"{self.run.name}: {self.epochs} epochs, {self.images_per_second:,.0f} images/s, "
            f"loss {last['loss']:.3f}",
            f"health: projection std {last['projection_std']:.2f} (1 is ideal, 0 collapsed), "
            f"effective rank {last['effective_rank']:.1f}, "
            f"{percent(last['neighbour_stability'])} of the neighbours stable",
        ]
        if self.warning:
            lines.append(f"warning: {self.warning}")
        lines.append("next: `likewise embed`")
        return "\n".join(lines)

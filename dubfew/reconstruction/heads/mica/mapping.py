"""MICA's mapping network: the code of whose face it is -> the shape of that person's head."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.reconstruction.heads.mica.arcface import CODE

SHAPES = 300  # FLAME's identity coefficients
HIDDEN = 300
LAYERS = 4  # before the output


class MappingNetwork(nn.Module):
    """Unit identity codes [N, 512] to FLAME's shape coefficients [N, 300].

    Modules have the names of the released weights. Source: Zielonka et al. 2022, MICA, sec. 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.ModuleList(
            nn.Linear(HIDDEN if i else CODE, HIDDEN) for i in range(LAYERS)
        )
        self.output = nn.Linear(HIDDEN, SHAPES)

    def forward(self, codes: Tensor) -> Tensor:
        for layer in self.network:
            codes = F.leaky_relu(layer(codes), 0.2)
        return self.output(codes)

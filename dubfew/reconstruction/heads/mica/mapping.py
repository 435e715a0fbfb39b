"""MICA's mapping network: the code of whose face it is -> the shape of that person's head."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.reconstruction.heads.mica.arcface import IDENTITY_CODE_SIZE

NUM_SHAPE_COEFFICIENTS = 300  # FLAME's identity coefficients
MAPPING_HIDDEN_SIZE = 300
NUM_HIDDEN_LAYERS = 4  # before the output


class MappingNetwork(nn.Module):
    """Network from unit identity codes [N, 512] to FLAME's shape coefficients [N, 300].

    Modules have the names of the released weights. Source: Zielonka et al. 2022, MICA, sec. 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.ModuleList(
            nn.Linear(MAPPING_HIDDEN_SIZE if i else IDENTITY_CODE_SIZE, MAPPING_HIDDEN_SIZE)
            for i in range(NUM_HIDDEN_LAYERS)
        )
        self.output = nn.Linear(MAPPING_HIDDEN_SIZE, NUM_SHAPE_COEFFICIENTS)

    def forward(self, codes: Tensor) -> Tensor:
        """Map identity codes [N, 512] to shape coefficients [N, 300]."""
        for layer in self.network:
            codes = F.leaky_relu(layer(codes), 0.2)
        return self.output(codes)
